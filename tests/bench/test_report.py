"""What the report says of records, and what it leaves out."""

from __future__ import annotations

import builtins
import json
import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bench_records import DEVICE, accuracy_of, bench_record, bench_row, stages_of
from hypothesis import given
from hypothesis import strategies as st
from small_cli import Run, runner

from edgeseg.bench.record import Accuracy, BenchRecord, Resources, Stages
from edgeseg.bench.report.axis import Axis, axis_around, axis_from_zero, axis_of_costs
from edgeseg.bench.report.markdown import markdown_from_sections
from edgeseg.bench.report.pairs import pairs_from_entries
from edgeseg.bench.report.pareto import Point, dominates, pareto_line
from edgeseg.bench.report.samples import sample_chart
from edgeseg.bench.report.section import Section, sections_from_records
from edgeseg.bench.report.stages import stage_chart
from edgeseg.bench.report.stored import StoredRecord, records_from_paths
from edgeseg.bench.report.table import columns_of
from edgeseg.errors import DataError, FileProblem, FormatError
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.measure.load import Load

NOISY = Diagnostic("foreign-load", "other processes used 0.7 cores", "stop them")
HOSTILE = """<script>alert("x")</script>|`'&amp;"""
FIGURES = st.floats(0.001, 1e6)

runner = pytest.fixture(runner)


def section_of(*records: BenchRecord) -> Section:
    """The section of records of one device."""
    (section,) = sections_from_records(
        StoredRecord(Path(f"results/pc-8c/bench/{index}.json"), record, "pc-8c") for index, record in enumerate(records)
    )
    return section


def page_of(*records: BenchRecord) -> str:
    pytest.importorskip("jinja2", reason="the page needs Jinja2, of the extra web")
    from edgeseg.bench.report.page import page_from_sections

    return page_from_sections([section_of(*records)])


def test_the_size_of_the_frames_is_said_where_it_differs() -> None:
    record = bench_record()
    sizes = [(480, 384), (1920, 1080), (0, 0)]
    conditions = [replace(record.conditions, frame_width=width, frame_height=height) for width, height in sizes]
    entries = section_of(*(replace(record, conditions=each) for each in conditions)).entries
    (column,) = (column for column in columns_of(entries) if column.heading == "frame")
    assert {column.text(entry) for entry in entries} == {"as the input", "1920x1080", "several"}


