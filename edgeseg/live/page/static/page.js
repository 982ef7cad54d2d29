'use strict';
// Pulls status and frames over one WebSocket (see feed.py and images.py), and draws them.

const FASTEST_MS = 33, HIDDEN_MS = 2000, OLD_SECONDS = 3, FEW_CLASSES = 24;
const STATES = ['live', 'connecting', 'stalled', 'lost', 'ended'];
const byId = id => document.getElementById(id);
const grid = byId('grid'), opacity = byId('opacity');
const tiles = new Map();
const classes = [...document.querySelectorAll('#classes button')].map(button => ({
  button, name: button.querySelector('.name').textContent, color: button.dataset.color.split(',').map(Number),
  shown: true, seen: false,
}));
const palette = new Uint32Array(256);  // class id -> RGBA as putImageData wants it; 0 is transparent
const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
let silentMs = 8000;  // without an answer: edgeseg hangs, and answers every second
let mode = 'overlay', focus = '', connected = false, showAll = classes.length <= FEW_CLASSES;

// --- what the user chose ---

function remember() {
  const hidden = classes.filter(each => !each.shown).map(each => each.name);
  try { localStorage.setItem('edgeseg', JSON.stringify({ mode, opacity: opacity.value, hidden })); } catch { /* denied */ }
}

function recall() {
  let chosen = {};
  try { chosen = JSON.parse(localStorage.getItem('edgeseg')) ?? {}; } catch { /* denied, or not ours */ }
  if (chosen.opacity !== undefined) opacity.value = chosen.opacity;
  for (const each of classes) each.shown = !chosen.hidden?.includes(each.name);
  if (['original', 'overlay', 'mask', 'both'].includes(chosen.mode)) mode = chosen.mode;
}

function applyChoice() {
  document.body.dataset.mode = mode;
  for (const button of document.querySelectorAll('[data-mode]:is(button)'))
    button.setAttribute('aria-pressed', String(button.dataset.mode === mode));
  opacity.disabled = mode !== 'overlay';
  byId('percent').textContent = opacity.value + '%';
  palette.fill(0);
  classes.forEach(({ color: [r, g, b], shown, button }, id) => {
    button.setAttribute('aria-pressed', String(shown));
    if (shown) palette[id] = littleEndian ? (255 << 24 | b << 16 | g << 8 | r) : (r << 24 | g << 16 | b << 8 | 255);
  });
  for (const tile of tiles.values()) { tile.paint(); tile.draw(); }
}

function changed() { remember(); applyChoice(); }

for (const button of document.querySelectorAll('.modes button'))
  button.addEventListener('click', () => { mode = button.dataset.mode; changed(); });
opacity.addEventListener('input', changed);
for (const [id, shown] of [['all', true], ['none', false]])
  byId(id).addEventListener('click', () => { classes.forEach(each => { each.shown = shown; }); changed(); });
classes.forEach((each, id) => {
  each.button.querySelector('.swatch').style.background = `rgb(${each.color})`;
  each.button.addEventListener('click', event => {
    if (event.shiftKey) classes.forEach((other, index) => { other.shown = index === id; });
    else each.shown = !each.shown;
    changed();
  });
});
byId('more').addEventListener('click', () => { showAll = !showAll; listClasses(); });
addEventListener('keydown', event => { if (event.key === 'Escape' && focus) setFocus(''); });

function setFocus(name) {
  focus = name;
  for (const tile of tiles.values()) tile.setFocus();
  arrange();
}

// --- text ---

const whole = value => value.toLocaleString('en', { maximumFractionDigits: 0 });
const fixed = (value, digits) => value.toFixed(digits);

function duration(seconds) {
  if (seconds < 1) return Math.round(seconds * 1000) + ' ms';
  if (seconds < 10) return fixed(seconds, 1) + ' s';
  if (seconds < 120) return Math.round(seconds) + ' s';
  if (seconds < 7200) return Math.round(seconds / 60) + ' min';
  if (seconds < 172800) return Math.round(seconds / 3600) + ' h';
  return Math.round(seconds / 86400) + ' d';
}

function milliseconds(value) { return (value < 10 ? fixed(value, 1) : whole(value)) + ' ms'; }

function setText(element, text) { if (element.textContent !== text) element.textContent = text; }

// --- one stream ---

