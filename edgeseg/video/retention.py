"""Which recordings to delete: by age and total size, and only those whose name fits a pattern of times."""

from __future__ import annotations

import contextlib
import re
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from edgeseg.errors import FormatError

DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3}  # of the directives of strftime
DIRECTIVE = re.compile(r"%(.?)")
HINT = "write clips/%Y%m%d-%H%M%S.mp4?segment=10m"


class SegmentPattern:
    """A path with a time in it, such as `clips/%Y-%m-%d/%H%M%S.mp4`; times are local.

    root: its folder, as far as no time is in it. FormatError for an unknown directive, or where there is none.
    """

    def __init__(self, pattern: str) -> None:
        directives = DIRECTIVE.findall(pattern)
        unknown = [letter for letter in directives if letter not in (*DIGITS, "%")]
        if unknown or not set(directives) - {"%"}:
            problem = f"%{unknown[0]} is not one of %{' %'.join(DIGITS)}" if unknown else "the name has no time in it"
            raise FormatError(f"segments {pattern}: {problem}", hint=HINT, code="ES-FORMAT-OPTION")
        self.text = pattern
        parts = Path(pattern).parts
        fixed = next(index for index, part in enumerate(parts) if set(DIRECTIVE.findall(part)) - {"%"})
        self.root = Path(*(part.replace("%%", "%") for part in parts[:fixed]))
        self._parts = parts[fixed:]
        self._suffix = Path(pattern).suffix
        # Segments that begin in the same second are numbered: name-2.mp4.
        names = "/".join(self._parts)[: -len(self._suffix)]
        self._name = re.compile(_regex(names) + r"(-\d+)?" + re.escape(self._suffix))

    def unused_path(self, now: float) -> Path:
        """The path of a segment that begins at `now` (seconds since the epoch), and does not exist."""
        relative = time.strftime("/".join(self._parts), time.localtime(now))
        first = path = self.root / relative
        number = 1
        while path.exists():
            number += 1
            path = first.with_name(f"{first.stem}-{number}{first.suffix}")
        return path

    def files(self) -> list[Path]:
        """The files that the pattern matches. Links are not followed."""
        pattern = "*/" * (len(self._parts) - 1) + "*" + escape(self._suffix)
        paths = self.root.glob(pattern) if self.root.is_dir() else iter(())
        return [path for path in paths if self._name.fullmatch(path.relative_to(self.root).as_posix())]

    def recordings(self) -> list[Recording]:
        """The matched files that are files, the oldest first."""
        recordings = []
        for path in self.files():
            with contextlib.suppress(OSError):  # deleted meanwhile
                state = path.lstat()
                if stat.S_ISREG(state.st_mode):
                    recordings.append(Recording(state.st_mtime, state.st_size, path))
        return sorted(recordings, key=lambda recording: (recording.ended_at, str(recording.path)))


@dataclass(frozen=True)
class Recording:
    """A file. ended_at: the time of its last write, in seconds since the epoch."""

    ended_at: float
    bytes: int
    path: Path


@dataclass(frozen=True)
class Retention:
    """How old recordings may become, and how many bytes they may have together; None is no limit."""

    seconds: float | None = None
    bytes: float | None = None

    def expired(self, recordings: Sequence[Recording], now: float) -> list[Path]:
        """Those of `recordings` (the oldest first) to delete before a new one begins.

        The new one counts as large as the last one, so that the total stays within the limit while it is written.
        """
        old = [r for r in recordings if self.seconds is not None and r.ended_at < now - self.seconds]
        remaining = [r for r in recordings if r not in old]
        if self.bytes is not None and remaining:
            total = sum(r.bytes for r in remaining) + remaining[-1].bytes
            while remaining and total > self.bytes:
                total -= remaining[0].bytes
                old.append(remaining.pop(0))
        return [r.path for r in old]


def _regex(pattern: str) -> str:
    """The regular expression for the names that `pattern` makes."""
    pieces = re.split(r"(%.)", pattern)
    return "".join(
        re.escape("%" if piece == "%%" else piece)
        if piece == "%%" or piece[:1] != "%"
        else rf"\d{{{DIGITS[piece[1]]}}}"
        for piece in pieces
    )
