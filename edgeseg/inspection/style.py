"""The style and the script of the page. They are embedded, so that the page loads no other file."""

STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; padding: .2rem .5rem; border-bottom: 1px solid #8884; vertical-align: top; }
td { overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid; }
.timeline { width: 100%; display: block; }
.timeline rect { stroke: Canvas; stroke-width: .3; }
.timeline rect.off { opacity: .12; }
.bar { width: 8rem; height: .7rem; }
.swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
.controls { position: sticky; top: 0; background: Canvas; padding: .5rem 0; display: flex; gap: 1rem; flex-wrap: wrap; }
input[type=search] { min-width: 20rem; }
"""

SCRIPT = """
const rows = [...document.querySelectorAll('#layers tbody tr')];
const boxes = [...document.querySelectorAll('.timeline rect')];
const search = document.getElementById('search');
const choices = [...document.querySelectorAll('select[data-field]')];
const count = document.getElementById('count');
function shown(row) {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const text = (row.textContent + ' ' + row.dataset.names).toLowerCase();
  return words.every(word => text.includes(word))
    && choices.every(choice => !choice.value || row.dataset[choice.dataset.field] === choice.value);
}
function filter() {
  let visible = 0;
  for (const row of rows) {
    row.hidden = !shown(row);
    visible += row.hidden ? 0 : 1;
    boxes[row.dataset.row].classList.toggle('off', row.hidden);
  }
  count.textContent = visible + ' of ' + rows.length + ' layers';
}
function compare(a, b) {
  return a !== '' && b !== '' && isFinite(a) && isFinite(b) ? a - b : a.localeCompare(b);
}
function sort(column, button) {
  const sign = button.dataset.down === 'yes' ? 1 : -1;
  button.dataset.down = sign === 1 ? 'no' : 'yes';
  const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
  rows.sort((a, b) => sign * compare(key(a), key(b)));
  document.querySelector('#layers tbody').append(...rows);
}
search.addEventListener('input', filter);
choices.forEach(choice => choice.addEventListener('change', filter));
document.querySelectorAll('#layers th button').forEach((button, column) =>
  button.addEventListener('click', () => sort(column, button)));
boxes.forEach(box => box.addEventListener('click', () => {
  const row = rows.find(row => row.dataset.row === box.dataset.row);
  if (!row.hidden) row.scrollIntoView({ block: 'center' });
}));
filter();
"""
