#!/bin/sh
# bench_cli: exit statuses of the command line, and a small run whose JSON `compare` reads back.
#   test_cli.sh BENCH      exit status 77: no Vulkan device here
set -u
bench=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $1; it wrote:"
    cat "$work/log"
    exit 1
}

# wide COLUMNS: no line is longer, but for names of files and errors
wide() {
    grep -v -e '^results in' -e '^wrote' -e '^vkattn-bench: ' "$work/log" | awk -v most="$1" 'length($0) > most { exit 1 }' ||
        fail "a line of more than $1 columns"
}

# expect STATUS TEXT ARGUMENT ...: runs the bench; its status and a text in its output must be these. What it prints fits
# 80 columns, and a mistake is one line that says where help is.
expect() {
    status=$1 text=$2
    shift 2
    "$bench" "$@" >"$work/log" 2>&1
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -q -e "$text" "$work/log"; then
        fail "$* -> exit status $got, expected $status and the text '$text'"
    fi
    case $status in
    2) [ "$(grep -c '' "$work/log")" = 1 ] || fail "$*: more than one line" ;;
    *) case " $* " in *' -v '*) wide 100 ;; *) wide 80 ;; esac ;;
    esac
    echo "ok: $*"
}

# refuse TEXT ARGUMENT ...: the same of a mistake on the command line
refuse() {
    text=$1
    shift
    expect 2 "^vkattn-bench: .*$text.* (see vkattn-bench [a-z -]*)\$" "$@"
}

# ---- usage -------------------------------------------------------------------------------------------------------------

expect 0 '^usage: ' --help
expect 0 '^usage: ' help
[ "$(grep -c '' "$work/log")" -le 24 ] || fail "help is longer than a terminal"
expect 0 '^usage: vkattn-bench tune' help tune
expect 0 '^usage: vkattn-bench tune' tune --help
expect 0 '^vkattn-bench [0-9]*\.[0-9]*\.[0-9]*, commit ' --version
for command in run devices compare report options tune record self-test patterns pattern; do
    expect 0 "vkattn-bench $command" help $command
done

# ---- names: what was probably meant ---------------------------------------------------------------------------------------

refuse 'tnue: unknown command; did you mean tune?' tnue
refuse 'nonsense: unknown command; must be run, devices, ' nonsense
refuse 'quick: .* did you mean run --suite quick?' quick
refuse 'quick: .* did you mean --suite quick?' run quick
refuse '\-\-suit: unknown option; did you mean --suite?' run --suit quick
refuse '\-\-nonsense: unknown option' run --nonsense
refuse '\-\-suite quik: did you mean quick?' run --suite quik
refuse '\-\-suite quik: did you mean quick?' --suite quik
refuse '\-\-suite x: must be quick, prefill, ' run --suite x
refuse '\-\-op atention: did you mean attention?' run --op atention
refuse '\-\-dtype fp16: did you mean f16?' run --dtype fp16
refuse '\-\-path coopmat3: did you mean coopmat or coopmat2?' run --path coopmat3
refuse '\-\-build dvice: did you mean device?' pattern causal --build dvice
refuse '\-\-level pair: must be element or tile' pattern causal --level pair
refuse "unknown pattern 'bigbird'; did you mean bigbird-itc or bigbird-etc?" pattern bigbird
refuse "unknown pattern 'causl'; did you mean causal?" patterns --pattern causl
refuse "unknown pattern 'zzz'" pattern zzz
refuse "no parameter 'lef'; did you mean left?" pattern window:lef=3
refuse "no parameter 'left'; it has none" pattern causal:left=3
refuse 'tun: unknown command; did you mean tune?' help tun

# ---- numbers ---------------------------------------------------------------------------------------------------------------

