#!/bin/sh
# gpu_check: tools/gpu-check on small shapes, from a copy of what it needs, writes JSON that parses and a table with rows.
#   test_gpu_check.sh SOURCE BUILD      exit status 77: no python3 or no Vulkan device here
set -u
source=$1 build=$2
python3 -c "import json" 2>/dev/null || {
    echo "SKIP: python3 is missing"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/build/release/bench" "$work/build/release/src" "$work/build/release/nn"
cp -R "$source/tools" "$work/"
cp "$build/bench/vkattn-bench" "$work/build/release/bench/"
cp -P "$build"/src/libvkattn.so* "$work/build/release/src/"
cp -P "$build"/nn/libvkattn_nn.so* "$work/build/release/nn/"

ldd "$work/build/release/bench/vkattn-bench" | grep -q "$work" || {
    echo "FAIL: a copied vkattn-bench does not take the library beside it"
    exit 1
}
"$work/tools/gpu-check" --tiny --minutes 1 --skip-tests --out "$work/out"
status=$?
if [ $status -eq 3 ]; then
    echo "SKIP: no Vulkan device"
    exit 77
fi
[ $status -eq 0 ] || {
    echo "FAIL: exit status $status"
    exit 1
}
python3 - "$work"/out/*.json <<'END' || exit 1
import json, sys
with open(sys.argv[1]) as file:
    doc = json.load(file)
rows = [r for r in doc["rows"] if r["contestants"]["vkattn"]["rate"]]
print(len(rows), "of", len(doc["rows"]), "cases measured")
assert doc["schema"] == "vkattn-gpu-check/1" and rows and doc["checks"] and doc["peaks"]["copy"]["value"] > 0
assert any(s["what"] == "tests" for s in doc["skipped"]), "what was skipped is not said"
END
lines=$(grep -c '^| attention f16 \|^| layer_norm ' "$work"/out/*.md)
[ "$lines" -ge 24 ] || {
    echo "FAIL: the table has $lines rows"
    exit 1
}
