"""The figures of the contenders of `table.py`: what they tell about each other, as tables and verdicts."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
from record import Table, Verdict

from edgeseg.measure.recorder import summary_from_samples

APP_LIMIT, MIOU_LIMIT = 1.05, 0.1
OURS, APP = "edgeseg", "benchmark_app of"  # what names of contenders begin with
SCOPES = {"engine": "network", "frame": "frame", "file": "file"}


@dataclass(frozen=True)
class Turn:
    """One turn of one contender. samples: in ms; empty where only the median is known."""

    n: int
    p50_ms: float
    cpu_ms: float
    fps: float
    foreign_cores: float
    samples: tuple[float, ...] = ()


@dataclass
class Figures:
    """Everything about one contender. turns: by scope, one a round."""

    facts: Mapping[str, Any]
    same_network: bool
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    agreement: float | None = None
    miou: float | None = None
    rss_mib: float | None = None

    def middle(self, scope: str, key: str) -> float | None:
        """The median of the rounds; None where it has not that scope."""
        turns = self.turns.get(scope)
        return statistics.median(getattr(turn, key) for turn in turns) if turns else None


def foreign_cores(figures: Mapping[str, Figures]) -> float:
    """The mean over all turns."""
    turns = [turn for each in figures.values() for found in each.turns.values() for turn in found]
    return statistics.mean(turn.foreign_cores for turn in turns) if turns else 0.0


def turn_from_answer(answer: Mapping[str, Any], foreign_cores: float) -> Turn:
    """What a contender answered."""
    samples = tuple(answer.get("samples", ()))
    n = len(samples) or int(answer["n"])
    p50 = statistics.median(samples) if samples else answer["p50_ms"]
    return Turn(n, p50, answer["cpu_seconds"] * 1e3 / n, n / answer["wall_seconds"], foreign_cores, samples)


def fastest(figures: Mapping[str, Figures], scope: str, *, ours: bool, precision: str = "") -> str | None:
    """Of ours, or of the peers of the same network in the same loop: the one with the least own CPU time."""
    names = [
        name
        for name, each in figures.items()
        if each.turns.get(scope)
        and each.same_network
        and name.startswith(OURS) == ours
        and not name.startswith(APP)
        and precision in ("", each.facts["precision"])
    ]
    return min(names, key=lambda name: figures[name].middle(scope, "cpu_ms") or 0.0, default=None)


def ratio(over: Figures, under: Figures, scope: str, key: str = "cpu_ms") -> float:
    """The median over the rounds."""
    pairs = zip(over.turns[scope], under.turns[scope])
    return statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs)


def verdicts(figures: Mapping[str, Figures]) -> list[Verdict]:
    """Whether ours leads, and by how much it does not."""
    found: list[Verdict] = []
    for scope, precision in (("engine", ""), ("frame", ""), ("engine", "fp32")):
        own, its = (fastest(figures, scope, ours=mine, precision=precision) for mine in (True, False))
        if own and its:
            times = ratio(figures[own], figures[its], scope)
            what = f"{SCOPES[scope]}{', fp32 alone' if precision else ''}"
            text = f"{what}: {own} takes {times:.3f} times the own CPU time of the best peer of the same net, {its}"
            found.append(Verdict("at most 1.00 times", text, times <= 1))
    for name, each in figures.items():
        if name.startswith(f"{APP} {OURS}") and each.turns.get("engine"):
            own = name.removeprefix(f"{APP} ")
            times = ratio(figures[own], each, "engine", "p50_ms")
            text = f"network: {own} takes {times:.3f} times the latency that benchmark_app finds for the same file"
            found.append(Verdict(f"at most {APP_LIMIT:.2f} times", text, times <= APP_LIMIT))
    return found + video_verdicts(figures) + network_verdicts(figures) + accuracy_verdicts(figures)


def video_verdicts(figures: Mapping[str, Figures]) -> list[Verdict]:
    own = next((name for name in figures if name.startswith(OURS) and figures[name].turns.get("file")), None)
    found = []
    for name, each in figures.items():
        if own and name != own and each.turns.get("file"):
            times = ratio(figures[own], each, "file", "fps")
            text = f"file: {own} has {times:.2f} times the frame rate of {name}"
            found.append(Verdict("at least 1.00 times", text, times >= 1))
    return found


def network_verdicts(figures: Mapping[str, Figures]) -> list[Verdict]:
    own, found = fastest(figures, "frame", ours=True), []
    for name, each in figures.items():
        if own and not each.same_network and each.turns.get("frame"):
            times = ratio(figures[own], each, "frame")
            text = f"frame: {own} takes {times:.2f} times the own CPU time of another net, {net_of(name, each)}"
            found.append(Verdict("at most 1.00 times", text, times <= 1))
    return found


def accuracy_verdicts(figures: Mapping[str, Figures]) -> list[Verdict]:
    int8 = {name: each for name, each in figures.items() if each.facts.get("precision") == "int8" and each.miou}
    own = fastest(int8, "engine", ours=True)
    peers = {name: each.miou or 0.0 for name, each in int8.items() if not name.startswith(OURS)}
    if not own or not peers:
        return []
    best = max(peers, key=lambda name: peers[name])
    points = 100 * (peers[best] - (int8[own].miou or 0.0))
    text = f"{own} has {points:+.2f} points of mIoU less than the most accurate int8 peer, {best}"
    return [Verdict(f"at most {MIOU_LIMIT:.2f} points less", text, points <= MIOU_LIMIT)]


def net_of(name: str, each: Figures) -> str:
    """The contender, with its network and a note where it has one."""
    more = [each.facts[key] for key in ("network", "note") if each.facts.get(key)]
    return f"{name} ({', '.join(more)})" if more else name


def cell(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def summary_table(figures: Mapping[str, Figures]) -> Table:
    columns = (
        *("contender", "runtime", "precision", "network CPU ms", "network p50 ms", "frame CPU ms", "frame p50 ms"),
        *("file frames/s", "mIoU %", "labels as fp32", "RSS MiB"),
    )
    rows = []
    for name, each in figures.items():
        times = [cell(each.middle(scope, key)) for scope in ("engine", "frame") for key in ("cpu_ms", "p50_ms")]
        miou = cell(None if each.miou is None else 100 * each.miou, 2)
        rest = [cell(each.middle("file", "fps")), miou, cell(each.agreement, 4), cell(each.rss_mib, 0)]
        rows.append([net_of(name, each), str(each.facts["runtime"]), str(each.facts["precision"]), *times, *rest])
    return Table("All contenders; own CPU time and median latency of one image", columns, rows)


def scope_table(figures: Mapping[str, Figures], scope: str, title: str) -> Table | None:
    """The latencies of a scope, over the samples of all rounds; None where nobody has it."""
    columns = ("contender", "n", "p50 ms", "p90 ms", "p99 ms", "images/s", "own CPU ms", "CPU to ours", "foreign cores")
    best, rows = fastest(figures, scope, ours=True), []
    for name, each in figures.items():
        turns = each.turns.get(scope)
        if not turns or best is None:
            continue
        samples = [sample for turn in turns for sample in turn.samples]
        if samples:
            summary = summary_from_samples(samples)
            latency = [f"{value:.1f}" for value in (summary.p50_ms, summary.p90_ms, summary.p99_ms)]
        else:
            latency = [cell(each.middle(scope, "p50_ms")), "-", "-"]
        rows.append(
            [
                *(name, str(sum(turn.n for turn in turns)), *latency, cell(each.middle(scope, "fps"))),
                *(cell(each.middle(scope, "cpu_ms")), f"{ratio(each, figures[best], scope):.2f}"),
                cell(each.middle(scope, "foreign_cores"), 2),
            ]
        )
    return Table(title, columns, rows) if rows else None


def versions_text(each: Figures) -> str:
    return ", ".join(f"{name} {version}" for name, version in each.facts.get("versions", {}).items()) or "-"


def plain(each: Figures) -> dict[str, Any]:
    """Without single samples, which are thousands."""
    turns = {
        scope: [{key: value for key, value in asdict(turn).items() if key != "samples"} for turn in found]
        for scope, found in each.turns.items()
    }
    return {**asdict(each), "facts": dict(each.facts), "turns": turns}