refuse '\-\-seed -1: must be a whole number, 0 to' run --seed -1
refuse '\-\-device abc: must be a whole number, 1 to' run --device abc
refuse '\-\-device 0: must be a whole number, 1 to' tune --device 0
refuse '\-\-device -2: must be' pattern causal --device -2
for option in batch heads kv-heads q-len kv-len head-dim value-dim; do
    refuse "\-\-$option 0: must be a whole number, 1 to" run --op attention --$option 0
    refuse "\-\-$option 4x: must be a whole number, 1 to" run --op attention --$option 4x
    refuse "\-\-$option 99999999999: must be a whole number" run --op attention --$option 99999999999
done
refuse '\-\-window-left 9999999999: must be' run --op attention --window-left 9999999999
refuse '\-\-rows 0: must be' run --op layer_norm --rows 0
refuse '\-\-cols -1: must be' run --op layer_norm --cols -1
refuse '\-\-splits -1: must be' run --splits -1
refuse '\-\-repeats 501: must be a whole number, 1 to 500' run --repeats 501
refuse '\-\-repeats .*: must be' patterns --repeats ''
refuse '\-\-seconds nan: must be a number' run --seconds nan
refuse '\-\-seconds 0: must be a number' tune --seconds 0
refuse '\-\-limit -1: must be a number' run --limit -1
refuse '\-\-n 0: must be' patterns --n 0
refuse '\-\-queries 0: must be' pattern causal --queries 0
refuse '\-\-heads x: must be' pattern causal --heads x
refuse '\-\-head 3: must be below --heads' pattern causal --head 3
refuse '\-\-tile 16: must be queries x keys' pattern causal --tile 16
refuse '\-\-tile 16x-1: must be queries x keys' pattern causal --tile 16x-1
refuse '\-\-query 3,-1: must be a token' pattern swin --query 3,-1
refuse '\-\-query 5: at most four' pattern swin --query 1 --query 2 --query 3 --query 4 --query 5
refuse 'kv-heads 2: --heads, which is 3, must be a multiple' run --op attention --heads 3 --kv-heads 2
refuse 'too large' run --op attention --q-len 1000000000 --heads 1000000000
refuse 'not a number' pattern window:left=three
refuse 'not a number' pattern lsh:before=-1 # only windows have negative bounds
refuse 'heads are a number' pattern causal@x

# ---- options that don't belong there ---------------------------------------------------------------------------------------

refuse '\-\-rows 3: is only for --op layer_norm' run --op attention --rows 3
refuse '\-\-residual: is only for --op layer_norm' run --op attention --residual
refuse '\-\-causal: is only for --op attention' run --op layer_norm --causal
refuse '\-\-splits 2: is only for suites, --op attention' run --op layer_norm --splits 2
refuse '\-\-heads 2: is only for --op attention' run --heads 2
refuse '\-\-suite quick: excludes --op' run --op attention --suite quick
refuse '\-\-residual: is only for --op layer_norm, --op rms_norm' run --op map --residual
refuse 'the buckets, must be 4 to 1024' run --op relative_bias_t5_backward --outputs 3
refuse 'head dimensions are at most 576' run --op attention --head-dim 577
refuse '\-\-all: is only for suites' run --op attention --all
refuse '\-\-n 5: is only for patterns' run --n 5
refuse '\-\-pattern causal: is only for patterns' tune --pattern causal
refuse '\-\-suite quick: is only for suites' tune --suite quick
refuse '\-\-op softmax: tune is for attention and linear' tune --op softmax
refuse '\-\-explain: is only for run' options --explain
refuse '\-\-device 1: is only for ' devices --device 1
refuse '\-\-path tile: layer_norm has auto, lane and group' run --op layer_norm --path tile
refuse '\-\-path lane: attention has auto, row, ' run --suite decode --path lane
refuse '\-\-splits 2: layer norms have no splits' run --suite norms --splits 2
refuse '\-\-json: needs a value' run --json
refuse '\-\-suite --json: is an option, not a value' run --suite --json x
refuse '\-\-json .*: is empty' run --json ''
refuse 'x: unexpected argument' devices x
refuse 'needs 2 arguments, got 1' compare one.json

