# Turns a public header's comments into Doxygen's: those of declarations keep their lines, as they are laid out by hand, and
# those of fields become running text. A comment stands for all declarations that follow it without an empty line.

function escape(text) {
    gsub(/[\\@<>#%&"]/, "\\\\&", text)
    return text
}

# The comment in text[1 .. lines]: the first sentence alone, and then all of it.
function print_comment(what,    i, brief, all, at) {
    brief = ""
    for (i = 1; i <= lines && text[i] != ""; i++)
        brief = brief (i > 1 ? " " : "") text[i]
    all = i > lines
    sub(/^vkattn: /, "", brief)
    at = match(brief, /[.:] /) ? RSTART : length(brief)
    all = all && at >= length(brief)
    if (at < length(brief) || substr(brief, at) == ":")
        brief = substr(brief, 1, at - 1) "."
    print "/** " what "@brief " escape(brief)
    if (!all) {
        print "\n@verbatim"
        for (i = 1; i <= lines; i++)
            print text[i]
        print "@endverbatim"
    }
    print " */"
}

# Prototypes that a macro makes of an operation.
function print_operation(op,    d, n, i, rest) {
    d = "const vka_" op "_desc *desc"
    n = split("_plan(vka_device *device, " d ", vka_plan **plan)|_prepare(vka_device *device, " d ")|_requirements(vka_device *device, " \
              d ", vka_requirements *requirements)|_explain(vka_device *device, " d ", char *text, size_t capacity, size_t *length)", rest, "|")
    print_comment("")
    print "vka_status vka_" op "(vka_recorder *recorder, " d ");"
    for (i = 1; i <= n; i++)
        print "/** @brief Of vka_" op ": see VKA_OPERATION_FUNCTIONS. */\nvka_status vka_" op rest[i] ";"
}

function name_of(line) {
    sub(/^[^(]*\(/, "", line)
    sub(/[,)].*/, "", line)
    return line
}

# What stands in a comment's line, without the signs around it.
function stripped(line) {
    sub(/^ *\/\* ?/, "", line)
    sub(/^ *\* ?/, "", line)
    sub(/ *\*\/ *$/, "", line)
    return line
}

function read_comment(   line) {
    lines = 0
    for (line = $0; ; ) {
        text[++lines] = stripped(line)
        if (line ~ /\*\/ *$/ || (getline line) <= 0)
            break
    }
    while (lines > 0 && text[lines] == "")
        lines--
}

# Of the whole file: what stands at its beginning, and before an empty line.
/^\/\* / {
    section = /^\/\* -----*/
    read_comment()
    if (section) {
        sub(/^-+ */, "", text[1])
        sub(/ *-+$/, "", text[1])
    }
    if (NR <= lines + 1 || section) {
        if (lines > 1)
            print_comment("@file\n * ")
        lines = 0
    }
    pending = lines > 0
    next
}
/^$/ {
    if (pending && lines > 1)
        print_comment("@file\n * ")
    pending = lines = 0
    print
    next
}
/^VKA_OPERATION_FUNCTIONS\(/ {
    print_operation(name_of($0))
    pending = 0
    next
}
/^VKA_OPERATION_CANDIDATES\(/ {
    op = name_of($0)
    print "/** @brief What runs it: see VKA_OPERATION_CANDIDATES. */"
    print "vka_status vka_" op "_candidates(vka_device *device, const vka_" op "_desc *desc, vka_" op \
          "_candidate *candidates, uint32_t capacity, uint32_t *count);"
    next
}
/^(VKA_API|VKA_NN_API|static|typedef|#define|#    define|vka_)/ {
    if (lines > 0)
        print_comment("")
    pending = 0
}
# Fields: comments of their own lines, before the field; behind it; and what goes on below that.
/^ +\/\*   / && behind {
    sub(/\/\* +/, "")
    sub(/ *\*\/ *$/, "")
    print "/**< " escape($0) " */"
    next
}
/^ +\/\* / {
    read_comment()
    print "/** "
    for (i = 1; i <= lines; i++)
        print " * " escape(text[i])
    print " */"
    lines = behind = 0
    next
}
/[;,}{] *\/\* .*\*\/ *$/ && !/^#/ {
    at = match($0, /\/\* .*$/)
    comment = substr($0, at)
    print substr($0, 1, at - 1) "/**< " escape(stripped(comment)) " */"
    behind = 1
    next
}
/;$/ { behind = 0 }
{ print }
