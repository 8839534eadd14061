'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const { queries, keys, layers, heads } = data;
  const pictures = { q: data.queryPicture, k: data.keyPicture };
  const n = queries.length, m = keys.length, row = 26;
  const state = { layer: 0, head: 0, side: '', token: -1, pinned: false };

  const make = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // ---- tokens ----

  const tokensOf = (side) => side === 'q' ? queries : keys;
  const name = (side, i) => {
    const text = tokensOf(side)[i], picture = pictures[side];
    if (text !== null) return text;
    const at = picture ? i - picture.first : -1;
    return at >= 0 ? `patch ${Math.floor(at / picture.columns) + 1}, ${at % picture.columns + 1}` : String(i + 1);
  };
  const number = (x) => x >= 0.0995 ? x.toFixed(2) : x.toFixed(4);

  // ---- weights ----

  const one = (layer, head) => {
    const from = (layer * heads + head) * n * m;
    return Float32Array.from(data.p.slice(from, from + n * m), (x) => x / 10000);
  };
  const mean = (layer) => {
    const sum = new Float32Array(n * m);
    for (let h = 0; h < heads; h++) one(layer, h).forEach((x, i) => { sum[i] += x / heads; });
    return sum;
  };
  // Attention rollout (Abnar and Zuidema 2020): half of each layer is its attention, half what goes around it.
  const rollout = () => {
    let all = null;
    for (let l = 0; l < layers; l++) {
      const a = mean(l).map((x, i) => x / 2 + (i % (n + 1) === 0 ? 0.5 : 0));
      const next = new Float32Array(n * n);
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

  // What the tokens of a side have of the chosen one, or of all where none is chosen; null where nothing is to be shown.
  const shares = (w, side) => {
    if (state.token >= 0 && state.side === side) return null;
    const i = state.token;
    if (side === 'q') return i < 0 ? null : queries.map((_, j) => w[j * m + i]);
    return keys.map((_, j) => i >= 0 ? w[i * m + j] : queries.reduce((sum, _, k) => sum + w[k * m + j] / n, 0));
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

  // ---- the two sides: lists of tokens, and pictures whose patches are tokens ----

  const pin = (side, token) => {
    const same = state.pinned && state.side === side && state.token === token;
    state.pinned = !same, state.side = side, state.token = same ? -1 : token;
    show();
  };
  const point = (side, token) => {
    if (state.pinned || (state.side === side && state.token === token)) return;
    state.side = side, state.token = token;
    show();
  };

  const listOf = (side, shown) => {
    const list = make('ol', { 'aria-label': side === 'q' ? 'tokens that look' : 'tokens that are looked at' });
    for (const i of shown) {
      const text = name(side, i), button = make('button', { type: 'button', title: text }, text);
      button.addEventListener('pointerenter', (event) => { if (event.pointerType === 'mouse') point(side, i); });
      button.addEventListener('focus', () => point(side, i));
      button.addEventListener('click', () => pin(side, i));
      list.append(make('li', {}, button));
    }
    return list;
  };

  // One pixel of the canvas over the picture is a patch.
  const pictureOf = (side, { image, width, height, rows, columns, first }) => {
    const canvas = make('canvas', { width: columns, height: rows, 'aria-hidden': 'true' });
    const frame = make('i', { hidden: '' }), caption = make('figcaption');
    const board = make('div', { class: 'patches', tabindex: '0', role: 'application', 'aria-roledescription': 'picture',
      'aria-label': `${rows} rows of ${columns} patches ${side === 'q' ? 'that look' : 'that are looked at'}; arrow keys choose one, Enter keeps it` },
      make('img', { src: data.images[image], alt: '' }), canvas, frame);
    board.style.aspectRatio = `${width} / ${height}`;
    board.style.maxWidth = `min(100%, ${70 * width / height}vh, ${Math.max(320, 2 * width)}px)`;
    if (width < 160) board.classList.add('coarse');
    let cursor = first;
    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      const at = (x, from, size, count) => Math.min(count - 1, Math.max(0, Math.floor((x - from) / size * count)));
      return first + at(event.clientY, box.top, box.height, rows) * columns + at(event.clientX, box.left, box.width, columns);
    };
    const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    board.addEventListener('pointermove', (event) => { if (event.pointerType === 'mouse') point(side, under(event)); });
    board.addEventListener('click', (event) => pin(side, cursor = under(event)));
    board.addEventListener('focus', () => { if (board.matches(':focus-visible')) point(side, cursor); });
    board.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' || event.key === ' ') pin(side, cursor);
      else if (arrows[event.key]) {
        const [y, x] = arrows[event.key], at = cursor - first;
        const row = Math.floor(at / columns) + y, column = at % columns + x;
        if (row >= 0 && row < rows && column >= 0 && column < columns) cursor = first + row * columns + column;
        state.side = side, state.token = cursor;
        show();
      } else return;
      event.preventDefault();
    });
    const draw = (values) => {
      const most = heat(canvas, values, first), own = state.side === side && state.token >= first && state.token < first + rows * columns;
      board.classList.toggle('under', Boolean(values));
      frame.hidden = !own;
      if (own) {
        const at = (cursor = state.token) - first;
        Object.assign(frame.style, { left: `${at % columns / columns * 100}%`, top: `${Math.floor(at / columns) / rows * 100}%`,
          width: `${100 / columns}%`, height: `${100 / rows}%` });
      }
      caption.textContent = `${side === 'q' ? 'Look' : 'Are looked at'}${values ? `: full colour is ${number(most)}` : ''}`;
    };
    return { node: make('figure', {}, board, caption), draw };
  };

  const sideOf = (side) => {
    const picture = pictures[side], shown = tokensOf(side).map((_, i) => i)
      .filter((i) => !picture || i < picture.first || i >= picture.first + picture.rows * picture.columns);
    const list = listOf(side, shown), board = picture && pictureOf(side, picture);
    const node = make('div', { class: `side ${side}` }, ...(shown.length ? [list] : []), ...(board ? [board.node] : []));
    return { node, list, shown, board, place: new Map(shown.map((token, i) => [token, i])) };
  };
  const sides = { q: sideOf('q'), k: sideOf('k') };
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const height = row * Math.max(sides.q.shown.length, sides.k.shown.length);
  const joined = sides.q.shown.length > 0 && sides.k.shown.length > 0;
  svg.setAttribute('viewBox', `0 0 100 ${height}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.style.height = `${joined ? height : 0}px`;
  const lines = make('div', { id: 'lines', class: pictures.q && pictures.k ? 'boards' : pictures.k ? 'board-k' : pictures.q ? 'board-q' : '' },
    sides.q.node, svg, sides.k.node);
  lines.addEventListener('pointerleave', () => { if (!state.pinned) { state.token = -1; show(); } });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { state.pinned = false, state.token = -1; show(); }
  });
  const says = make('p', { id: 'says', 'aria-live': 'polite' });

  // Paints the patches' values from `first` on, each a pixel, in shades of the largest, or of twice the mean where they are
  // about the same; returns what full colour is.
  const heat = (canvas, values, first) => {
    const context = canvas.getContext('2d'), count = canvas.width * canvas.height;
    const image = context.createImageData(canvas.width, canvas.height);
    const own = values ? values.slice(first, first + count) : [], most = own.reduce((a, b) => Math.max(a, b), 2 * own.reduce((a, b) => a + b, 0) / count);
    const [r, g, b] = colour('--heat');
    own.forEach((x, i) => image.data.set([r, g, b, most > 0 ? Math.round(190 * x / most) : 0], 4 * i));
    context.putImageData(image, 0, 0);
    return most;
  };
  const colour = (variable) => {
    const text = getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  };

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
  const patched = pictures.q || pictures.k;
  document.body.append(make('h1', {}, data.title),
    make('p', {}, patched ? 'Point at a token or a patch, or choose it, to see its weights: drawn over a picture, and as lines between texts.'
      : 'Tokens on the left look at those on the right, with the weights of the lines. Point at a token, or choose it, to see its own.'),
    form, says, lines, make('h2', {}, 'All heads'),
    make('p', {}, 'A row is a token that looks, a column one that is looked at.'
      + (patched ? ' Where a token or patch is chosen whose weights lie on a picture, each head has its own.' : '')), sheet);

  // ---- attributions: integrated gradients (Sundararajan, Taly and Yan 2017) ----

  const signed = (x) => Math.abs(x) < 0.0005 ? '0' : (x < 0 ? '\u2212' : '+') + Math.abs(x).toFixed(3);
  const chips = (texts, values, most) => {
    const list = make('ol', { class: 'chips' });
    texts.forEach((text, i) => {
      const share = Math.round(60 * Math.abs(values[i]) / most), ink = values[i] < 0 ? '--heat' : '--mark';
      const chip = make('li', {}, make('b', {}, text), make('small', {}, values[i] === null ? 'not finite' : signed(values[i])));
      chip.style.background = `color-mix(in srgb, var(${ink}) ${share}%, var(--raised))`;
      list.append(chip);
    });
    return list;
  };
  const signs = (values, most, { image, width, height, rows, columns, first }) => {
    const canvas = make('canvas', { width: columns, height: rows }), context = canvas.getContext('2d');
    const pixels = context.createImageData(columns, rows);
    values.slice(first, first + rows * columns).forEach((x, i) =>
      pixels.data.set([...colour(x < 0 ? '--heat' : '--mark'), Math.round(190 * Math.abs(x) / most)], 4 * i));
    context.putImageData(pixels, 0, 0);
    const board = make('div', { class: `patches under${width < 160 ? ' coarse' : ''}` }, make('img', { src: data.images[image], alt: '' }), canvas);
    board.style.aspectRatio = `${width} / ${height}`;
    board.style.maxWidth = `min(100%, ${70 * width / height}vh, ${Math.max(320, 2 * width)}px)`;
    return make('figure', {}, board);
  };
  const explain = ({ of, tokens, values, value, baseline, steps }) => {
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1, sum = values.reduce((a, b) => a + b, 0);
    const picture = tokens ? undefined : pictures.k, all = (tokens || keys).map((text, i) => text === null ? name('k', i) : text);
    const texts = all.map((_, i) => i).filter((i) => !picture || i < picture.first || i >= picture.first + picture.rows * picture.columns);
    const finite = value !== null && baseline !== null && !values.includes(null);
    return make('section', { class: 'attribution' }, make('h3', {}, of),
      chips(texts.map((i) => all[i]), texts.map((i) => values[i]), most), ...(picture ? [signs(values, most, picture)] : []),
      make('p', {}, finite ? `They add up to ${sum.toFixed(4)}, of ${value.toFixed(4)} for this input less ${baseline.toFixed(4)} for the baseline, `
        + `which is ${(value - baseline).toFixed(4)}: off by ${Math.abs(sum - value + baseline).toExponential(1)}, with ${steps} steps.`
        : 'Not all of it is finite.'));
  };
  const explained = data.attributions.length === 0 ? [] : [make('h2', {}, 'Integrated gradients'),
    make('p', {}, 'What each token adds, blue, or takes away, orange.'), ...data.attributions.map(explain)];
  sheet.after(...explained);
  const redrawPictures = () => document.querySelectorAll('section.attribution').forEach((section, i) => section.replaceWith(explain(data.attributions[i])));

  // ---- drawing ----

  const matrix = (canvas, w) => {
    const context = canvas.getContext('2d'), image = context.createImageData(m, n), [r, g, b] = colour('--mark');
    w.forEach((x, i) => image.data.set([r, g, b, Math.round(255 * Math.sqrt(x))], 4 * i));
    context.putImageData(image, 0, 0);
  };
  // Where the chosen token's weights lie on a picture, heads are drawn on it; else they are matrices.
  let painted = '';
  const paint = (again) => {
    const other = state.side === 'q' ? 'k' : 'q', picture = state.token >= 0 ? pictures[other] : undefined;
    const what = picture ? `${state.side} ${state.token}` : 'matrix';
    if (what === painted && !again) return;
    painted = what;
    sheet.querySelectorAll('button').forEach((button, at) => {
      const canvas = button.firstChild, w = weights(Math.floor(at / heads), at % heads);
      canvas.width = picture ? picture.columns : m, canvas.height = picture ? picture.rows : n;
      button.style.aspectRatio = picture ? `${picture.width} / ${picture.height}` : '';
      canvas.style.backgroundImage = picture ? `url(${data.images[picture.image]})` : '';
      if (picture) heat(canvas, shares(w, other), picture.first);
      else matrix(canvas, w);
    });
  };
  const sentence = (w) => {
    if (state.token < 0) return patched ? 'Nothing is chosen: pictures have the mean of all that look.' : 'No token is chosen: all lines are shown.';
    const q = state.side === 'q', i = state.token;
    const all = (q ? keys : queries).map((_, j) => [q ? w[i * m + j] : w[j * m + i], name(q ? 'k' : 'q', j)]);
    const most = all.sort((a, b) => b[0] - a[0]).slice(0, 5).map(([x, text]) => `${text} ${x.toFixed(2)}`).join(', ');
    return `\u201c${name(state.side, i)}\u201d ${q ? 'looks at' : 'is looked at by'}: ${most}`;
  };
  const line = (i, j, x) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    const at = { x1: 1, y1: (sides.q.place.get(i) + 0.5) * row, x2: 99, y2: (sides.k.place.get(j) + 0.5) * row,
      'stroke-width': 0.6 + 5 * x, opacity: Math.min(1, 0.06 + x) };
    for (const [key, value] of Object.entries(at)) node.setAttribute(key, value);
    return node;
  };
  const show = () => {
    const w = weights(state.layer, state.head), drawn = [];
    for (const i of sides.q.shown) for (const j of sides.k.shown) {
      const x = w[i * m + j], own = state.side === 'q' ? i === state.token : j === state.token;
      if (x >= 0.01 && (state.token < 0 || own)) drawn.push(line(i, j, x));
    }
    svg.replaceChildren(...drawn);
    for (const [side, { list, shown, board }] of Object.entries(sides)) {
      list.querySelectorAll('button').forEach((button, i) => {
        const on = state.side === side && state.token === shown[i];
        button.classList.toggle('on', on);
        button.setAttribute('aria-pressed', String(on && state.pinned));
      });
      if (board) board.draw(shares(w, side));
    }
    for (const input of form.querySelectorAll('input')) {
      input.checked = String(state[input.name]) === input.value;
      if (input.name === 'head') input.disabled = state.layer === 'rollout';
    }
    [...sheet.querySelectorAll('button')].forEach((button, at) =>
      button.classList.toggle('on', Math.floor(at / heads) === state.layer && at % heads === state.head));
    says.textContent = sentence(w);
    paint(false);
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { show(); paint(true); redrawPictures(); });
  show();
})();