# ---- files -------------------------------------------------------------------------------------------------------------------

echo '{"schema": "other"}' >"$work/other.json"
: >"$work/empty.json"
refuse "\-\-tuning $work/absent.json: No such file" run --tuning "$work/absent.json"
refuse "\-\-tuning $work: " run --tuning "$work"
refuse "\-\-tuning $work/other.json: is no tuning record" options --tuning "$work/other.json"
refuse "\-\-tuning $work/empty.json: the file is empty" run --tuning "$work/empty.json"
expect 2 'read' compare "$work/absent.json" "$work/absent.json"
expect 2 'schema' compare "$work/other.json" "$work/other.json"

# ---- self-test -------------------------------------------------------------------------------------------------------

expect 0 '^switched off: nothing' self-test --limit 0.001
expect 0 '^  layer_norm .* not finished' self-test --limit 0.001

# ---- patterns --------------------------------------------------------------------------------------------------------------

refuse 'a pattern is missing' pattern
refuse 'a pattern is missing at the end' pattern causal and
refuse "'and' needs a pattern before it" pattern and causal
refuse 'more than 16 terms' pattern longformer and longformer and longformer
expect 2 'for patterns of a grid' pattern causal --query 3
expect 2 'the grid is 16 x 16' pattern neighborhood2d --query 3,16
expect 2 'the grid is 4 x 8 x 8' pattern neighborhood3d --query 3,3
expect 0 '^bigbird-itc:block=16' pattern --list
refuse 'grid has 1024 tokens' patterns --n 100 --pattern swin:size=32

# ---- no device: the library's reason, once ------------------------------------------------------------------------------------

for command in devices run tune options record self-test patterns 'pattern causal'; do
    (
        VK_DRIVER_FILES=$work/none VK_ICD_FILENAMES=$work/none
        export VK_DRIVER_FILES VK_ICD_FILENAMES
        cd "$work" || exit
        "$bench" $command
    ) >"$work/log" 2>&1
    [ $? -eq 3 ] && [ "$(grep -c '' "$work/log")" = 1 ] && grep -q '^vkattn-bench: no Vulkan' "$work/log" ||
        fail "$command without a driver"
    echo "ok: $command without a driver"
done

"$bench" devices >"$work/log" 2>&1
if [ $? -eq 3 ]; then
    echo "SKIP: no Vulkan device, so nothing was run:"
    cat "$work/log"
    exit 77
fi
expect 0 '^1: ' devices
expect 3 '^vkattn-bench: --device 32: there' run --device 32

# ---- runs ------------------------------------------------------------------------------------------------------------------

tiny='--op attention --heads 2 --q-len 33 --kv-len 65 --head-dim 8 --causal --repeats 2'
expect 0 '^f32 H2 Nq33 Nk65 D8 causal  *[a-z]* .* [MGT]FLOP/s  *[0-9.]* %$' run $tiny --json "$work/a.json"
expect 0 '^kind     ' run $tiny
for column in case kernel time spread rate peak; do
    grep -q "^$column  " "$work/log" || fail "the column $column isn't explained"
done
if "$bench" devices | grep -A2 '^1: ' | grep -q 'type  *software'; then
    grep -q 'NOT A GPU: the CPU pretends' "$work/log" || fail "it doesn't say that the CPU pretends to be a GPU"
