'use strict';
const tip = document.getElementById('tip');
for (const title of document.querySelectorAll('svg title')) {
  const owner = title.parentNode;
  owner.dataset.tip = title.textContent;
  if (owner.matches('a')) owner.setAttribute('aria-label', title.textContent.replaceAll('\n', ', '));
  title.remove();
}
function show(owner, x, y) {
  tip.textContent = owner.dataset.tip;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  tip.style.left = Math.max(4, Math.min(x + 12, room - width - 4)) + 'px';
  tip.style.top = (y - height - 12 > 4 ? y - height - 12 : y + 16) + 'px';
}
addEventListener('pointermove', event => {
  const owner = event.target.closest?.('[data-tip]');
  if (owner) show(owner, event.clientX, event.clientY); else tip.hidden = true;
});
function showFocused() {
  const owner = document.querySelector('a[data-tip]:focus-visible');
  const box = owner?.getBoundingClientRect();
  if (owner) show(owner, box.right, box.top); else tip.hidden = true;
}
for (const kind of ['focusin', 'focusout', 'scroll']) addEventListener(kind, showFocused, { passive: true });

const rows = [...document.querySelectorAll('.results tbody tr')];
const form = document.getElementById('filters');
const selects = [...document.querySelectorAll('[data-filter]')];
function filter() {
  const hidden = new Set();
  for (const row of rows) {
    row.hidden = !selects.every(each => !each.value || row.dataset[each.dataset.filter] === each.value);
    if (row.hidden) hidden.add(row.id);
  }
  for (const each of document.querySelectorAll('[data-row]')) {
    if (each instanceof SVGElement) each.classList.toggle('off', hidden.has(each.dataset.row));
    else each.hidden = hidden.has(each.dataset.row);
  }
  document.getElementById('count').textContent = hidden.size ? rows.length - hidden.size + ' of ' + rows.length : '';
}
if (form) {
  form.hidden = false;
  form.addEventListener('change', filter);
  filter();
}

function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}
function compare(a, b) {
  if (a === '' || b === '') return (a === '') - (b === '');
  return isFinite(a) && isFinite(b) ? a - b : a.localeCompare(b);
}
function sort(table, head, column) {
  const down = head.ariaSort === 'ascending';
  for (const each of table.querySelectorAll('thead th')) each.removeAttribute('aria-sort');
  head.ariaSort = down ? 'descending' : 'ascending';
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(key(a, column), key(b, column))));
}
for (const table of document.querySelectorAll('.results, .pairs-table')) {
  const line = [...table.tHead.rows].at(-1);
  [...line.cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => sort(table, head, column));
  });
}