class Table(HTMLParser):
    """The first table of a page: `rows` of texts. `tags`: every tag of the page, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._closed = self._in_cell = self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if self._closed:
            return
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        elif tag == "small":
            self._hidden = dict(attrs).get("class") == "under"

    def handle_endtag(self, tag: str) -> None:
        self._closed |= tag == "table"
        self._in_cell &= tag not in ("td", "th")
        self._hidden &= tag != "small"

    def handle_data(self, data: str) -> None:
        if self._in_cell and not self._closed and not self._hidden:
            self.rows[-1][-1] += data.strip()

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


@given(st.lists(st.builds(Point, st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_nothing_beats_a_point_of_the_line_and_something_on_it_beats_every_other(points: list[Point]) -> None:
    line = pareto_line(points)
    on_line = [points[index] for index in line]
    assert len(set(line)) == len(line)
    assert [point.cost for point in on_line] == sorted(point.cost for point in on_line)
    for index, point in enumerate(points):
        if index in line:
            assert not any(dominates(other, point) for other in points)
        else:
            assert any(dominates(other, point) for other in on_line)


@given(st.lists(FIGURES, min_size=1, max_size=20))
def test_an_axis_holds_its_values_in_their_order_and_has_ticks(values: list[float]) -> None:
    for axis in (axis_from_zero(values), axis_of_costs(values), axis_around(values, 0.001)):
        places = [axis.at(value) for value in sorted(values)]
        assert places == sorted(places)
        assert places[0] >= 0
        assert places[-1] <= 100
        ticks = axis.ticks()
        assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
        assert len(ticks) < 16


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios() -> None:
    axis = Axis(1.0, 100.0, log=True)
    assert [axis.at(value) for value in (1, 10, 100, 1000)] == [0, 50, 100, 100]
    assert [tick.text for tick in axis.ticks()] == ["1", "2", "5", "10", "20", "50", "100"]


@given(st.lists(FIGURES, min_size=2, max_size=1200))
def test_every_sample_is_in_the_histogram_or_counted_as_far(samples: list[float]) -> None:
    chart = sample_chart(bench_row("engine", tuple(samples)))
    assert sum(box.value for box in chart.histogram) + chart.far == len(samples)
    assert all(0 <= box.x <= 100 and box.x + box.width <= 100.01 for box in chart.histogram)
    corners = [tuple(map(float, corner.split(","))) for corner in chart.series.split()]
    assert [x for x, _ in corners] == sorted(x for x, _ in corners)
    assert all(0 <= y <= 100 for _, y in corners)


def test_a_long_series_keeps_its_spikes() -> None:
    samples = [10.0] * 5000
    samples[3210], samples[77] = 14.0, 90.0
    chart = sample_chart(bench_row("engine", tuple(samples)))
    corners = [tuple(map(float, corner.split(","))) for corner in chart.series.split()]
    assert len(corners) < 500
    assert [x for x, y in corners if y == min(y for _, y in corners)] == [pytest.approx(1.54)]
    assert (chart.far, chart.far_marks) == (1, ((1.54, "90.00 ms"),))
    assert min(y for x, y in corners if x > 10) == pytest.approx(100 - chart.axis.at(14.0), abs=0.01)


def test_stages_stand_one_behind_another_on_one_axis() -> None:
    chart = stage_chart(section_of(bench_record(), bench_record(precision="int8", engine_ms=6.0)).entries)
    assert chart is not None
    for bar in chart.bars:
        stages = bar.entry.record.stages
        assert stages is not None
        assert [segment.stage for segment in bar.segments] == list(stages.latency)
        ends = [segment.x + segment.width for segment in bar.segments]
        assert [segment.x for segment in bar.segments] == pytest.approx([0, *ends[:-1]], abs=0.01)
        assert ends[-1] == pytest.approx(chart.axis.at(stages.sum_ms), abs=0.01)
    assert stage_chart(section_of(bench_record(stages=None)).entries) is None


def test_the_period_is_that_of_the_overlapped_run() -> None:
    serial = stages_of(30.0)
    overlapped = replace(serial, overlapped=True, period_ms=25.5)
    chart = stage_chart(section_of(bench_record(stages=serial, overlapped=overlapped)).entries)
    assert chart is not None
    (bar,) = chart.bars
    assert (bar.sum_ms, bar.period_ms, bar.overlapped) == (30.0, 25.5, True)
    assert bar.period == chart.axis.at(25.5)


def test_what_changes_from_run_to_run_is_a_fact_of_the_record_and_not_of_the_device() -> None:
    records = [bench_record(precision=precision, device={**DEVICE, "state": {"clocks_mhz": {"cpu0": mhz}}})
               for precision, mhz in (("fp32", 2000), ("int8", 2500))]  # fmt: skip
    section = section_of(*records)
    assert section.facts["cpu"] == DEVICE["cpu"]
    assert section.lines == ["Some Processor 9000 · 8 threads · avx2, fma · 16000 MiB · Linux 6.8 · Python 3.11.7"]
    assert not any("2000" in value for value in section.facts.values())
    page = page_of(*records)
    assert page.count("clocks mhz cpu0</dt><dd>2000</dd>") == page.count("clocks mhz cpu0</dt><dd>2500</dd>") == 1


def test_the_gpus_and_the_power_mode_are_in_the_line_of_the_device() -> None:
    device = {**DEVICE, "gpus": [{"name": "Some GPU", "driver": "1"}, {"name": ""}], "power_mode": "MAXN"}
    (line,) = section_of(bench_record(device=device)).lines
    assert line.startswith("Some Processor 9000 · Some GPU · 8 threads · ")
    assert " · MAXN · Linux" in line


def test_int8_is_held_against_float_of_the_same_net_engine_size_and_conditions() -> None:
    fp32, int8 = bench_record(engine_ms=20.0), bench_record(precision="int8", engine_ms=5.0, miou=0.64)
    others = [
        bench_record(engine="onnxruntime"), bench_record(size=(1024, 512)), bench_record(scenario="camera"),
        bench_record(name="icnet-camvid"), bench_record(status="inconclusive"),
    ]  # fmt: skip
    (pair,) = pairs_from_entries(section_of(fp32, int8, *others).entries)
    assert (pair.int8.record, pair.reference.record) == (int8, fp32)
    ours, theirs = int8.row("frame"), fp32.row("frame")
    assert ours is not None and theirs is not None
    assert pair.frame_ratio == ours.latency.p50_ms / theirs.latency.p50_ms
    assert pair.cpu_ratio == ours.cpu_ms / theirs.cpu_ms
    assert pair.drop == pytest.approx(0.9)
    assert (pair.worst_class, pair.worst_drop) == ("Road", pytest.approx(0.95 * 0.9 / 0.715))


def test_a_drop_is_not_stated_for_other_data() -> None:
    other = bench_record(precision="int8", accuracy=accuracy_of(0.6, data="camvid, val"))
    (pair,) = pairs_from_entries(section_of(bench_record(), other).entries)
    assert (pair.drop, pair.worst_class, pair.worst_drop) == (None, "", None)


def test_the_figures_of_the_table_are_those_of_the_records() -> None:
    record = bench_record(
        resources=Resources(rss_mib=413.6, device_mib=None, joules_per_frame=0.1234), load=Load(9.0, 16.0, 0.07)
    )
    other = bench_record(name="icnet-camvid", miou=None)
    table = Table(page_of(record, other))
    groups, heads, first, second = table.rows
    engine, frame = record.row("engine"), record.row("frame")
    assert engine is not None and frame is not None
    ms = [getattr(row.latency, name) for row in (engine, frame) for name in ("p50_ms", "p90_ms", "p99_ms")]
    assert [group for group in groups if group] == ["engine ms", "end-to-end ms"]
    assert heads == [
        *("#", "model", "size", "engine", "precision", "p50", "p90", "p99", "p50", "p90", "p99", "fps", "own CPUms"),
        *("mIoU%", "RSSMiB", "J/frame", "foreign loadcores", "settled"),
    ]
    assert first == [
        *("1", "bisenetv2-camvid", "480x384", "openvino", "fp32", *(f"{each:.2f}" for each in ms)),
        *(f"{frame.fps:.1f}", f"{frame.cpu_ms:.2f}", "64.90", "414", "0.123", "0.07", "yes"),
    ]
    assert second[1] == "icnet-camvid"
    assert (second[13], second[15]) == ("-", "-")


def test_the_markdown_has_the_same_figures_as_the_page() -> None:
    records = [bench_record(precision=precision) for precision in ("fp32", "int8")]
    text = markdown_from_sections([section_of(*records)])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert lines[0][5:8] == ["engine p50 ms", "engine p90 ms", "engine p99 ms"]
    assert lines[2:] == Table(page_of(*records)).rows[2:]
    assert text.startswith("# Benchmark report\n\n## pc-8c\n\nSome Processor 9000")


@pytest.mark.parametrize("status", ["inconclusive", "invalid"])
def test_a_record_that_is_not_settled_is_in_no_table_and_no_chart(status: str) -> None:
    row = bench_row("frame", (20.0, 30.0), settled=False)
    left_out = bench_record(name="doubtful", status=status, attempts=2, rows=(row,), diagnostics=(NOISY,))
    page = page_of(bench_record(), left_out)
    before, _, after = page.partition('id="device-1-left-out"')
    assert "doubtful" not in before.replace("doubtful</a>", "")
    assert ("not settled after 2 attempts: end-to-end" in after) is (status == "inconclusive")
    assert "other processes used 0.7 cores (stop them)" in after
    assert len(Table(page).with_class("marker")) == 1
    text = markdown_from_sections([section_of(bench_record(), left_out)])
    assert [line for line in text.splitlines() if "doubtful" in line and "|" in line] == []
    assert f"* doubtful 480x384 openvino fp32, single stream, {status}: " in text


def test_a_page_of_doubtful_records_alone_has_no_table() -> None:
    page = page_of(bench_record(status="inconclusive"))
    assert "<table" not in page
    assert "0 of 1" in page


def test_the_charts_have_a_mark_for_every_figure() -> None:
    figures = (("a", 10.0, 0.5), ("b", 20.0, 0.6), ("c", 30.0, 0.55), ("d", 5.0, None))
    records = [bench_record(name=name, engine_ms=ms, miou=miou) for name, ms, miou in figures]
    table = Table(page_of(*records))
    assert len(table.with_class("marker")) == 3
    assert len(table.with_class("on-line")) == 2
    assert len(table.with_class("segment")) == 4 * 3
    assert len(table.with_class("period")) == 4
    assert len(table.with_class("strip")) == 4 * 2
    assert len(table.with_class("sample-chart")) == 4 * 2
    assert sum(float(each["data-value"] or 0) for each in table.with_class("bin")) == 4 * 2 * 120


def test_records_of_other_scenarios_and_data_have_charts_of_their_own() -> None:
    records = [
        bench_record(), bench_record(scenario="camera"), bench_record(accuracy=accuracy_of(0.7, data="street")),
    ]  # fmt: skip
    page = page_of(*records)
    assert page.count('class="plot"') == 3
    assert page.index(">Single stream</h3>") < page.index(">Camera</h3>")


def test_names_from_a_record_are_text_on_the_page_and_in_markdown() -> None:
    record = bench_record(name=HOSTILE, engine=HOSTILE, precision=HOSTILE, scenario=HOSTILE)
    record = replace(
        record, device={**DEVICE, "cpu": HOSTILE, "gpu": [{HOSTILE: HOSTILE}]}, versions={HOSTILE: HOSTILE},
        accuracy=accuracy_of(0.6, data=HOSTILE, classes={HOSTILE: 0.5}), command=HOSTILE,
        diagnostics=(Diagnostic(HOSTILE, HOSTILE, HOSTILE),),
    )  # fmt: skip
    int8, left_out = bench_record(precision="int8", name=HOSTILE), replace(record, status="invalid")
    page = page_of(record, int8, left_out)
    tags = Table(page).tags
    assert [tag for tag, _ in tags if tag == "script"] == ["script"]
    assert page.count("<script") == 1
    assert not {name for _, attrs in tags for name in attrs if name.startswith("on")}
    assert {attrs["data-model"] for tag, attrs in tags if "data-model" in attrs} == {HOSTILE}
    assert "<script" not in markdown_from_sections([section_of(record, int8, left_out)])


def test_the_page_loads_nothing_and_runs_its_own_script_alone() -> None:
    page = page_of(bench_record())
    table = Table(page)
    assert [attrs for tag, attrs in table.tags if tag in ("link", "img", "script", "iframe") and
            not (attrs.get("href") or attrs.get("src") or "data:").startswith("data:")] == []  # fmt: skip
    (policy,) = (attrs["content"] for tag, attrs in table.tags if attrs.get("http-equiv"))
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/=]+'", policy or ""
    )
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", page) == []


def test_an_image_beside_a_record_is_embedded_and_not_larger_than_needed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("jinja2", reason="the page needs Jinja2, of the extra web")
    from edgeseg.bench.report.page import page_from_sections

    for name in ("one", "two", "three"):
        bench_record().write(tmp_path / f"{name}.json")
    cv2.imwrite(str(tmp_path / "one.diff.png"), np.zeros((400, 2400, 3), np.uint8))
    (tmp_path / "two.diff.png").write_bytes(b"no image")
    page = page_from_sections(sections_from_records(records_from_paths([tmp_path]).records))
    images = [attrs for tag, attrs in Table(page).tags if tag == "img"]
    assert [(each["width"], each["height"]) for each in images] == [("960", "160")]
    assert (images[0]["src"] or "").startswith("data:image/jpeg;base64,")
    assert "two.diff.png is left out" in caplog.text


def test_records_are_read_from_each_layout_of_folders(tmp_path: Path) -> None:
    for name in ("here.json", "bench/two.json", "pc-2c/bench/three.json", "too/deep/bench/four.json"):
        bench_record(name=Path(name).stem).write(tmp_path / name)
    (tmp_path / "other.json").write_text('{"question": "of a script"}')
    (tmp_path / "pc-2c" / "script.json").write_text("{}")
    (tmp_path / "pc-2c" / "bench" / "damaged.json").write_text("{")
    collection = records_from_paths([tmp_path, tmp_path / "bench"])
    assert [stored.record.model.name for stored in collection.records] == ["here", "two", "three"]
    assert [stored.folder for stored in collection.records] == ["", tmp_path.name, "pc-2c"]
    assert [each.path.name for each in collection.unreadable] == ["damaged.json"]
    names = [section.name for section in sections_from_records(collection.records)]
    assert names == sorted([DEVICE["cpu"], tmp_path.name, "pc-2c"])  # type: ignore[type-var]
    with pytest.raises(FormatError):
        records_from_paths([tmp_path / "other.json"])
    with pytest.raises(FileProblem):
        records_from_paths([tmp_path / "missing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        records_from_paths([tmp_path / "empty"])
    assert caught.value.code == "ES-DATA-NO-RECORDS"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data["rows"][0]["latency"].update(p50_ms="<b>"),
        lambda data: data["rows"][0].update(scope="all"),
        lambda data: data["rows"][1].update(samples=[None]),
        lambda data: data["accuracy"].update(by_class={"Sky": "blue"}),
        lambda data: data["model"].update(width=True),
        lambda data: data.update(model=[]),
        lambda data: data["resources"].update(rss_mib=None),
    ],
)
def test_a_record_with_a_value_of_another_type_is_damaged(damage: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(json.dumps(bench_record().to_dict()))
    assert BenchRecord.from_dict(data) == bench_record()
    damage(data)
    with pytest.raises(FormatError) as caught:
        BenchRecord.from_dict(data)
    assert caught.value.code == "ES-FORMAT-RECORD"


def test_the_command_writes_a_page_and_markdown(runner: Run, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="the page needs Jinja2, of the extra web")
    bench_record().write(tmp_path / "pc-2c" / "bench" / "one.json")
    bench_record(status="invalid").write(tmp_path / "pc-2c" / "bench" / "two.json")
    done = runner("report", tmp_path, "-o", tmp_path / "out.html", "--markdown", tmp_path / "out.md")
    assert (done.code, done.out) == (0, "pc-2c: 1 records, and 1 not in the tables\n")
    assert "pc-2c" in (tmp_path / "out.html").read_text()
    assert "| bisenetv2-camvid |" in (tmp_path / "out.md").read_text()
    same = runner("report", tmp_path, "-o", tmp_path / "out.html", "--markdown", tmp_path / "out.html")
    assert (same.code, same.error_code) == (2, "ES-FILE-SAME")


def test_the_command_without_jinja2_says_what_to_install(
    runner: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench_record().write(tmp_path / "one.json")
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    done = runner("report", tmp_path, "-o", tmp_path / "out.html")
    assert (done.code, done.error_code) == (2, "ES-MISSING-WEB")
    assert done.lines("hint") == ['pip install "edgeseg[web]"']


def test_results_begin_with_the_records_of_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench_record().write(tmp_path / "results" / "pc-2c" / "bench" / "one.json")
    script = Path(__file__).parents[2] / "benchmarks" / "report.py"
    monkeypatch.syspath_prepend(str(script.parent))
    out = tmp_path / "RESULTS.md"
    monkeypatch.setattr(sys, "argv", [str(script), "--results", str(tmp_path / "results"), "--out", str(out)])
    runpy.run_path(str(script), run_name="__main__")
    lines = out.read_text().splitlines()
    assert lines.index("## pc-2c") < lines.index("### single stream")
    assert len([line for line in lines if line.startswith("| 1 | bisenetv2-camvid |")]) == 1


def test_figures_of_a_scenario_are_columns_of_its_table() -> None:
    extras = ({"dropped": 3.0, "jitter_ms": 1.25}, {"dropped": 0.0})
    records = [
        bench_record(precision=precision, scenario="camera", rows=(bench_row("frame", (20.0, 21.0), extra=extra),))
        for precision, extra in zip(("fp32", "int8"), extras)
    ]
    camera = section_of(*records, bench_record()).scenarios["camera"]
    columns = {column.title: column for column in columns_of(camera)}
    assert "dropped" not in [column.title for column in columns_of(section_of(bench_record()).entries)]
    assert [columns["dropped"].text(entry) for entry in camera] == ["3", "0"]
    assert [columns["jitter ms"].text(entry) for entry in camera] == ["1.25", "-"]
    assert [columns["engine p50 ms"].text(entry) for entry in camera] == ["-", "-"]


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": ()},
        {"rows": (bench_row("frame", (3.0,)),)},
        {"rows": (bench_row("engine", (0.0, 0.0)), bench_row("frame", (0.0, 5e-324), cpu=0.0, fps=0.0))},
        {"rows": (bench_row("file", tuple([7.0] * 50)),)},
        {"accuracy": Accuracy("camvid", 0, float("nan"), {"Sky": None, "Road": float("nan")})},
        {"stages": Stages({}, overlapped=False, sum_ms=0.0, period_ms=0.0)},
        {"device": {}, "versions": {}},
        {"precision": "int4", "engine": "", "name": ""},
    ],
    ids=", ".join,
)
def test_a_record_with_little_in_it_has_a_page(changes: dict[str, Any]) -> None:
    with_little = bench_record(**changes) if "rows" not in changes else replace(bench_record(), **changes)
    page = page_of(with_little, bench_record(precision="int8"))
    assert len([row for row in Table(page).rows if len(row) > 2]) == 4
    assert re.findall(r"\bnan\b|\binf\b|\bNone\b|Undefined", page) == []
    assert len(markdown_from_sections([section_of(with_little)]).splitlines()) > 3