class Tile {
  constructor(name) {
    this.name = name;
    this.element = byId('tile').content.firstElementChild.cloneNode(true);
    this.element.dataset.stream = name;
    this.part = selector => this.element.querySelector(selector);
    this.canvas = this.part('canvas');
    this.mask = document.createElement('canvas');
    this.image = this.labels = this.colors = this.status = null;
    this.resultIsStale = false;
    this.visible = true;
    setText(this.part('h2'), name);
    this.part('h2').title = name;
    this.part('.snapshot').href = `/snapshot/${encodeURIComponent(name)}.jpg`;
    this.part('.enlarge').addEventListener('click', () => setFocus(focus === name ? '' : name));
    this.canvas.addEventListener('pointermove', event => this.point(event));
    this.canvas.addEventListener('pointerleave', () => { this.part('.under').hidden = true; });
    grid.append(this.element);
    seen.observe(this.element);
  }

  setFocus() {
    this.element.hidden = focus !== '' && focus !== this.name;
    this.part('.enlarge').setAttribute('aria-pressed', String(focus === this.name));
  }

  get wanted() { return !this.element.hidden && (this.visible || !this.image); }

  get stacked() { return this.element.clientWidth < 480; }

  get pixels() {
    const panes = mode === 'both' && !this.stacked ? 2 : 1;
    return this.element.clientWidth * Math.min(devicePixelRatio, 2) / panes;
  }

  async show({ head, jpeg, labels }) {
    const [image, ids] = await Promise.all([createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' })), inflated(labels)]);
    this.image?.close();
    this.image = image;
    this.labels = ids;
    this.resultIsStale = head.stale;
    if (this.colors?.width !== head.width || this.colors.height !== head.height) {
      this.mask.width = head.width;
      this.mask.height = head.height;
      this.colors = new ImageData(head.width, head.height);  // kept: a new one a frame is much garbage
    }
    this.paint();
    this.draw();
    this.canvas.hidden = false;
    this.part('.wait').hidden = true;
    this.element.dataset.sequence = head.sequence;
    this.mark();
  }

  paint() {
    if (!this.labels) return;
    const out = new Uint32Array(this.colors.data.buffer), ids = this.labels;
    for (let i = 0; i < out.length; i++) out[i] = palette[ids[i]];
    this.mask.getContext('2d').putImageData(this.colors, 0, 0);
  }

  draw() {
    if (!this.image) return;
    const { width, height } = this.image, both = mode === 'both' && this.labels;
    const columns = both && !this.stacked ? 2 : 1, rows = both && this.stacked ? 2 : 1;
    if (this.canvas.width !== width * columns || this.canvas.height !== height * rows) {
      this.canvas.width = width * columns;
      this.canvas.height = height * rows;
    }
    this.element.style.setProperty('--ratio', String(width * columns / (height * rows)));
    const context = this.canvas.getContext('2d');
    context.globalAlpha = 1;
    if (mode === 'mask' && this.labels) {
      context.fillStyle = '#7d858d';
      context.fillRect(0, 0, width, height);
    } else context.drawImage(this.image, 0, 0);
    if (!this.labels || mode === 'original') return;
    if (both) {
      const left = width * (columns - 1), top = height * (rows - 1);
      context.fillStyle = '#7d858d';
      context.fillRect(left, top, width, height);
      context.drawImage(this.mask, left, top);
      return;
    }
    context.globalAlpha = mode === 'mask' ? 1 : opacity.value / 100;
    context.drawImage(this.mask, 0, 0);
  }

  point(event) {
    const under = this.part('.under');
    if (!this.labels) return;
    const { width, height } = this.image;
    const x = Math.floor(event.offsetX / this.canvas.clientWidth * this.canvas.width) % width;
    const y = Math.floor(event.offsetY / this.canvas.clientHeight * this.canvas.height) % height;
    const each = classes[this.labels[y * width + x]];
    under.hidden = !each;
    if (!each) return;
    const swatch = document.createElement('i');
    swatch.className = 'swatch';
    swatch.style.background = `rgb(${each.color})`;
    under.replaceChildren(swatch, each.name);
  }

  update(status) {
    const was = this.status?.event;
    this.status = status;
    if (status.event && status.event.time !== was?.time) this.retryAt = performance.now() + 1000 * (status.event.retry_seconds ?? 0);
    this.element.dataset.state = status.state;
    const fact = (name, text, small = '', warn = false) => {
      const place = this.part(`[data-fact=${name}]`);
      setText(place.firstChild ?? place.appendChild(document.createTextNode('')), text);
      if (!place.lastElementChild && small) place.append(document.createElement('small'));
      if (place.lastElementChild) setText(place.lastElementChild, small);
      place.classList.toggle('warn', warn);
    };
    fact('fps', fixed(status.fps, 1), ` / ${fixed(status.source_fps, 1)}`);
    const { total, ...stages } = status.milliseconds;
    const parts = Object.entries(stages);
    const latency = total ?? (parts.length ? parts.reduce((sum, [, value]) => sum + value, 0) : null);
    fact('latency', latency === null ? '–' : milliseconds(latency));
    fact('age', status.age_seconds === null ? '–' : duration(status.age_seconds), '', this.isOld());
    const arrived = status.frames + status.dropped + status.too_old, dropped = status.dropped + status.too_old;
    fact('dropped', whole(dropped), arrived && dropped ? ` ${fixed(100 * dropped / arrived, 0)}%` : '');
    fact('unwritten', whole(status.unwritten), '', true);
    this.part('.unwritten').hidden = !status.unwritten;
    fact('reconnects', whole(status.reconnects));
    fact('stalls', whole(status.stalls));
    setText(this.part('.stages'), parts.map(([name, value]) => `${name} ${milliseconds(value)}`).join('  ·  '));
    setText(this.part('.uri'), status.uri);
    this.part('.uri').title = status.uri;
    setText(this.part('.size'), status.width ? `${status.width}×${status.height}` : '');
    this.part('.snapshot').hidden = !status.frames;
    this.shares();
    this.mark();
  }

  shares() {
    let from = 0;
    const stops = [];
    for (const { name, color, shown } of classes) {
      const share = 100 * (this.status.shares[name] ?? 0);
      if (share > 0) stops.push(`${shown ? `rgb(${color})` : 'transparent'} ${from}% ${from + share}%`);
      from += share;
    }
    this.part('.shares').style.backgroundImage = stops.length ? `linear-gradient(to right, ${stops})` : 'none';
  }

  isOld() {
    const { age_seconds: age, fps } = this.status;
    return age !== null && age > Math.max(OLD_SECONDS, fps > 0 ? 2.5 / fps : 0);  // a slow stream is not an old one
  }

  mark() {
    const status = this.status;
    if (!status) return;
    const { state, event } = status;
    const retry = Math.max(0, Math.ceil((this.retryAt - performance.now()) / 1000));
    const next = event?.retry_seconds && (state === 'lost' || state === 'stalled') ? `, next attempt in ${retry} s` : '';
    setText(this.part('.state'), `${state} ${duration(Math.max(1, status.since))}${next}`);
    const interrupted = state === 'lost' || state === 'stalled' || state === 'connecting' ? state : '';
    const word = state === 'ended' ? 'ended' : !connected ? 'no connection' : interrupted || this.isOld() || this.resultIsStale ? 'stale' : '';
    const stale = this.part('.stale');
    stale.hidden = !word || !this.image;
    setText(stale, word === 'stale' && status.age_seconds !== null ? `stale, ${duration(status.age_seconds)} old` : word);
    this.element.classList.toggle('old', Boolean(word) && word !== 'ended');
    if (!this.image) setText(this.part('.wait'), state === 'ended' ? 'Ended without a frame' : state === 'connecting' || state === 'live' ? 'Waiting for the first frame' : 'No frame yet');
    const error = this.part('.error');
    error.hidden = !event;
    if (!event) return;
    setText(error.querySelector('code'), event.code ?? '');
    const ago = state === 'live' ? `${duration(Math.max(1, Date.now() / 1000 - event.time))} ago: ` : '';
    setText(error.querySelector('.message'), ago + event.message);
    setText(error.querySelector('.hint'), event.hint ?? '');
  }
}

// --- the page ---

const seen = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const tile = tiles.get(entry.target.dataset.stream);
    if (tile) tile.visible = entry.isIntersecting;
  }
}, { rootMargin: '150px' });

