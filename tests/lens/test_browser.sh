#!/bin/sh
# lens: the page of attention in a browser. No error on the console; choosing a head, a layer, a token or a picture of the
# sheet changes what is drawn to what it should be; nothing is wider than a phone.
#   test_browser.sh WRITE_PAGE      exit status 77: no Chromium here
set -u
. "$(dirname "$0")/../support/chromium.sh"

"$1" "$work/page.html" || exit 1
grep -E 'https?://' "$work/page.html" | grep -v 'www.w3.org/2000/svg' && fail "the page refers to something elsewhere"

# A second script looks at the page from inside and notes what it sees on the outer page's <body>. `at` is where the
# widest lines of the tokens lead to; thin ones are counted.
cat >"$work/note" <<'END'
<script>
addEventListener('load', () => {
  const find = (text) => document.querySelector(text), all = (text) => [...document.querySelectorAll(text)];
  const drawn = () => {
    const lines = all('#lines line'), wide = lines.filter((l) => l.getAttribute('stroke-width') > 4);
    return wide.map((l) => Math.floor(l.getAttribute('y2') / 26)).join('') + '+' + (lines.length - wide.length);
  };
  const choose = (name, value) => find(`input[name=${name}][value="${value}"]`).click();
  const note = { first: drawn() };
  choose('head', 1);
  note.head = drawn();
  choose('layer', 1);
  note.layer = drawn();
  choose('head', 'mean');
  note.mean = drawn();
  choose('layer', 'rollout');
  const sum = all('#lines line').reduce((s, l) => s + (l.getAttribute('stroke-width') - 0.6) / 5, 0);
  note.rollout = sum.toFixed(2);
  choose('layer', 0);
  choose('head', 0);
  const token = all('#lines ol:first-child button')[3];
  token.focus();
  note.focus = drawn() + find('#says').textContent;
  token.click();
  all('#lines ol:last-child button')[2].focus();
  note.pinned = drawn();
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
  note.escape = drawn();
  all('.sheet button')[5].click();
  note.sheet = drawn() + find('input[name=layer]:checked').value + find('input[name=head]:checked').value;
  note.painted = all('canvas').filter((c) => c.getContext('2d').getImageData(0, 0, 5, 5).data.some((x) => x > 200)).length;
  note.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  note.title = document.title;
  parent.postMessage(JSON.stringify(note), '*');
});
</script>
END
sed "/^<body>/r $work/note" "$work/page.html" >"$work/noted.html"
cat >"$work/phone.html" <<'END'
<!DOCTYPE html><meta charset="utf-8"><body><script>
addEventListener('message', (e) => { document.body.dataset.note = e.data; });
</script><iframe src="noted.html" style="width: 360px; height: 800px; border: 0"></iframe>
END
open "$work/phone.html" 800 900
note=$(sed -n 's/.*data-note="\([^"]*\)".*/\1/p' "$work/dom" | head -n 1 | sed 's/&quot;/"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g')
for part in '"first":"01234+20"' '"head":"12340+20"' '"layer":"23401+20"' '"mean":"+25"' '"rollout":"5.00"' \
    '"focus":"3+4“café” looks at: café 0.80, ' '"pinned":"3+4"' '"escape":"01234+20"' '"sheet":"34012+2012"' '"painted":6' \
    '"wider":0' '"title":"Attention: <b>owned"'; do
    case $note in
    *"$part"*) ;;
    *) fail "the page has not $part: $note" ;;
    esac
done
echo "ok: $note"
