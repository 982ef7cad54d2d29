"""The figures that stand at the head of a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgeseg.bench.report.pairs import Pair
from edgeseg.bench.report.section import Entry, Section
from edgeseg.bench.report.table import end_to_end, miou_percent


@dataclass(frozen=True)
class Highlight:
    """One figure. entry: the record that it is of, if it is of one."""

    name: str
    figure: str
    text: str
    entry: Entry | None = None


def highlights(section: Section, pairs: Sequence[Pair]) -> list[Highlight]:
    """The fastest and the most accurate record of the first scenario, what INT8 gives, and what is doubtful."""
    tiles: list[Highlight] = []
    scenario, entries = next(iter(section.scenarios.items()), ("", []))
    timed = [(row.latency.p50_ms, row.fps, entry) for entry in entries if (row := end_to_end(entry))]
    if timed:
        ms, fps, entry = min(timed, key=lambda each: each[0])
        tiles.append(Highlight(f"Fastest, {scenario}", f"{ms:.1f} ms", f"{entry.label}, {fps:.1f} fps", entry))
    judged = [(figure, entry) for entry in entries if (figure := miou_percent(entry)) is not None]
    if judged and len({entry.record.accuracy.data for _, entry in judged if entry.record.accuracy}) == 1:
        fastest_last = {entry.id: -ms for ms, _, entry in timed}
        figure, entry = max(judged, key=lambda each: (each[0], fastest_last.get(each[1].id, float("-inf"))))
        tiles.append(Highlight("Most accurate", f"{figure:.1f} % mIoU", entry.label, entry))
    ratios = [pair.frame_ratio for pair in pairs if pair.frame_ratio is not None]
    drops = [pair.drop for pair in pairs if pair.drop is not None]
    if ratios:
        text = f"of the float time end to end, median of {len(ratios)}"
        text += f"; the largest loss is {max(drops):.2f} points of mIoU" if drops else ""
        tiles.append(Highlight("INT8 takes", f"{100 * median(ratios):.0f} %", text))
    left_out = f"{len(section.left_out)} not in the tables" if section.left_out else "none left out"
    tiles.append(Highlight("Settled", f"{len(section.entries)} of {len(section.everything)}", left_out))
    return tiles