fi
expect 0 '2 samples of .* first call' run --op layer_norm --rows 7 --cols 100 --dtype f16 --residual --repeats 2 -v
expect 0 'embed f16 7x96 of 50 q4_0 .* [0-9.]* [MG]B/s' run --op embedding --rows 7 --cols 96 --outputs 50 --dtype f16 --weight-bits 4 --repeats 2
expect 0 ' kernel: ' run --op layer_norm --rows 7 --cols 100 --dtype f16 --residual --repeats 2 --explain
expect 0 '^bf16 H2 Nq33 Nk65 D8 causal' run $tiny --dtype bf16
expect 0 'geometric mean of A / B 1.000' compare "$work/a.json" "$work/a.json"
expect 1 "can't be written" run $tiny --json "$work/no/such/folder.json"
expect 1 '^0 measured, 0 failed, 8 skipped' --limit 0.001
expect 1 'only f16 and bf16 tensors have' run --op attention --q-len 64 --path coopmat --dtype f32
grep -q FAIL "$work/log" || fail "a path that the library refuses doesn't fail"

# Ctrl-C: once with the suite `quick` before something is measured, and once without a file, when something is.
# interrupt PATTERN ARGUMENT ..: sends it when the output matches; the exit status is in $status. timeout passes the signal
# on; a shell alone would start the program with Ctrl-C ignored.
interrupt() {
    pattern=$1
    shift
    TMPDIR=$work timeout --foreground --preserve-status 900 "$bench" "$@" >"$work/log" 2>&1 &
    while kill -0 $! 2>/dev/null && ! grep -q "$pattern" "$work/log"; do sleep 0.2; done
    kill -INT $! 2>/dev/null
    wait $!
    status=$?
}
if timeout --version 2>/dev/null | grep -q GNU; then
    interrupt '^plan  *suite quick, 8 cases' --json "$work/stopped.json"
    [ $status -eq 130 ] && grep -q '^stopped by Ctrl-C: [0-9]* of 8 cases' "$work/log" &&
        grep -q "^results in $work/stopped.json" "$work/log" && grep -q 'not reached' "$work/stopped.json" ||
        fail "Ctrl-C in the suite quick"
    interrupt '^norm .*B/s' --suite norms --repeats 500
    file=$(sed -n 's/^results in //p' "$work/log")
    [ $status -eq 130 ] && grep -q '^stopped by Ctrl-C: [1-9]' "$work/log" && grep -q '"verified":.*true' "$file" ||
        fail "Ctrl-C without a file -> exit status $status"
    echo "ok: Ctrl-C"
fi

# Colours and a bar on a terminal only, and as NO_COLOR says.
escape=$(printf '\033')
if command -v script >/dev/null; then
    TERM=xterm script -qec "$bench devices" /dev/null </dev/null >"$work/log" 2>&1
    grep -q "$escape\[[0-9;]*m" "$work/log" || fail "no colours on a terminal"
    NO_COLOR=1 TERM=xterm script -qec "$bench devices" /dev/null </dev/null >"$work/log" 2>&1
    ! grep -q "$escape" "$work/log" || fail "colours although NO_COLOR is set"
    TERM=xterm script -qec "$bench run $tiny" /dev/null </dev/null >"$work/log" 2>&1
    grep -q '\[#*\.*\] [0-9]*/2, [0-9]*:[0-9][0-9]' "$work/log" || fail "no bar on a terminal"
    "$bench" run $tiny >"$work/log" 2>&1
    ! grep -q "$escape" "$work/log" || fail "escape sequences without a terminal"
    echo "ok: colours and the bar"
fi

# ---- record ----------------------------------------------------------------------------------------------------------

refuse '\-\-recordings 0: must be a whole number, 1 to 20000' record --recordings 0
refuse '\-\-suite quick: is only for suites' record --suite quick
expect 0 '^operation  *commands  *bare  *plan  *ratio  *checked  *ratio' record --recordings 3 --json "$work/r.json"
operations=$(grep -c '"operation":' "$work/r.json")
[ "$operations" -ge 9 ] || fail "the file of recordings hasn't all operations"
[ "$(grep -c '"state":	"ok"' "$work/r.json")" = "$operations" ] || fail "an operation could not be recorded"
expect 1 "can't be written" record --json "$work/no/such/folder.json"

# ---- layers ----------------------------------------------------------------------------------------------------------

