#!/bin/sh
# bench_cli: exit statuses of the command line, and a small run whose JSON `compare` reads back.
#   test_cli.sh BENCH      exit status 77: no Vulkan device here
set -u
bench=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect STATUS TEXT ARGUMENT ...: runs the bench; its status and a text in its output must be these
expect() {
    status=$1 text=$2
    shift 2
    "$bench" "$@" >"$work/log" 2>&1
    got=$?
    if [ "$got" -ne "$status" ] || ! grep -q -e "$text" "$work/log"; then
        echo "FAIL: $* -> exit status $got, expected $status and the text '$text'; it wrote:"
        cat "$work/log"
        exit 1
    fi
    echo "ok: $*"
}

expect 2 'usage:'
expect 2 'unknown command' nonsense
expect 2 'unknown option' run --nonsense
expect 2 'unexpected argument' run quick
expect 2 'unknown suite' run --suite nonsense
expect 2 'unknown operation' run --op nonsense
expect 2 'at least 1' run --op attention --batch 0
expect 2 'multiple of' run --op attention --heads 3 --kv-heads 2
expect 2 'no such path' run --op layer_norm --path tile
expect 2 'needs --op' run --heads 2
expect 2 'for patterns' run --n 5
expect 2 'for patterns' tune --pattern causal
expect 2 'unknown pattern' patterns --pattern nonsense
expect 2 'a pattern is missing' pattern
expect 2 'a pattern is missing at the end' pattern causal and
expect 2 "'and' needs a pattern before it" pattern and causal
expect 2 'unknown pattern' pattern nonsense
expect 2 'no parameter' pattern causal:left=3
expect 2 'not a number' pattern window:left=three
expect 2 'not a number' pattern lsh:before=-1 # only windows have negative bounds
expect 2 'more than 16 terms' pattern longformer and longformer and longformer
expect 2 'heads are a number' pattern causal@x
expect 2 'queries x keys' pattern causal --tile 16
expect 2 'element or tile' pattern causal --level pair
expect 2 'for patterns of a grid' pattern causal --query 3
expect 2 'the grid is 16 x 16' pattern neighborhood2d --query 3,16
expect 2 'the grid is 4 x 8 x 8' pattern neighborhood3d --query 3,3
expect 0 '^bigbird-itc:block=16' pattern --list
expect 2 'patterns takes' patterns --suite quick
expect 2 'grid has 1024 tokens' patterns --n 100 --pattern swin:size=32
expect 2 'needs 2 arguments' compare one.json
expect 2 'read' compare "$work/absent.json" "$work/absent.json"
echo '{"schema": "other"}' >"$work/other.json"
expect 2 'schema' compare "$work/other.json" "$work/other.json"
expect 0 'usage:' --help

"$bench" devices >"$work/log" 2>&1
if [ $? -eq 3 ]; then
    echo "SKIP: no Vulkan device, so nothing was run:"
    cat "$work/log"
    exit 77
fi
expect 0 '^1: ' devices
expect 3 'no device 99' run --device 99

tiny='--op attention --heads 2 --q-len 33 --kv-len 65 --head-dim 8 --causal --repeats 2'
expect 0 '^attention f32 B1 H2 Nq33 Nk65 D8 causal' run $tiny --json "$work/a.json"
expect 0 'first ms' run --op layer_norm --rows 7 --cols 100 --dtype f16 --residual --repeats 2 --explain
expect 0 '^attention bf16 B1 H2 Nq33 Nk65 D8 causal' run $tiny --dtype bf16
expect 0 'geometric mean of A / B 1.000' compare "$work/a.json" "$work/a.json"
expect 1 "can't be written" run $tiny --json "$work/no/such/folder.json"
expect 2 'tune takes' tune --suite quick
expect 2 'options takes' options --json x
expect 0 "wrote $work/tuning.json" tune --dtype f32 --seconds 1 --json "$work/tuning.json"
expect 0 "wrote $work/tuning.json" tune --dtype f32 --seconds 1 --json "$work/tuning.json"
[ "$(grep -c driver_version "$work/tuning.json")" = 1 ] || {
    echo "FAIL: tuning twice leaves two records"
    exit 1
}
expect 0 "tuning record's measurements" run $tiny --explain --tuning "$work/tuning.json"
expect 1 'no tuning record' tune --dtype f32 --seconds 1 --json "$work/a.json"

# Pictures: the pairs of three queries in the order of tokens, and the same whoever builds the map.
small='window:left=1:right=0 --queries 33 --tile 16x32'
expect 0 'density 5.969 %' pattern $small --build host --out "$work/host.svg"
expect 0 'live         4 of 6 ' pattern $small --build device --out "$work/device.svg"
grep -q 'd="M0 .5m0 0h1m-1 1h2m-1 1h2m-1 1h2' "$work/host.svg" && cmp "$work/host.svg" "$work/device.svg" || {
    echo "FAIL: the picture of $small"
    exit 1
}
echo "ok: the picture of $small"
expect 0 'in boxes of the grid' pattern swin --level tile --out "$work/tiles.svg"
expect 0 'wrote' pattern neighborhood3d --query 0,0,0 --query 2,4,4 --out "$work/grid.svg"
expect 0 'wrote' pattern 'causal@0-1 or window:left=3:right=3@2' --heads 3 --head 2 --out "$work/head.svg"
expect 1 '.png or .svg' pattern causal --out "$work/picture.gif"
expect 1 "can't be written" pattern causal --out "$work/no/such/folder.svg"
if "$bench" pattern causal --queries 700 --out "$work/picture.png" >"$work/log" 2>&1; then
    [ "$(head -c 4 "$work/picture.png" | tail -c 3)" = PNG ] || { echo "FAIL: no PNG"; exit 1; }
else
    grep -q 'without libpng' "$work/log" || { cat "$work/log"; exit 1; }
fi
expect 2 'vka_pattern' pattern swin:size=10x10:window=4
expect 0 '^neighborhood2d:size=8x16:window=5  *512 ' patterns --pattern neighborhood2d:size=8x16:window=5 --repeats 1
expect 0 '^longformer and causal  *64 ' patterns --n 64 --pattern 'longformer and causal' --repeats 1
expect 0 'ratio' patterns --n 1024 --repeats 1 --json "$work/patterns.json"
[ "$(grep -c '"ratio":.*[0-9]' "$work/patterns.json")" = 21 ] || {
    echo "FAIL: 21 patterns have a ratio"
    exit 1
}

for field in schema device driver commit date peaks cases ms_median first_call_ms verified share_of_peak bytes_peak; do
    grep -q "\"$field\"" "$work/a.json" || {
        echo "FAIL: the JSON file has no field $field"
        exit 1
    }
done
echo "ok: fields of the JSON file"
