# cmake -DIN=x.spv -DOUT=x.inc -DVARIABLE=x -P Embed.cmake: SPIR-V as an array of words.

file(READ ${IN} hex HEX)
if(NOT hex MATCHES "^03022307")
    message(FATAL_ERROR "${IN} is not little-endian SPIR-V")
endif()
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
string(REGEX REPLACE "(0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,0x[0-9a-f]+,)"
       "\\1\n" words "${words}")
file(WRITE ${OUT} "static const uint32_t ${VARIABLE}[] = {\n${words}\n};\n")
