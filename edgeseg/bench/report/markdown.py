"""Benchmark records as markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgeseg.bench.report.reasons import diagnostics_from_entries, reasons
from edgeseg.bench.report.section import Entry, Section
from edgeseg.bench.report.stored import UnreadableRecord
from edgeseg.bench.report.table import columns_of

MARKUP = {"&": "&amp;", "<": "&lt;", "|": "&#124;", "`": "&#96;", "[": "&#91;", "*": "&#42;"}


def markdown_from_sections(sections: Iterable[Section], unreadable: Iterable[UnreadableRecord] = ()) -> str:
    """A document of all devices."""
    parts = ["# Benchmark report\n"]
    parts += [f"## {inline(section.name)}\n\n{markdown_from_section(section)}" for section in sections]
    files = bullets(f"{inline(each.path.name)}: {inline(each.reason)}" for each in unreadable)
    if files:
        parts.append(f"## Files that are no record\n\n{files}")
    return "\n".join(parts)


def markdown_from_section(section: Section) -> str:
    """The device, a table for each scenario, and what stays out of them; no heading for the device itself."""
    lines = "\n".join(map(inline, section.lines))
    versions = ", ".join(f"{name} {version}" for name, version in section.versions.items())
    parts = [f"{lines}\n\nForeign load: {section.foreign_load} cores. Versions: {inline(versions)}.\n"]
    for scenario, entries in section.scenarios.items():
        parts.append(f"### {inline(scenario)}\n\n{caption(entries)}\n\n{table(entries)}\n")
    diagnostics = bullets(
        f"{', '.join(f'#{entry.number}' for entry in entries)}: {inline(message)}"
        for shared in diagnostics_from_entries(section.entries)
        for message, entries in shared.messages.items()
    )
    if diagnostics:
        parts.append(f"Diagnostics:\n\n{diagnostics}")
    left_out = bullets(
        f"{inline(entry.label)}, {inline(entry.scenario)}, {entry.record.status}: {inline('; '.join(reasons(entry)))}"
        for entry in section.left_out
    )
    if left_out:
        parts.append(f"Not in the tables:\n\n{left_out}")
    return "\n".join(parts)


def caption(entries: Sequence[Entry]) -> str:
    """What was timed, and on which data the mIoU was measured."""
    images = dict.fromkeys(entry.record.conditions.images for entry in entries if entry.record.conditions.images)
    data = dict.fromkeys(
        f"{accuracy.data}, {accuracy.images} images" for entry in entries if (accuracy := entry.record.accuracy)
    )
    sentences = [f"Frames: {'; '.join(images)}."] if images else []
    sentences += [f"mIoU on {'; '.join(data)}."] if data else []
    return inline(" ".join(sentences))


def table(entries: Sequence[Entry]) -> str:
    """The records as a table."""
    columns = columns_of(entries)
    lines = [
        ["#", *(column.title for column in columns)],
        ["---"] * (1 + len(columns)),
        *([str(entry.number), *(inline(column.text(entry)) for column in columns)] for entry in entries),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list; "" without lines."""
    return "".join(f"* {line}\n" for line in lines)


def inline(text: str) -> str:
    """`text` in one line, with no character that markdown or HTML reads as markup."""
    for mark, entity in MARKUP.items():
        text = text.replace(mark, entity)
    return " ".join(text.split())
