# Installed documents: links to headers, which lie at INCLUDE as seen from the folder DOCS, and to what is not installed.

file(GLOB pages ${DOCS}/*.md ${DOCS}/*/*.md)
foreach(page IN LISTS pages)
    file(READ ${page} text)
    set(new "${text}")
    string(REPLACE "](../include/" "](../${INCLUDE}/" new "${new}")
    string(REPLACE "](include/" "](${INCLUDE}/" new "${new}")
    string(REGEX REPLACE "\\[([^]]*)\\]\\(([.][.]/)?(packaging/README|CONTRIBUTING)[.]md\\)" "\\1" new "${new}")
    if(NOT new STREQUAL text)
        file(WRITE ${page} "${new}")
    endif()
endforeach()
