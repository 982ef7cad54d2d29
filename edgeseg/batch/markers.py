"""Markers of units that are done, `OUT/<digest>.json`, and their sum."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.batch.rows import SCHEMA
from edgeseg.errors import DataError
from edgeseg.files import existing_folder

MARKER = re.compile(r"([0-9a-f]{64})\.json")
LISTED_ERRORS = 100  # in a summary; the markers hold them all


@dataclass
class BatchSummary:
    """The sum of rows. errors: the first ones, {source, code, message}. digests of jobs: with the number of units.

    seconds: of all processes together. began_at, ended_at: of the first and the last unit, in seconds since 1970.
    """

    done: int = 0
    failed: int = 0
    frames: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: int = 0
    began_at: float | None = None
    ended_at: float | None = None
    error_codes: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, str]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, whether it has a marker or not."""
        error = row["error"]
        self.done += error is None
        self.failed += error is not None
        self.frames += row["frames"]
        self.seconds += row["seconds"]
        self.cpu_seconds += row["cpu_seconds"]
        self.losses += bool(row["losses"])
        began, ended = row["began_at"], row["ended_at"]
        self.began_at = began if self.began_at is None else min(began, self.began_at)
        self.ended_at = ended if self.ended_at is None else max(ended, self.ended_at)
        self.jobs[row["job"]] += 1
        if error is not None:
            self.error_codes[error["code"]] += 1
            if len(self.errors) < LISTED_ERRORS:
                self.errors.append({"source": row["source"], **error})

    @property
    def fps(self) -> float:
        """Frames per second between the beginning of the first unit and the end of the last one."""
        span = (self.ended_at or 0.0) - (self.began_at or 0.0)
        return self.frames / span if span > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "done": self.done,
            "failed": self.failed,
            "frames": self.frames,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "fps": self.fps,
            "with_losses": self.losses,
            "began_at": self.began_at,
            "ended_at": self.ended_at,
            "jobs": dict(self.jobs),
            "error_codes": dict(self.error_codes),
            "errors": self.errors,
        }


def marker_path(out: Path, digest: str) -> Path:
    """The marker of a unit."""
    return out / f"{digest}.json"


def marked_digests(out: Path) -> set[str]:
    """The digests of all units that have a marker in `out`."""
    if not out.is_dir():
        return set()
    with os.scandir(out) as entries:
        return {match[1] for entry in entries if (match := MARKER.fullmatch(entry.name))}


def rows_of_markers(out: Path) -> Iterator[dict[str, Any]]:
    """The rows of all markers in `out`, one after another, in the order of their digests."""
    for digest in sorted(marked_digests(out)):
        row = row_of_marker(out, digest)
        if row is not None:
            yield row


def row_of_marker(out: Path, digest: str) -> dict[str, Any] | None:
    """The row of a unit; None where it has no marker, or an unreadable one."""
    try:
        row = json.loads(marker_path(out, digest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and row.get("schema") == SCHEMA else None


def newest_digests(out: Path) -> list[str]:
    """The digest of the newest marker of each source and job: a source that has changed was done again."""
    newest: dict[tuple[str, str], tuple[float, str]] = {}
    for row in rows_of_markers(out):
        key = row["source"], row["job"]
        newest[key] = max(newest.get(key, (0.0, "")), (row["ended_at"], row["digest"]))
    return sorted(digest for _, digest in newest.values())


def merged(out: Path) -> BatchSummary:
    """The sum of the newest markers of all sources in `out`. DataError where there is none."""
    summary = BatchSummary()
    for digest in newest_digests(existing_folder(out)):
        row = row_of_marker(out, digest)
        if row is not None:
            summary.add(row)
    if not summary.jobs:
        hint = f"edgeseg batch SOURCES MODEL -o {out}"
        raise DataError(f"{out} holds no marker of a unit that is done", hint=hint, code="ES-DATA-EMPTY")
    return summary
