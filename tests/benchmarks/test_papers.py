"""Published figures stand beside records of the same input size, and beside nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from edgeseg.bench.record import Accuracy, BenchRecord, Conditions, ModelFacts, Resources, Row
from edgeseg.measure.load import Load
from edgeseg.measure.recorder import summary_from_samples

FOLDER = Path(__file__).parents[2] / "benchmarks"
PAPERS = """
[[paper]]
name = "BiSeNetV2"
family = "bisenetv2"
published = "a paper"
data = "Cityscapes test"
miou = 72.6
fps = 100.0
device = "a GPU"
image = "2048x1024"
compare = "1024x512"
includes = "the network"
source = "https://example.org/paper"

[[paper]]
name = "YOLO"
network = "yolo-n"
published = "its makers"
data = "Cityscapes val"
miou = 78.3
engine_ms = 4.4
total_ms = 6.0
device = "a GPU"
precision = "fp16"
image = "2048x1024"
compare = "2048x1024"
includes = "torch"
differs = "random weights here"
source = "https://example.org/yolo"
"""


@pytest.fixture
def papers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import papers as module

    return module


def bench_record(**changes: Any) -> BenchRecord:
    """A settled record of BiSeNetV2 at 1024x512: 7 ms the network, 9 ms a frame."""
    rows = tuple(
        Row(scope, summary_from_samples([ms]), 1000 / ms, ms, True, (ms,), (ms,) * 10)
        for scope, ms in (("engine", changes.pop("engine_ms", 7.0)), ("frame", 9.0))
    )
    return BenchRecord(
        model=ModelFacts("bisenetv2-street", 1024, changes.pop("height", 512), "openvino", "int8"),
        conditions=Conditions(changes.pop("scenario", "single-stream")),
        status=changes.pop("status", "settled"),
        rows=rows,  # type: ignore[arg-type]
        load=Load(1.0, 1.0, 0.0),
        resources=Resources(100.0),
        device={},
        versions={},
        accuracy=Accuracy("street", 16, 0.849),
    )


def rows_of(papers: ModuleType, tmp_path: Path) -> list[list[str]]:
    (tmp_path / "papers.toml").write_text(PAPERS)
    results = tmp_path / "results"
    results.mkdir(exist_ok=True)
    found: list[list[str]] = papers.papers_table(results, tmp_path / "papers.toml").rows
    return found


def test_without_records_our_cells_are_dashes(papers: ModuleType, tmp_path: Path) -> None:
    paper, yolo = rows_of(papers, tmp_path)
    assert paper[:5] == ["BiSeNetV2", "a paper [1](https://example.org/paper)", "72.60", "Cityscapes test", "a GPU"]
    assert paper[7] == "10.00 (100 frames/s)"
    assert paper[-5:] == ["-"] * 5
    assert [yolo[4], yolo[7], yolo[8], yolo[-1]] == ["a GPU fp16", "4.40", "6.00", "random weights here"]


def test_the_fastest_settled_record_of_the_same_size_is_taken(papers: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "board" / "bench"
    folder.mkdir(parents=True)
    others = [{"status": "inconclusive"}, {"height": 256}, {"scenario": "offline"}, {"engine_ms": 8.0}]
    for index, changes in enumerate(others):
        bench_record(**{"engine_ms": 1.0, **changes}).write(folder / f"{index}.json")
    bench_record().write(folder / "good.json")
    paper, _ = rows_of(papers, tmp_path)
    assert paper[-5:-1] == ["7.00", "9.00", "84.90 on street", "board: bisenetv2-street, openvino int8"]
    assert paper[-1] == "the device, the precision, the data"


def test_another_network_is_taken_from_the_table_of_peers(papers: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "board"
    folder.mkdir(parents=True)
    for size, ms in (("2048x1024", 40.0), ("1024x512", 10.0)):
        turns = {"engine": [{"p50_ms": ms}, {"p50_ms": ms + 2}, {"p50_ms": ms + 1}], "frame": [{"p50_ms": 60.0}]}
        contenders = {"ultralytics": {"facts": {"network": "yolo-n"}, "turns": turns}}
        data = {"size": size, "contenders": {**contenders, "usual loop": {"facts": {}, "turns": turns}}}
        (folder / f"peers-{size}.json").write_text(json.dumps({"data": data}))
    _, yolo = rows_of(papers, tmp_path)
    assert yolo[-5:-1] == ["41.00", "60.00", "-", "board: ultralytics"]


def test_what_is_published_has_its_source(papers: ModuleType) -> None:
    listed = papers.papers()
    families = {"bisenetv1", "bisenetv2", "icnet", "segformer"}
    assert families <= {paper.get("family") for paper in listed}
    assert {"yolo26n-sem", "D-FINE-seg-N"} <= {paper.get("network") for paper in listed}
    for paper in listed:
        assert urlsplit(paper["source"]).scheme == "https"
        assert 10 < paper["miou"] < 100
        assert ("fps" in paper) != ("engine_ms" in paper)
        assert ("family" in paper) != ("network" in paper)
    assert dataclasses.is_dataclass(papers.Measured)
