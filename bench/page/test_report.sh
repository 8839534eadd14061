#!/bin/sh
# report: the page and its charts from stored results, which are made up (fixtures/), and what is refused.
#   test_report.sh BENCH FIXTURES
set -u
bench=$1 fixtures=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*"
    exit 1
}

# expect STATUS TEXT ARGUMENT ...: the status, and one line that has the text
expect() {
    status=$1 text=$2
    shift 2
    "$bench" report "$@" >"$work/log" 2>&1
    got=$?
    [ "$got" -eq "$status" ] && grep -q -F -e "$text" "$work/log" ||
        fail "report $* -> exit status $got, expected $status and the text '$text'; it wrote: $(cat "$work/log")"
    echo "ok: report $*"
}

# refuse TEXT FILE: names the file in a single line, and leaves no page
refuse() {
    rm -f "$work/refused.html"
    expect 2 "vkattn-bench: $2: $1" "$2" --out "$work/refused.html"
    [ "$(wc -l <"$work/log")" = 1 ] || fail "more than a line: $(cat "$work/log")"
    [ ! -e "$work/refused.html" ] || fail "$2 was refused, and a page was written"
}

# Every element that begins ends, in order.
balanced() {
    tr '\n' ' ' <"$1" | sed 's/<!DOCTYPE html>//; s/</\n</g' | awk '
        NR == 1 { next }
        { gsub(/"[^"]*"/, "\"\"") }
        !/^<\/?[a-zA-Z][a-zA-Z0-9]*( [a-zA-Z:-]+="")* ?\/?>[^>]*$/ && !/^<(style|script)>/ { print "no element: " $0; exit 1 }
        /^<\// { name = $0; sub(/^<\//, "", name); sub(/>.*/, "", name)
                 if (stack[depth--] != name) { print "does not end here: " $0; exit 1 } next }
        { name = $0; sub(/^</, "", name); sub(/[ \/>].*/, "", name) }
        $0 !~ /^<[^>]*\/>/ { stack[++depth] = name }
        END { if (depth) { print "never ends: " stack[depth]; exit 1 } }'
}

# ---- the page
all="$fixtures/gpu.json $fixtures/software.json $fixtures/patterns.json $fixtures/options.json"
page=$work/page.html
expect 0 "wrote $page" $all --out "$page"
expect 0 wrote --out "$work/again.html" $all
cmp "$page" "$work/again.html" || fail "the same files give another page"
balanced "$page" || fail "the page is not well-formed"

for id in glance roofline ratios throughput time decode window patterns options norms plans cases; do
    grep -q "<section[^>]* id=\"$id\"" "$page" || fail "the page has no section $id"
done
if grep -q -E '(href|src)="[^#]|url\(|https?:|<(link|img|iframe|object)' "$page"; then
    fail "the page needs something from elsewhere"
fi
# Each value of a chart is in the table of its figure.
awk '/<section class="figure"/ { marks = 0; rows = 0 }
     /<g class="pt / { marks++; all++ }
     /<tr><th scope="row">/ { rows++ }
     /<\/section>/ && marks { if (marks != rows) { print marks " marks, " rows " rows: " $0; exit 1 } marks = 0 }
     END { if (all < 60) { print "only " all " marks"; exit 1 } }' "$page" || fail "charts and tables differ"
# 123.456 ms: 8.59e9 operations, 69.6 GFLOP/s
grep -A 3 'class="pt c1" data-x="1024" data-y="123.456"' "$page" | grep -q '^time of a call: 123 ms' ||
    fail "the time of 123.456 ms is in no chart"
grep -q '<td class="n">123 ms</td><td class="n">123 ms to 123 ms</td><td class="n">17.4 GFLOP/s</td>' "$page" ||
    fail "the case of 123.456 ms is not in the table"
grep -q 'B is a software driver' "$page" || fail "nothing says that B is a software driver"
grep -q '1 failed' "$page" || fail "nothing says that a case failed"
grep -q '<text[^>]*>swin</text>' "$page" || fail "the pattern swin has no label"
grep -q 'class="goal" d="M' "$page" || fail "an option's goal is missing"
echo "ok: the page"

# ---- foreign text
if grep -q '<img\|<b>here' "$page"; then
    fail "text of a file became markup"
fi
grep -q '&lt;img src=x onerror=&quot;document.title=&#39;owned&#39;&quot;&gt; &amp; &quot;quotes&quot;' "$page" ||
    fail "the device's name is not as it was"