function arrange() {
  const count = focus ? 1 : tiles.size;
  const wished = count <= 1 ? 1 : count <= 4 ? 2 : count <= 9 ? 3 : 4;
  const columns = Math.max(1, Math.min(wished, Math.floor((grid.clientWidth + 12) / 262)));
  grid.style.setProperty('--columns', String(columns));
  grid.dataset.columns = String(columns);
  for (const tile of tiles.values()) tile.draw();
}
new ResizeObserver(arrange).observe(grid);

function updateAll(status) {
  const names = new Set(status.streams.map(each => each.name));
  let rearrange = false;
  for (const [name, tile] of tiles) if (!names.has(name)) { tile.element.remove(); tiles.delete(name); rearrange = true; }
  for (const each of status.streams) {
    if (!tiles.has(each.name)) { tiles.set(each.name, new Tile(each.name)); rearrange = true; }
    tiles.get(each.name).update(each);
  }
  if (focus && !tiles.has(focus)) setFocus('');
  if (rearrange) arrange();
  summarise(status);
  listShares(status);
}

function summarise(status) {
  const counts = STATES.map(state => [state, status.streams.filter(each => each.state === state).length]);
  const present = counts.filter(([, count]) => count);
  byId('summary').replaceChildren(...present.map(([state, count]) => {
    const part = document.createElement('span'), lamp = document.createElement('i');
    part.dataset.state = state;
    lamp.className = 'lamp';
    part.append(lamp, `${count} ${state}`);
    return part;
  }));
  const bad = present.filter(([state]) => state === 'lost' || state === 'stalled');
  document.title = (bad.length ? bad : present).map(([state, count]) => `${count} ${state}`).join(', ') + ' - edgeseg';
  const hottest = Object.entries(status.temperatures).sort((a, b) => b[1] - a[1])[0];
  const place = byId('temperature');
  place.hidden = !hottest;
  if (hottest) {
    setText(place, `${whole(hottest[1])} °C`);
    place.title = Object.entries(status.temperatures).map(([name, value]) => `${name} ${fixed(value, 1)} °C`).join('\n');
  }
}