expect 0 '^  the layer  *[0-9.]* [mun]*s  *[0-9.]* of the sum' layers --n 2 --seconds 0.01 --json "$work/l.json"
grep -q '^  q8_0  *[0-9.]* MiB  *2  *[0-9.]* [mun]*s' "$work/log" || fail "tokens of a model aren't measured"
[ "$(grep -c '"state":	"ok"' "$work/l.json")" = 3 ] || fail "a layer or a model failed"

# ---- accuracy --------------------------------------------------------------------------------------------------------

expect 0 '^q4_0  *[0-9.]* %  *[0-9.]* %  *[0-9.]*$' accuracy --seed 3
[ "$(grep -c '^q8_0  *[0-9.]* %' "$work/log")" = 2 ] || fail "a cache's accuracy isn't measured"

# ---- options ---------------------------------------------------------------------------------------------------------------

expect 0 '^plan  *[0-9]* options in 2 tables, in at most about 0 s' options --dtype f32 --seconds 0.01 --json "$work/o.json"
grep -q '^causal  *[0-9.]* [mun]*s  *[0-9.]*  *[0-9.]* %  *0.60' "$work/log" || fail "the first option isn't measured"
grep -q '^goal  *the ratio that' "$work/log" || fail "what a goal is isn't said"
grep -q 'SKIP out of time: see --seconds' "$work/log" || fail "no time is enough for all options"
planned=$(sed -n 's/^plan  *\([0-9]*\) options.*/\1/p' "$work/log")
[ "$(grep -c '"option":' "$work/o.json")" = "$planned" ] || fail "the file of options hasn't all of them"
grep -q 'vkattn-bench-options/1' "$work/o.json" || fail "the file of options has no schema"
expect 1 "can't be written" options --json "$work/no/such/folder.json"

# ---- tune ------------------------------------------------------------------------------------------------------------------

expect 0 "^results in $work/tuning.json" tune --dtype f32 --seconds 1 --json "$work/tuning.json"
expect 0 "^results in $work/tuning.json" tune --dtype f32 --seconds 10 --json "$work/tuning.json"
[ "$(grep -c driver_version "$work/tuning.json")" = 1 ] || fail "tuning twice leaves two records"
grep -q '^type .*ratio spread rule' "$work/log" || fail "tune prints no table"
[ "$(grep -c ' yes$' "$work/log")" = "$(grep -c '"spread"' "$work/tuning.json")" ] || fail "yes isn't what is written"
# No rule that is not faster than the default by more than the spread.
awk -F'[:,]' '/"ratio"/ { ratio = $2 } /"spread"/ && !(1 - ratio > $2) { exit 1 }' "$work/tuning.json" ||
    fail "a rule within the spread"
# The rules of one operation are replaced, those of others stay.
{
    echo '{"vkattn_tuning": 1, "records": [{'
    grep -E '"(vendor_id|device_id|driver_id|driver_version)"' "$work/tuning.json"
    echo '"attention": [{"kept": 1}]}]}'
} >"$work/linear.json"
expect 0 '^f32  *M 1 ' tune --op linear --dtype f32 --seconds 1 --json "$work/linear.json"
[ "$(grep -c '"kept"' "$work/linear.json")" = 1 ] || fail "tuning linear layers loses the rules of attention"
expect 1 'no tuning record: not overwritten' tune --dtype f32 --seconds 1 --json "$work/a.json"
expect 1 "can't be written" tune --dtype f32 --seconds 1 --json "$work/no/such/folder.json"

# A record is followed: here one that has what the library would choose anyway.
"$bench" run $tiny --explain >"$work/plan" 2>&1
value() { sed -n "s/^ *$1: //p" "$work/plan"; }
{
    echo '{"vkattn_tuning": 1, "records": [{'
    grep -E '"(vendor_id|device_id|driver_id|driver_version)"' "$work/tuning.json"
    cat <<END
"attention": [{"dtype": "f32", "head_dim": 64, "path": "$(value path)", "query_tile": $(value query_tile),
    "key_tile": $(value key_tile), "rows_per_invocation": $(value rows_per_invocation),
    "team": $(value invocations_per_row)}]}]}
