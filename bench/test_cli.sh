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
for field in schema device driver commit date peaks cases ms_median first_call_ms verified share_of_peak bytes_peak; do
    grep -q "\"$field\"" "$work/a.json" || {
        echo "FAIL: the JSON file has no field $field"
        exit 1
    }
done
echo "ok: fields of the JSON file"
