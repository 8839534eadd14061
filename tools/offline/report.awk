# Turns what vkattn-offline printed on many devices into docs/portability.md; with -v check=1, into the list of default
# choices that spill or fail and of kernels that load matrices from misaligned places, and exit status 1 if there is one
# or no device started. With -v defaults=1 the page says that nothing but default choices was compiled. tools/portability
# puts each device's name in front.
# SPDX-License-Identifier: MIT
BEGIN {
    FS = "\t"
    NAME = 1; DEVICE = 2; CASE = 4; PATHS = 5; CHOICE = 6; KERNEL = 7; SUBGROUP = 8; REGISTERS = 9; SPILLS = 10
    OTHERS = "other operations"
    SCRATCH = 11; OCCUPANCY = 12; SHARED = 13; INSTRUCTIONS = 14; MATRIX = 15; STATUS = 17; MISALIGNED = 18
}

!($NAME in known) {
    known[$NAME] = 1
    names[count++] = $NAME
}

NF == 3 {
    absent[$NAME] = $3
    absent_count++
    next
}

{
    model[$NAME] = $DEVICE
    if ($CHOICE == "default")
        summarise()
    if ($MISALIGNED + 0 > 0)
        faults[fault_count++] = $NAME ": " $CASE ": " $KERNEL " has " $MISALIGNED " misaligned loads of matrices"
    details()
}

# A column of the summary: causal joins prefill, all norms are one, and so are the operations that have one case each.
function column_of(name) {
    sub(/^causal/, "prefill", name)
    if (name ~ /^op /)
        return OTHERS
    return name ~ /^layer norm/ ? "layer norm" : name
}

function summarise(    key) {
    key = $NAME FS column_of($CASE)
    if (!(column_of($CASE) in column_known)) {
        column_known[column_of($CASE)] = 1
        columns[column_count++] = column_of($CASE)
    }
    path[key] = column_of($CASE) == OTHERS ? "at most" : $PATHS
    if ($STATUS != "ok") {
        failed[key] = 1
        faults[fault_count++] = $NAME ": " $CASE ": " $STATUS
    }
    if ($SPILLS + 0 > 0)
        faults[fault_count++] = $NAME ": " $CASE ": " $KERNEL " spills " $SPILLS
    raise(registers, key, $REGISTERS)
    raise(spills, key, $SPILLS)
    raise(scratch, key, $SCRATCH)
}

function raise(array, key, value) {
    if (value != "-" && (!(key in array) || value + 0 > array[key]))
        array[key] = value + 0
}

# The kernels that follow the first one of a case are the same for every path: shown once a device.
function details(    row) {
    row = $KERNEL
    for (i = SUBGROUP; i <= MATRIX; i++)
        row = row " | " $i
    first = $NAME FS $CASE FS $PATHS != last
    last = $NAME FS $CASE FS $PATHS
    if (!first && ($NAME FS row) in shown)
        return
    shown[$NAME FS row] = 1
    if ($STATUS != "ok")
        row = $STATUS " | | | | | | | | "
    table[$NAME] = table[$NAME] "| " $CASE " | " ($CHOICE == "default" ? "**" $PATHS "**" : $PATHS) " | " row " |\n"
}

function cell(key) {
    if (key in failed)
        return "**fails**"
    if (!(key in path))
        return "-"
    return path[key] (key in registers ? " " registers[key] : "") \
        (spills[key] ? " **" spills[key] " spilled**" : "") (scratch[key] ? " (" scratch[key] " B)" : "")
}

function print_summary(    i, j, line) {
    line = "| device |"
    for (j = 0; j < column_count; j++)
        line = line " " columns[j] " |"
    print line
    gsub(/[^|]+/, "---", line)
    print line
    for (i = 0; i < count; i++) {
        line = "| " names[i] " |"
        for (j = 0; j < column_count; j++)
            line = line (names[i] in absent ? " |" : " " cell(names[i] FS columns[j]) " |")
        print line
    }
}

function print_absent(    i, any) {
    for (i = 0; i < count; i++)
        if (names[i] in absent)
            print (any++ ? "" : "\nDid not start:\n\n") "- " names[i] ": " absent[names[i]]
}

function print_details(    i) {
    for (i = 0; i < count; i++) {
        if (names[i] in absent)
            continue
        print "\n### " names[i] "\n\nAs its driver calls it: " model[names[i]] "\n"
        print "| case | path | kernel | subgroup | registers | spills | scratch | occupancy | shared | instructions | matrix |"
        print "|---|---|---|---|---|---|---|---|---|---|---|"
        printf "%s", table[names[i]]
    }
}

END {
    if (check) {
        for (i = 0; i < fault_count; i++)
            print faults[i]
        print count - absent_count " of " count " devices started, " fault_count + 0 " faults"
        exit fault_count > 0 || count == absent_count
    }
    print "# Portability\n"
    compiled = defaults ? "here only the one that the library chooses was compiled" \
                        : "every path that the library offers there was compiled, on Mali and PowerVR, " \
                          "whose compilers are emulated, only the one that it chooses"
    while ((getline line < intro) > 0) {
        sub(/@compiled@/, compiled, line)
        print line
    }
    print "\nMade with " versions ".\n\n## What the library chooses\n"
    print_summary()
    print_absent()
    print "\n## " (defaults ? "In detail" : "Everything\n\nBold: what the library chooses.")
    print_details()
}
