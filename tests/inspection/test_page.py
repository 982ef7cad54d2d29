"""The page: whole, closed, self-contained, and safe whatever a layer is called."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

from small_plan import LAYERS, STEM, small_plan

from edgeseg.artifact import Layer
from edgeseg.inspection.difference import difference
from edgeseg.inspection.finding import findings
from edgeseg.inspection.page import page_from_rows
from edgeseg.inspection.row import Row, rows_from_layers, rows_from_plan
from edgeseg.inspection.timeline import COLOURS

ROWS = rows_from_plan(small_plan(), LAYERS)
VOID = {"meta", "input", "br"}
HOSTILE = "</script><script>alert(1)</script>\"'&<b onload=x>"


class Page(HTMLParser):
    """The tags, the attributes and the text of a page; it fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str, key: str = "") -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag and (not key or key in attrs)]


def page(rows: tuple[Row, ...] = ROWS, title: str = "small") -> str:
    return page_from_rows(
        title,
        rows,
        summary={"Engine": "tensorrt_rtx"},
        details={"build.profile": "static"},
        findings=findings(rows, LAYERS),
        difference=("other.plan", difference(rows[1:], rows)),
    )


def test_every_layer_is_in_the_table_and_in_the_picture() -> None:
    found = Page(page())
    table = {int(row["data-row"]): row for row in found.all("tr", "data-row")}
    boxes = {int(box["data-row"]): box for box in found.all("rect", "data-row")}
    assert sorted(table) == sorted(boxes) == list(range(len(ROWS)))
    for index, row in enumerate(ROWS):
        assert (table[index]["data-kind"], table[index]["data-precision"]) == (row.kind, row.precision)
        assert boxes[index]["fill"] == COLOURS.get(row.precision, boxes[index]["fill"])
    assert STEM in found.text


def test_the_picture_has_a_lane_a_stream_and_widths_by_cost() -> None:
    boxes = Page(page()).all("rect", "data-row")
    lanes = {row.layer.stream: set[str]() for row in ROWS}
    for row, box in zip(ROWS, boxes):
        lanes[row.layer.stream].add(box["y"])
    assert [len(lane) for lane in lanes.values()] == [1, 1]
    assert len(set.union(*lanes.values())) == 2
    stem, head = float(boxes[1]["width"]), float(boxes[4]["width"])
    sizes = [row.weight_bytes + row.activation_bytes for row in ROWS]
    assert abs(stem / head - sizes[1] / sizes[4]) < 0.01 * sizes[1] / sizes[4]  # widths are written with two digits


def test_measured_times_take_the_place_of_bytes() -> None:
    rows = tuple(
        dataclasses.replace(row, layer=dataclasses.replace(row.layer, milliseconds=0.5 * (1 + index)))
        for index, row in enumerate(ROWS)
    )
    found = Page(page(rows))
    widths = [float(box["width"]) for box in found.all("rect", "data-row")]
    assert widths == sorted(widths)
    assert "0.5000" in found.text
    assert any("Width is milliseconds" in text for text in found.text)


def test_findings_and_the_difference_are_told() -> None:
    found = Page(page())
    assert [item["data-code"] for item in found.all("li")] == [finding.code for finding in findings(ROWS, LAYERS)]
    assert "Changes from other.plan" in found.text
    assert {table["id"] for table in found.all("table")} == {"summary", "difference", "layers", "details"}


def test_nothing_is_loaded_from_anywhere() -> None:
    text = page()
    found = Page(text)
    assert not {"src", "href", "action", "srcset"} & {name for _, attrs in found.tags for name in attrs}
    assert not re.search(r"https?:|//\w|url\(|@import|\bfetch\(|XMLHttpRequest", text)
    assert found.all("meta", "http-equiv")[0]["content"].startswith("default-src 'none'")


def test_names_stay_text() -> None:
    hostile = tuple(
        dataclasses.replace(
            row, label=HOSTILE, kind=HOSTILE, precision=HOSTILE,
            layer=dataclasses.replace(row.layer, name=HOSTILE, nodes=(HOSTILE,), tactic=HOSTILE, op=HOSTILE),
        )
        for row in ROWS
    )  # fmt: skip
    found = Page(page(hostile, title=HOSTILE))
    assert len(found.all("script")) == 1
    assert not found.all("b")
    assert not {name for _, attrs in found.tags for name in attrs if name.startswith("on")}
    assert HOSTILE in found.text


def test_every_field_that_the_script_reads_is_there() -> None:
    found = Page(page())
    ids = {attrs["id"] for _, attrs in found.tags if "id" in attrs}
    assert {"search", "count", "layers"} <= ids
    assert {select["data-field"] for select in found.all("select")} == {"kind", "precision"}
    assert all(
        {"data-row", "data-kind", "data-precision", "data-names"} <= set(row) for row in found.all("tr", "data-row")
    )


def test_an_engine_of_no_layers_has_a_page() -> None:
    found = Page(page_from_rows("empty", (), summary={}, details={}))
    assert "None." in found.text


def test_what_is_not_known_is_not_shown() -> None:
    """An engine of which no more is known than its layers' names and precisions."""
    layers = (*LAYERS, Layer("x/QuantizeLinear", "Quantize", "", ""), Layer("y/Reorder", "Reorder_copy", "", ""))
    rows = rows_from_layers(layers)
    text = page_from_rows("small", rows, summary={}, details={}, findings=findings(rows, layers))
    found = Page(text)
    assert "Q/DQ did not fuse" in text
    assert not [each for each in found.text if re.search(r"\bNone\b|\bMiB\b|\bKiB\b|bytes|milliseconds|stream", each)]
    assert "cost" not in found.text
    widths = {box["width"] for box in found.all("rect", "data-row")}
    assert len(widths) == 1
