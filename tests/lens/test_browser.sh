#!/bin/sh
# lens: the page of attention in a browser. No error on the console; choosing a head, a layer, a token, a patch or a picture of
# the sheet changes what is drawn to what it should be; nothing is wider than a phone.
#   test_browser.sh WRITE_PAGE      exit status 77: no Chromium here
set -u
. "$(dirname "$0")/../support/chromium.sh"

for kind in texts patches caption; do
    "$1" $kind "$work/$kind.html" || exit 1
    grep -E 'https?://' "$work/$kind.html" | grep -v 'www.w3.org/2000/svg' && fail "the page of $kind refers to something elsewhere"
done
[ "$(grep -o 'data:image/png' "$work/patches.html" | wc -l)" = 1 ] || fail "a picture of both sides is not written once"

# noted KIND: the page, which the script in $work/note looks at from inside
noted() {
    sed "/^<body>/r $work/note" "$work/$1.html" >"$work/noted-$1.html"
}

# look KIND PART ..: what was noted of the page has all of these parts
look() {
    kind=$1
    shift
    note=$(sed -n "s/.*data-$kind=\"\([^\"]*\)\".*/\1/p" "$work/dom" | head -n 1 | sed 's/&quot;/"/g; s/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g')
    for part in "$@"; do
        case $note in
        *"$part"*) ;;
        *) fail "the page of $kind has not $part: $note" ;;
        esac
    done
    echo "ok: $kind: $note"
}

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
  const token = all('.q ol button')[3];
  token.focus();
  note.focus = drawn() + find('#says').textContent;
  token.click();
  all('.k ol button')[2].focus();
  note.pinned = drawn();
  document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
  note.escape = drawn();
  all('.sheet button')[5].click();
  note.sheet = drawn() + find('input[name=layer]:checked').value + find('input[name=head]:checked').value;
  note.painted = all('canvas').filter((c) => c.getContext('2d').getImageData(0, 0, 5, 5).data.some((x) => x > 200)).length;
  note.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  note.title = document.title;
  note.explained = all('.attribution').map((s) => s.textContent).join('|');
  note.shares = all('.attribution')[0].querySelectorAll('li').length + ' ' + all('.attribution li').slice(0, 2)
    .map((li) => getComputedStyle(li).backgroundColor).filter((c, i, both) => both.indexOf(c) === i).length;
  parent.postMessage(JSON.stringify(note), '*');
});
</script>
END
noted texts

# Of a picture that is painted over: the patches of full colour, counted from 0, and how many others have some.
cat >"$work/note" <<'END'
<script>
addEventListener('load', () => {
  const find = (text) => document.querySelector(text), all = (text) => [...document.querySelectorAll(text)];
  const over = (canvas) => {
    if (!canvas) return 'none';
    const { width, height } = canvas, copy = Object.assign(document.createElement('canvas'), { width, height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const shades = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3]), most = Math.max(1, ...shades);
    return shades.map((x, i) => x === most ? i : -1).filter((i) => i >= 0).join(' ') + '+' + shades.filter((x) => x && x < most).length;
  };
  const drawn = () => ['.q', '.k'].map((side) => over(find(side + ' canvas'))).join(' | ');
  const choose = (name, value) => find(`input[name=${name}][value="${value}"]`).click();
  const press = (node, key) => node.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  const at = (board, type, x, y) => {
    const box = board.getBoundingClientRect();
    board.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerType: 'mouse',
      clientX: box.left + (x + 0.5) / 4 * box.width, clientY: box.top + (y + 0.5) / 3 * box.height }));
  };
  const note = { first: drawn(), sheet: over(find('.sheet canvas')).length > 8 };
  const token = find('.q ol button'), [q, k] = ['.q .patches', '.k .patches'].map(find);
  token.focus();
  note.token = drawn() + ' ' + find('#says').textContent.slice(0, 40);
  note.heads = all('.sheet canvas').map(over).join(' ');
  choose('head', 1);
  note.head = drawn();
  at(k, 'pointermove', 2, 1);
  note.key = drawn() + ' ' + find('#says').textContent.slice(0, 40);
  if (q) {
    at(q, 'pointermove', 1, 1);
    note.patch = drawn();
    at(q, 'click', 1, 1);
    at(k, 'pointermove', 0, 0);
    note.pinned = drawn();
    press(q, 'ArrowRight');
    note.arrow = drawn();
    press(q, 'ArrowUp');
    press(q, 'ArrowUp');
    note.edge = drawn() + ' ' + ['left', 'top', 'width'].map((side) => find('.q .patches i').style[side]).join(' ');
    press(q, 'Enter');
    note.free = drawn();
    find('input[value=rollout]').click();
    token.click();
    note.rollout = drawn();
    find('.side .on').click();
  }
  note.signs = over(find('.attribution canvas')) + ' ' + all('.attribution li').map((li) => li.textContent).join(' ');
  note.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  note.pictures = all('.patches').map((b) => { const { width, height } = b.getBoundingClientRect(); return (width / height).toFixed(2) + (width > 120); }).join(' ');
  parent.postMessage(JSON.stringify(note), '*');
});
</script>
END
noted patches
noted caption

