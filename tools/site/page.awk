# A Markdown page as Doxygen wants it: headings with labels, of which `page` is the first part, and links that lead to them.
# Links to what is not part of the site lose their target.

function slug(text,    base, n) {
    gsub(/`|\*/, "", text)
    text = tolower(text)
    gsub(/[^a-z0-9_ -]/, "", text)
    gsub(/ /, "-", text)
    base = text
    for (n = 1; text in seen; n++)
        text = base "-" n
    seen[text] = 1
    return text
}

function page_of(path) {
    if (path ~ /README\.md$/) {
        sub(/\/?README\.md$/, "", path)
        sub(/^.*\//, "", path)
        return path == "" || path == ".." ? "index" : path
    }
    sub(/^.*\//, "", path)
    sub(/\.md$/, "", path)
    return tolower(path)
}

# ](target), or "" where there is nothing to lead to.
function target(to,    at, path, anchor) {
    at = index(to, "#")
    path = at ? substr(to, 1, at - 1) : to
    anchor = at ? substr(to, at + 1) : ""
    if (to ~ /^[a-z]+:/)
        return to
    if (path ~ /\.(png|svg)$/) {
        sub(/^.*\//, "", path)
        return "pictures/" path
    }
    if (path ~ /include\/vkattn\/[a-z_]+\.h$/) {
        sub(/^.*\//, "", path)
        gsub(/_/, "__", path)
        sub(/\.h$/, "_8h.html", path)
        return path
    }
    if (path == "")
        return "#" page "-" anchor
    if (path ~ /\.md$/ && (page_of(path) in pages))
        return anchor != "" ? "#" page_of(path) "-" anchor : page_of(path) == "index" ? "index.html" : "#" page_of(path)
    return ""
}

function with_links(line,    out, text, to, at) {
    out = ""
    while (match(line, /!?\[[^]]*\]\([^) ]*\)/)) {
        text = substr(line, RSTART, RLENGTH)
        out = out substr(line, 1, RSTART - 1)
        line = substr(line, RSTART + RLENGTH)
        at = match(text, /\]\([^)]*\)$/)
        to = target(substr(text, at + 2, length(text) - at - 2))
        if (text ~ /^!/)
            out = out "<img src=\"" to "\" alt=\"" substr(text, 3, at - 3) "\">"
        else
            out = out (to == "" ? substr(text, 2, at - 2) : substr(text, 1, at) "(" to ")")
    }
    return out line
}

BEGIN {
    n = split(all, list, " ")
    for (i = 1; i <= n; i++)
        pages[list[i]] = 1
}
/^ *```/ { code = !code }
code || /^ *```/ {
    print
    next
}
/^#+ / {
    at = match($0, / /)
    heading = with_links(substr($0, at + 1))
    label = slug(substr($0, at + 1))
    gsub(/`/, "", heading)
    print substr($0, 1, at) heading (titled ? " {#" page "-" label "}" : page == "index" ? "" : " {#" page "}")
    titled = 1
    next
}
{ print with_links($0) }
