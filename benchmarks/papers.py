"""What others publish of their networks, beside what we measured at the same input size.

`papers.toml` has what is published, with its sources. Our side comes from records alone: of our families from those of
`edgeseg bench` (results/<device>/bench/*.json), of other networks from those of `peers/table.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from record import FOLDER, Table

from edgeseg.bench.record import BenchRecord
from edgeseg.files import toml_from_file

PAPERS = FOLDER / "papers.toml"
SCENARIO = "single-stream"
COLUMNS = (
    *("network", "published by", "mIoU %", "on", "device", "image", "network's input", "network ms", "total ms"),
    *("what it includes", "here: network ms", "here: total ms", "here: mIoU %", "here: on", "what differs"),
)


@dataclass(frozen=True)
class Measured:
    """One of our figures. network_ms, total_ms: the medians of the network alone, and of a frame to its labels."""

    device: str
    how: str
    network_ms: float | None = None
    total_ms: float | None = None
    miou: float | None = None
    data: str = ""


def papers(path: Path = PAPERS) -> list[dict[str, Any]]:
    """What is published."""
    found: list[dict[str, Any]] = toml_from_file(path, hint="see benchmarks/papers.toml")["paper"]
    return found


def measured_by_bench(results: Path, family: str, size: str) -> Iterator[Measured]:
    """Of each device the fastest settled record of a family at an input size."""
    for folder in folders(results):
        records = [BenchRecord.read(path) for path in sorted((folder / "bench").glob("*.json"))]
        rows = [
            (row.latency.p50_ms, record)
            for record in records
            if record.status == "settled"
            and record.conditions.scenario == SCENARIO
            and record.model.name.partition("-")[0] == family
            and f"{record.model.width}x{record.model.height}" == size
            and (row := record.row("engine")) is not None
        ]
        if rows:
            p50, record = min(rows, key=lambda row: row[0])
            frame, accuracy = record.row("frame"), record.accuracy
            yield Measured(
                folder.name,
                f"{record.model.name}, {record.model.engine} {record.model.precision}",
                p50,
                frame.latency.p50_ms if frame else None,
                100 * accuracy.miou if accuracy else None,
                accuracy.data if accuracy else "",
            )


def measured_by_peers(results: Path, network: str, size: str) -> Iterator[Measured]:
    """Of each device the fastest contender with another network at an input size; it has no accuracy."""
    for folder in folders(results):
        rows = []
        for path in sorted(folder.glob("peers*.json")):
            data = json.loads(path.read_text(encoding="utf-8"))["data"]
            for name, each in data["contenders"].items():
                times = {scope: median(turn["p50_ms"] for turn in turns) for scope, turns in each["turns"].items()}
                if data["size"] == size and each["facts"].get("network") == network and "engine" in times:
                    rows.append((times["engine"], times.get("frame"), name))
        if rows:
            engine, frame, name = min(rows, key=lambda row: row[0])
            yield Measured(folder.name, name, engine, frame)


def folders(results: Path) -> list[Path]:
    return sorted(path for path in results.iterdir() if path.is_dir())


def papers_table(results: Path, path: Path = PAPERS) -> Table:
    """One row for each published figure and device of ours; "-" where there is no record."""
    rows = []
    for paper in papers(path):
        measure, name = (measured_by_bench, "family") if "family" in paper else (measured_by_peers, "network")
        found = list(measure(results, paper[name], paper["compare"])) or [None]
        rows += [[*published_cells(paper), *measured_cells(paper, each)] for each in found]
    return Table("Published figures, and ours at the same input size", COLUMNS, rows)


def published_cells(paper: Mapping[str, Any]) -> list[str]:
    sources = [paper[key] for key in ("source", "also") if key in paper]
    links = ", ".join(f"[{number}]({link})" for number, link in enumerate(sources, 1))
    device = " ".join([paper["device"], *([paper["precision"]] if "precision" in paper else [])])
    engine = paper.get("engine_ms") or 1000 / paper["fps"]
    speed = f"{engine:.2f}" if "engine_ms" in paper else f"{engine:.2f} ({paper['fps']:g} frames/s)"
    return [
        *(paper["name"], f"{paper['published']} {links}", f"{paper['miou']:.2f}", paper["data"], device),
        *(paper["image"], paper.get("input", "-"), speed, figure(paper.get("total_ms")), paper["includes"]),
    ]


def measured_cells(paper: Mapping[str, Any], measured: Measured | None) -> list[str]:
    differs = paper.get("differs", "")
    if measured is None:
        return ["-", "-", "-", "-", differs or "-"]
    accuracy = f"{measured.miou:.2f} on {measured.data}" if measured.miou is not None else "-"
    figures = [figure(measured.network_ms), figure(measured.total_ms), accuracy]
    always = ["the device", "the precision", *(["the data"] if measured.data else [])]
    reasons = ", ".join([*always, *([differs] if differs else [])])
    return [*figures, f"{measured.device}: {measured.how}", reasons]


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
