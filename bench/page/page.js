// Shows the value that is nearest to the pointer or finger. Without this script, values are titles and tables.
'use strict';
const tip = document.getElementById('tip');
let hot = null;

function say(point, box) {
  if (hot) hot.classList.remove('hot');
  hot = point;
  tip.hidden = !point;
  if (!point) return;
  point.classList.add('hot');
  tip.textContent = point.dataset.tip;
  const at = box || point.getBoundingClientRect();
  const x = at.left + at.width / 2 - tip.offsetWidth / 2;
  const above = at.top - tip.offsetHeight - 10;
  const y = 8 > above ? at.bottom + 10 : above;
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.transform = `translate(${Math.max(8, Math.min(x, room))}px, ${y}px)`;
}

for (const chart of document.querySelectorAll('.chart')) {
  const points = [...chart.querySelectorAll('.pt')];
  for (const point of points) {
    const title = point.querySelector('title');
    point.dataset.tip = title.textContent;
    title.remove();
  }
  // A title of the whole chart would hide those of its values.
  const title = chart.querySelector(':scope > title'), about = chart.querySelector(':scope > desc');
  chart.removeAttribute('aria-labelledby');
  chart.setAttribute('aria-label', `${title.textContent}. ${about.textContent}`);
  title.remove();
  chart.addEventListener('pointermove', (event) => {
    let best = null, least = 28;
    for (const point of points) {
      const box = point.getBoundingClientRect();
      const far = Math.hypot(box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY);
      if (least > far) { least = far; best = point; }
    }
    if (best !== hot) say(best);
  });
  chart.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') say(null); });
}
addEventListener('scroll', () => say(null), { passive: true });
addEventListener('keydown', (event) => { if (event.key === 'Escape') say(null); });
// On paper nothing can be opened.
addEventListener('beforeprint', () => {
  for (const part of document.querySelectorAll('details.print')) part.open = true;
});
