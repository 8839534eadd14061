'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { queries, keys, layers, heads } = data;
  const n = queries.length, m = keys.length, row = 26;
  const state = { layer: 0, head: 0, side: '', token: -1, pinned: false };

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // ---- weights ----

  const one = (layer, head) => {
    const from = (layer * heads + head) * n * m;
    return Float64Array.from(data.p.slice(from, from + n * m), (x) => x / 10000);
  };
  const mean = (layer) => {
    const sum = new Float64Array(n * m);
    for (let h = 0; h < heads; h++) one(layer, h).forEach((x, i) => { sum[i] += x / heads; });
    return sum;
  };
  // Attention rollout (Abnar and Zuidema 2020): half of each layer is its attention, half what goes around it.
  const rollout = () => {
    let all = null;
    for (let l = 0; l < layers; l++) {
      const a = mean(l).map((x, i) => x / 2 + (i % (n + 1) === 0 ? 0.5 : 0));
      const next = new Float64Array(n * n);
      for (let i = 0; i < n; i++) for (let k = 0; k < n; k++) for (let j = 0; all && j < n; j++)
        next[i * n + j] += a[i * n + k] * all[k * n + j];
      all = all ? next : a;
    }
    return all;
  };
  const known = new Map();
  const weights = (layer, head) => {
    const name = layer === 'rollout' ? layer : `${layer} ${head}`;
    if (!known.has(name)) known.set(name, layer === 'rollout' ? rollout() : head === 'mean' ? mean(layer) : one(layer, head));
    return known.get(name);
  };

  // ---- the page ----

  const choices = (title, name, values) => {
    const set = make('fieldset', {}, make('legend', {}, title));
    for (const [value, text] of values) {
      const input = make('input', { type: 'radio', name, value });
      input.addEventListener('change', () => {
        state[name] = /^\d+$/.test(value) ? Number(value) : value;
        show();
      });
      set.append(make('label', {}, input, make('span', {}, text)));
    }
    return set;
  };
  const numbers = (count) => Array.from({ length: count }, (_, i) => [String(i), String(i + 1)]);
  const form = make('form', {},
    choices('Layer', 'layer', numbers(layers).concat(n === m ? [['rollout', 'all, rolled out']] : [])),
    choices('Head', 'head', numbers(heads).concat([['mean', 'mean']])));
  form.addEventListener('submit', (event) => event.preventDefault());

  const tokens = (texts, side) => {
    const list = make('ol', { 'aria-label': side === 'q' ? 'tokens that look' : 'tokens that are looked at' });
    texts.forEach((text, i) => {
      const button = make('button', { type: 'button', title: text }, text);
      const point = () => { if (!state.pinned) { state.side = side, state.token = i; show(); } };
      button.addEventListener('pointerenter', (event) => { if (event.pointerType === 'mouse') point(); });
      button.addEventListener('focus', point);
      button.addEventListener('click', () => {
        const same = state.pinned && state.side === side && state.token === i;
        state.pinned = !same, state.side = side, state.token = same ? -1 : i;
        show();
      });
      list.append(make('li', {}, button));
    });
    return list;
  };
  const left = tokens(queries, 'q'), right = tokens(keys, 'k');
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const height = row * Math.max(n, m);
  svg.setAttribute('viewBox', `0 0 100 ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.style.height = `${height}px`;
  const lines = make('div', { id: 'lines' }, left, svg, right);
  lines.addEventListener('pointerleave', () => { if (!state.pinned) { state.token = -1; show(); } });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { state.pinned = false, state.token = -1; show(); }
  });
  const says = make('p', { id: 'says', 'aria-live': 'polite' });

  const sheet = make('div', { class: 'sheet' });
  sheet.style.gridTemplateColumns = `auto repeat(${heads}, minmax(0, 1fr))`;
  sheet.append(make('span'), ...numbers(heads).map(([, text]) => make('span', {}, `head ${text}`)));
  for (let l = 0; l < layers; l++) {
    sheet.append(make('span', {}, `layer ${l + 1}`));
    for (let h = 0; h < heads; h++) {
      const button = make('button', { type: 'button', 'aria-label': `layer ${l + 1}, head ${h + 1}` },
        make('canvas', { width: m, height: n }));
      button.addEventListener('click', () => { state.layer = l, state.head = h; show(); });
      sheet.append(button);
    }
  }

  document.title = `Attention: ${data.title}`;
  document.body.append(make('h1', {}, data.title),
    make('p', {}, 'Tokens on the left look at those on the right, with the weights of the lines. Point at a token, or choose it, to see its own.'),
    form, says, lines, make('h2', {}, 'All heads'),
    make('p', {}, 'A row is a token that looks, a column one that is looked at.'), sheet);

  // ---- drawing ----

  const paint = () => {
    const color = getComputedStyle(document.documentElement).getPropertyValue('--mark').trim();
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    sheet.querySelectorAll('canvas').forEach((canvas, at) => {
      const w = weights(Math.floor(at / heads), at % heads), context = canvas.getContext('2d');
      const image = context.createImageData(m, n);
      w.forEach((x, i) => image.data.set([r, g, b, Math.round(255 * Math.sqrt(x))], 4 * i));
      context.putImageData(image, 0, 0);
    });
  };
  const sentence = (w) => {
    if (state.token < 0) return 'No token is chosen: all lines are shown.';
    const q = state.side === 'q', i = state.token;
    const all = (q ? keys : queries).map((text, j) => [q ? w[i * m + j] : w[j * m + i], text]);
    const most = all.sort((a, b) => b[0] - a[0]).slice(0, 5).map(([x, text]) => `${text} ${x.toFixed(2)}`).join(', ');
    return `\u201c${(q ? queries : keys)[i]}\u201d ${q ? 'looks at' : 'is looked at by'}: ${most}`;
  };
  const show = () => {
    const w = weights(state.layer, state.head), drawn = [];
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) {
      const x = w[i * m + j], own = state.side === 'q' ? i === state.token : j === state.token;
      if (x < 0.01 || (state.token >= 0 && !own)) continue;
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
      const at = { x1: 1, y1: (i + 0.5) * row, x2: 99, y2: (j + 0.5) * row, 'stroke-width': 0.6 + 5 * x, opacity: Math.min(1, 0.06 + x) };
      for (const [key, value] of Object.entries(at)) line.setAttribute(key, value);
      drawn.push(line);
    }
    svg.replaceChildren(...drawn);
    for (const [list, side] of [[left, 'q'], [right, 'k']])
      [...list.querySelectorAll('button')].forEach((button, i) => {
        const on = state.side === side && state.token === i;
        button.classList.toggle('on', on);
        button.setAttribute('aria-pressed', String(on && state.pinned));
      });
    for (const input of form.querySelectorAll('input')) {
      input.checked = String(state[input.name]) === input.value;
      if (input.name === 'head') input.disabled = state.layer === 'rollout';
    }
    [...sheet.querySelectorAll('button')].forEach((button, at) =>
      button.classList.toggle('on', Math.floor(at / heads) === state.layer && at % heads === state.head));
    says.textContent = sentence(w);
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
  paint();
  show();
})();
