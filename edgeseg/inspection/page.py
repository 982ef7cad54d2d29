"""One HTML file for an engine: summary, findings, difference from another engine, timeline, and all layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from edgeseg.inspection.difference import Difference
from edgeseg.inspection.finding import Finding
from edgeseg.inspection.row import Row, is_timed
from edgeseg.inspection.style import SCRIPT, STYLE
from edgeseg.inspection.table import table_from_difference, table_from_rows
from edgeseg.inspection.timeline import COLOURS, OTHER, bar, colour, costs, timeline

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
CHOICES = ("kind", "precision")


def page_from_rows(
    title: str,
    rows: Sequence[Row],
    *,
    summary: Mapping[str, str],
    details: Mapping[str, str],
    findings: Iterable[Finding] = (),
    difference: tuple[str, Difference] | None = None,
) -> str:
    """The page as text. summary, details: tables at its beginning and its end.

    difference: the name of another file, and the difference from it.
    """
    body = "".join([
        f"<h1>{escape(title)}</h1>", text_table(["", ""], summary.items(), "summary"),
        heading("Findings"), finding_list(findings),
        *difference_section(difference),
        heading("Layers in order"), legend(rows), f"<p>{escape(caption(rows))}</p>", timeline(rows),
        heading("All layers"), controls(rows), layer_table(rows),
        heading("Details"), text_table(["", ""], details.items(), "details"),
    ])  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{body}<script>{SCRIPT}</script></body></html>\n"
    )


def caption(rows: Sequence[Row]) -> str:
    """The caption of the timeline."""
    sentences = ["Layers in execution order."]
    if costs(rows):
        sentences.append(f"Width is {'milliseconds' if is_timed(rows) else 'bytes read and written'}.")
    if len({row.layer.stream for row in rows}) > 1:
        sentences.append("One lane per stream; streams may overlap.")
    return " ".join(sentences)


def heading(text: str) -> str:
    """A section's heading."""
    return f"\n<h2>{escape(text)}</h2>"


def finding_list(findings: Iterable[Finding]) -> str:
    """The findings, each with its layers in a closed details element."""
    items = "".join(
        f'<li data-code="{escape(finding.code)}"><details><summary>{escape(finding.message)}</summary>'
        f"{escape(', '.join(finding.layers))}</details></li>"
        for finding in findings
    )
    return f"<ul>{items}</ul>" if items else "<p>None.</p>"


def difference_section(other: tuple[str, Difference] | None) -> Iterable[str]:
    """What changed from another engine, if there is one."""
    if other is None:
        return
    name, difference = other
    yield heading(f"Changes from {name}")
    yield f"<p>{difference.matched} layers have a counterpart.</p>"
    yield text_table(*table_from_difference(difference), "difference")


def text_table(columns: Sequence[str], lines: Iterable[Sequence[str]], name: str) -> str:
    """A table of text."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f'<table id="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def legend(rows: Sequence[Row]) -> str:
    """The colour of each precision."""
    present = {row.precision for row in rows}
    known = [(precision, fill) for precision, fill in COLOURS.items() if precision in present]
    entries = [*known, ("other", OTHER)] if present - set(COLOURS) else known
    return "<p>" + "".join(swatch(fill) + escape(name) for name, fill in entries) + "</p>"


def swatch(fill: str) -> str:
    """A patch of colour."""
    return f'<span class="swatch" style="background:{fill}"></span>'


def controls(rows: Sequence[Row]) -> str:
    """The search field and the filters."""
    selects = "".join(choice(field, sorted({str(getattr(row, field)) for row in rows} - {""})) for field in CHOICES)
    return (
        '<div class="controls"><label>Search <input type="search" id="search" placeholder="node, module, tactic">'
        f'</label>{selects}<output id="count"></output></div>'
    )


def choice(field: str, values: Iterable[str]) -> str:
    """A filter for one field."""
    options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
    return f'<label>{field} <select data-field="{field}"><option value="">all</option>{options}</select></label>'


def layer_table(rows: Sequence[Row]) -> str:
    """All layers, each with a bar of its cost if it is known."""
    columns, lines = table_from_rows(rows)
    values = costs(rows)
    bars = cost_cells(rows, values) if values else [""] * len(rows)
    shown = ("cost", *columns) if values else columns
    head = "".join(f'<th><button type="button">{escape(column)}</button></th>' for column in shown)
    body = "".join(
        f'<tr data-row="{index}" data-kind="{escape(row.kind)}" data-precision="{escape(row.precision)}" '
        f'data-names="{escape(" ".join((row.layer.name, *row.layer.nodes)))}">'
        f"{cost}{cells(columns, line, row)}</tr>"
        for index, (row, line, cost) in enumerate(zip(rows, lines, bars))
    )
    return f'<table id="layers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def cost_cells(rows: Sequence[Row], values: Sequence[float]) -> list[str]:
    """A cell per row, with a bar of its cost relative to the largest."""
    largest = max(values)
    return [f'<td data-value="{cost:.6f}">{bar(row, cost, largest)}</td>' for row, cost in zip(rows, values)]


def cells(columns: Sequence[str], line: Sequence[str], row: Row) -> str:
    """The cells of one layer: numbers right-aligned, the precision with its colour, the runtime's name as a tooltip."""
    html = []
    for column, text in zip(columns, line):
        style = ' class="number"' if column.endswith(("KiB", "ms")) else ""
        mark = swatch(colour(row.precision)) if column == "precision" and text else ""
        names = f' title="{escape(row.layer.name)}"' if column == "layer" else ""
        html.append(f"<td{style}{names}>{mark}{escape(text)}</td>")
    return "".join(html)
