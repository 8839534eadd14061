#!/bin/sh
# report_browser: the page in a browser. No error on the console, every value can be hovered, nothing is wider than a
# phone, and nothing is lost without the script.
#   test_browser.sh BENCH FIXTURES      exit status 77: no Chromium here
set -u
bench=$1 fixtures=$2
. "$(dirname "$0")/../../tests/support/chromium.sh"

"$bench" report "$fixtures"/gpu.json "$fixtures"/software.json "$fixtures"/patterns.json "$fixtures"/options.json \
    --out "$work/page.html" || exit 1
marks=$(grep -c '<g class="pt ' "$work/page.html")

# What the page does is looked at from inside: a second script notes it on <body>. The phone is a frame of 390 pixels.
cat >"$work/note" <<'END'
<script>
addEventListener('load', () => {
  const points = [...document.querySelectorAll('.pt')], tip = document.getElementById('tip');
  const hover = (point) => {
    const box = point.getBoundingClientRect();
    const at = { bubbles: true, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    point.dispatchEvent(new PointerEvent('pointermove', at));
    return document.querySelector('.hot') && !tip.hidden && tip.textContent;
  };
  document.body.dataset.note = JSON.stringify({
    marks: points.length,
    tips: points.filter((p) => p.dataset.tip).length,
    hovered: points.filter(hover).length,
    flat: points.filter((p) => !(p.getBoundingClientRect().width > 4)).length,
    unnamed: [...document.querySelectorAll('.chart')].filter((c) => !/values from/.test(c.getAttribute('aria-label'))).length,
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    width: document.documentElement.clientWidth,
    owned: document.title === 'owned',
  });
  parent.postMessage(document.body.dataset.note, '*');
});
</script>
END
sed "/^<\/script>$/r $work/note" "$work/page.html" >"$work/noted.html"
cat >"$work/phone.html" <<'END'
<!DOCTYPE html><meta charset="utf-8"><body><script>
addEventListener('message', (e) => { document.body.dataset.note = e.data; });
</script><iframe src="noted.html" style="width: 390px; height: 800px; border: 0"></iframe>
END

# look FILE WIDTH HEIGHT INNER_WIDTH
look() {
    open "$1" "$2" "$3"
    note=$(sed -n 's/.*data-note="\([^"]*\)".*/\1/p' "$work/dom" | head -n 1 | sed 's/&quot;/"/g')
    for part in "\"marks\":$marks," "\"tips\":$marks," "\"hovered\":$marks," '"flat":0,' '"unnamed":0,' '"wider":0,' \
        "\"width\":$4," '"owned":false'; do
        case $note in
        *"$part"*) ;;
        *) fail "$1 has not $part: $note" ;;
        esac
    done
    echo "ok: $1: $note"
}
look "$work/noted.html" 1280 900 1280
look "$work/phone.html" 800 900 390

for chart in roofline options; do
    "$bench" report "$fixtures/software.json" "$fixtures/options.json" --chart $chart --out "$work/$chart.svg" || exit 1
    open "$work/$chart.svg" 900 700
    grep -q 'class="pt ' "$work/dom" || fail "the chart $chart has no values"
    grep -q parsererror "$work/dom" && fail "the chart $chart is not well-formed"
    echo "ok: $chart.svg"
done