printf '{"schema": "vkattn-bench-patterns/1", "device": "odd \\u0007\\u001b[31m \377\355\240\200\300\257 end", "driver": "",
"patterns": [{"pattern": "causal", "state": "ok", "tokens": 4, "live_share": 0.5, "ratio": 1, "ms_median": 1}]}' >"$work/odd.json"
expect 0 wrote "$work/odd.json" --out "$work/odd.html"
balanced "$work/odd.html" || fail "odd bytes break the page"
grep -q 'odd .*\[31m .* end' "$work/odd.html" && grep -q "$(printf '\357\277\275')" "$work/odd.html" ||
    fail "odd bytes are not shown as such"
LC_ALL=C grep -q "$(printf '[\007\033\300\377]')" "$work/odd.html" && fail "odd bytes reached the page"

# Numbers that can't be measurements are none.
sed 's/"ms_median": .*,/"ms_median": 1e-320,/; s/"gbps": .*/"gbps": 1e308/; s/"tflops": .*,/"tflops": -1,/' "$fixtures/gpu.json" |
    sed '0,/1e-320/s//12.5/' >"$work/wild.json"
expect 0 wrote "$work/wild.json" --out "$work/wild.html"
balanced "$work/wild.html" || fail "wild numbers break the page"
sed '/<script>/,$d' "$work/wild.html" | grep -q -i -w -e nan -e inf -e '1e+308' && fail "wild numbers reached the page"
grep -q '12.5 ms' "$work/wild.html" || fail "the number that is one is missing"

# ---- one chart
for chart in roofline ratios throughput time decode window patterns options norms; do
    expect 0 "wrote $work/chart.svg" $all --chart $chart --out "$work/chart.svg"
    balanced "$work/chart.svg" || fail "the chart $chart is not well-formed"
    grep -q '^<svg xmlns="http://www.w3.org/2000/svg"' "$work/chart.svg" || fail "the chart $chart is no SVG"
    grep -q 'class="pt ' "$work/chart.svg" || fail "the chart $chart has no values"
done
expect 0 wrote "$fixtures/software.json" --chart roofline --out "$work/chart.svg"
grep -q 'software driver: the processor stands in' "$work/chart.svg" || fail "the chart does not say what it shows"
expect 2 'there are roofline, ratios, ' $all --chart nonsense --out "$work/x.svg"
expect 2 'vkattn-bench patterns' "$fixtures/gpu.json" --chart patterns --out "$work/x.svg"
expect 2 'a chart is an .svg' $all --chart roofline --out "$work/x.html"
expect 2 'the page is an .html' $all --out "$work/x.svg"
expect 1 "can't be written" $all --out "$work/no/such/folder.html"

# ---- what is refused
expect 2 'needs a file'
expect 2 'needs a value' $all --out
expect 2 '--nonsense' $all --nonsense
refuse "can't be read" "$work/absent.json"
mkdir "$work/folder"
refuse 'is a folder' "$work/folder"
bad=$work/bad.json
: >"$bad"
refuse 'is empty' "$bad"
head='"schema": "vkattn-bench/1", "device": "d", "driver": "", "commit": "c"'
try() {
    printf '%s' "$2" >"$bad"
    refuse "$1" "$bad"
}
try 'is not JSON' 'no JSON'
try 'is not JSON' "{$head, \"cases\": []} more"
try 'is no result of vkattn-bench' '[]'
try 'is no result of vkattn-bench' '{"cases": []}'
try 'its schema is not one of vkattn-bench' '{"schema": "vkattn-bench/2"}'
try 'it names no device' '{"schema": "vkattn-bench/1", "cases": [{}]}'
try 'it has no cases' "{$head}"
try 'it has no cases' "{$head, \"cases\": []}"
try "a case can't be understood: number 1" "{$head, \"cases\": [7]}"
try "a case can't be understood: number 1" "{$head, \"cases\": [{\"op\": \"attention\"}]}"
head -c 3000 "$fixtures/gpu.json" >"$bad"
refuse 'is not JSON' "$bad"
printf '{%s, "cases": []}\0' "$head" >"$bad"
refuse 'is not JSON' "$bad"
sed 's/"ok"/"skipped"/' "$fixtures/gpu.json" >"$bad"
refuse 'nothing was measured' "$bad"
many=''
for i in $(seq 27); do
    sed "s/\"v1-0\"/\"v1-$i\"/" "$fixtures/gpu.json" >"$work/many-$i.json"
    many="$many $work/many-$i.json"
done
expect 2 "$work/many-27.json: is one device, driver or commit too many" $many --out "$work/x.html"
expect 0 wrote ${many% *} --out "$work/many.html"
balanced "$work/many.html" || fail "the page of 26 commits is not well-formed"