END
} >"$work/hand.json"
expect 0 "tuning record's measurements" run $tiny --explain --tuning "$work/hand.json"

# So is one of linear layers, here a tile that the library would not choose, of weights with blocks.
{
    echo '{"vkattn_tuning": 1, "records": [{'
    grep -E '"(vendor_id|device_id|driver_id|driver_version)"' "$work/tuning.json"
    cat <<END
"linear": [{"dtype": "q8_0", "rows": 8, "path": "vector", "row_tile": 1, "output_tile": 4, "rows_per_invocation": 2, "team": 8}]}]}
END
} >"$work/linear-hand.json"
expect 0 "tuning record's measurements" run --op linear --dtype f32 --rows 1 --cols 64 --weight-bits 8 --explain --tuning "$work/linear-hand.json"
grep -q 'team: *8' "$work/log" || fail "the tile of a record isn't taken"

# ---- pictures: the pairs of three queries in the order of tokens, and the same whoever builds the map ------------------------

small='window:left=1:right=0 --queries 33 --tile 16x32'
expect 0 'density 5.969 %' pattern $small --build host --out "$work/host.svg"
expect 0 'live         4 of 6 ' pattern $small --build device --out "$work/device.svg"
grep -q 'd="M0 .5m0 0h1m-1 1h2m-1 1h2m-1 1h2' "$work/host.svg" && cmp "$work/host.svg" "$work/device.svg" ||
    fail "the picture of $small"
echo "ok: the picture of $small"
expect 0 'in boxes of the grid' pattern swin --level tile --out "$work/tiles.svg"
expect 0 'wrote' pattern neighborhood3d --query 0,0,0 --query 2,4,4 --out "$work/grid.svg"
expect 0 'wrote' pattern 'causal@0-1 or window:left=3:right=3@2' --heads 3 --head 2 --out "$work/head.svg"
expect 1 '.png or .svg' pattern causal --out "$work/picture.gif"
expect 1 "can't be written" pattern causal --out "$work/no/such/folder.svg"
if "$bench" pattern causal --queries 700 --out "$work/picture.png" >"$work/log" 2>&1; then
    [ "$(head -c 4 "$work/picture.png" | tail -c 3)" = PNG ] || fail "no PNG"
else
    grep -q 'without libpng' "$work/log" || fail "no picture"
fi
expect 2 'vka_pattern' pattern swin:size=10x10:window=4

# ---- patterns' costs ---------------------------------------------------------------------------------------------------------

long='--seconds 3000 --repeats 1'
expect 0 '^neighborhood2d:size=8x16:window=5 x 512$' patterns --pattern neighborhood2d:size=8x16:window=5 $long
expect 0 '^2 measured' patterns --n 16 --pattern causal $long # one call is too short to be measured alone
expect 0 '^    64 tokens, ' patterns --n 64 --pattern 'longformer and causal' -v $long
expect 0 '^ratio  ' patterns --n 1024 --json "$work/patterns.json" $long
[ "$(grep -c '"ratio":.*[0-9]' "$work/patterns.json")" = 21 ] || fail "21 patterns have a ratio"
expect 0 ' and 19 more .*SKIP out of time: see --seconds' patterns --n 1024 --repeats 1 --seconds 0.001
expect 1 "can't be written" patterns --json "$work/no/such/folder.json"

for field in schema device driver commit date peaks cases ms_median first_call_ms verified share_of_peak bytes_peak; do
    grep -q "\"$field\"" "$work/a.json" || {
        echo "FAIL: the JSON file has no field $field"
        exit 1
    }
done
echo "ok: fields of the JSON file"