# All in one browser, each as wide as a phone.
cat >"$work/phones.html" <<'END'
<!DOCTYPE html><meta charset="utf-8"><body><script>
addEventListener('message', (e) => { for (const f of document.querySelectorAll('iframe')) if (f.contentWindow === e.source) document.body.dataset[f.name] = e.data; });
</script>
<iframe name="texts" src="noted-texts.html" style="width: 360px; height: 800px; border: 0"></iframe>
<iframe name="patches" src="noted-patches.html" style="width: 360px; height: 800px; border: 0"></iframe>
<iframe name="caption" src="noted-caption.html" style="width: 360px; height: 800px; border: 0"></iframe>
END
open "$work/phones.html" 1200 900

look texts '"first":"01234+20"' '"head":"12340+20"' '"layer":"23401+20"' '"mean":"+25"' '"rollout":"5.00"' \
    '"focus":"3+4“café” looks at: café 0.80, ' '"pinned":"3+4"' '"escape":"01234+20"' '"sheet":"34012+2012"' '"painted":6' \
    '"wider":0' '"title":"Attention: <b>owned"' '"explained":"f & ga+0.500<' '&amp;+0.063They add up to 0.4375, of 0.9000 for this input less 0.4500 for' \
    'which is 0.4500: off by 1.3e-2, with 16 steps.|other<b>+0.500y−0.250z+0.125They add up to 0.3750' 'off by 0.0e+0' '"shares":"5 2"'
all='0 1 2 3 4 5 6 7 8 9 10 11+0'
look patches '"first":"+0 | '"$all"'"' '"sheet":true' '"token":"+0 | '"$all"' “class” looks at: class 0.80, ' \
    '"heads":"'"$all"' 0+11 1+11 0+11 1+11 2+11"' '"head":"+0 | 0+11"' '"key":"5+11 | +0 “patch 2, 3” is looked at by: patch 2, 2' \
    '"patch":"+0 | 6+11"' '"pinned":"+0 | 6+11"' '"arrow":"+0 | 7+11"' '"edge":"+0 | 3+11 50% 0% 25%"' '"free":"+0 | '"$all"'"' \
    '"rollout":"+0 | 1+11"' '"signs":"0+2 class+0.500 <b>+0.500 y' '"wider":0' '"pictures":"1.33true 1.33true 1.33true"'
look caption '"first":"none | 0 1 2+9"' '"token":"none | 0+11 “a” looks at: patch 1, 1 0.80, ' \
    '"heads":"0+11 1+11 2+11 1+11 2+11 3+11"' '"head":"none | 1+11"' '"key":"none | +0 “patch 2, 3” is looked at by: ' \
    '"wider":0' '"pictures":"1.33true"'