function listShares(status) {
  const counted = status.streams.filter(each => Object.keys(each.shares).length && (!focus || each.name === focus));
  setText(byId('of'), focus || (status.streams.length > 1 ? 'mean' : ''));
  for (const each of classes) {
    const share = counted.reduce((sum, { shares }) => sum + (shares[each.name] ?? 0), 0) / (counted.length || 1);
    each.seen ||= share >= 0.0005;
    setText(each.button.querySelector('.share'), counted.length ? fixed(100 * share, 1) + '%' : '');
    each.button.style.setProperty('--share', String(share));
  }
  listClasses();
}

function listClasses() {
  for (const each of classes) each.button.parentElement.hidden = !showAll && !each.seen;
  byId('more').hidden = classes.length <= FEW_CLASSES;
  setText(byId('more'), showAll ? 'Only classes seen so far' : `All ${classes.length} classes`);
}

function listEvents(events) {
  byId('quiet').hidden = events.length > 0;
  byId('events').querySelector('ol').replaceChildren(...events.slice().reverse().map(event => {
    const line = document.createElement('li');
    for (const [tag, text] of [['time', new Date(1000 * event.time).toLocaleTimeString()], ['b', event.stream],
      ['code', event.code], ['span', event.message], ['span', event.hint]]) {
      if (text) line.appendChild(document.createElement(tag)).textContent = text;
    }
    return line;
  }));
}

// --- the connection ---

async function inflated(bytes) {
  if (!bytes.length) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function parsed(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const jpeg = new Uint8Array(buffer, 4 + length, head.jpeg);
  return { head, jpeg, labels: new Uint8Array(buffer, 4 + length + head.jpeg, head.labels) };
}

function setConnected(value) {
  connected = value;
  byId('banner').hidden = value;
  for (const tile of tiles.values()) tile.mark();
}

function connect(failures) {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`);
  socket.binaryType = 'arraybuffer';
  let answer = null, asked = 0, wake = null, watchdog = 0;

  function pull() {
    if (socket.readyState !== WebSocket.OPEN) return;
    const wanted = document.hidden ? [] : [...tiles.values()].filter(tile => tile.wanted);
    asked = performance.now();
    const width = Math.round(Math.max(0, ...wanted.map(tile => tile.pixels))) || 640;
    watchdog = setTimeout(lost, silentMs);
    socket.send(JSON.stringify({ want: wanted.map(tile => tile.name), width, events: byId('events').open }));
  }

  async function finish({ head, frames }) {
    if (head.status) updateAll(head.status);
    if (head.events) listEvents(head.events);
    const shown = await Promise.allSettled(frames.map(parsed).map(frame => tiles.get(frame.head.stream)?.show(frame)));
    for (const { reason } of shown) if (reason) console.error(reason);
    const wait = document.hidden ? HIDDEN_MS : Math.max(0, FASTEST_MS - (performance.now() - asked));
    await new Promise(done => { wake = done; setTimeout(done, wait); });
    pull();
  }

  async function lost() {
    if (socket.onclose === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    clearTimeout(watchdog);
    socket.close();
    document.removeEventListener('visibilitychange', visible);
    setConnected(false);
    const answer = failures > 0 ? await fetch('/api/status', { signal: AbortSignal.timeout(5000) }).catch(() => null) : null;
    if (answer?.status === 401) location.reload();
    setTimeout(() => connect(failures + 1), Math.min(5000, 500 * 2 ** failures));
  }

  const visible = () => { if (!document.hidden) wake?.(); };
  document.addEventListener('visibilitychange', visible);
  watchdog = setTimeout(lost, silentMs);
  socket.onopen = () => { clearTimeout(watchdog); pull(); };
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') answer = { head: JSON.parse(data), frames: [] };
    else answer.frames.push(data);
    if (answer.frames.length < answer.head.frames) return;
    clearTimeout(watchdog);
    failures = 0;
    if (!connected) setConnected(true);
    finish(answer).catch(error => { console.error(error); lost(); });
  };
  socket.onclose = lost;
}

recall();
applyChoice();
listClasses();
connect(0);
