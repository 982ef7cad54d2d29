"""The small text files of /sys and /proc, of which any can be missing, denied or fail to be read."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path("/")


def text_at(path: Path) -> str:
    """The text of a file without surrounding blanks and NULs; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n")
    except (OSError, ValueError):
        return ""


def number_at(path: Path) -> int | None:
    """The decimal integer of a file; None where there is none."""
    text = text_at(path)
    return int(text) if re.fullmatch(r"-?[0-9]{1,20}", text) else None


def paths_like(pattern: str, root: Path = ROOT) -> list[Path]:
    """The existing paths that match a pattern below `root`, with numbers in numerical order."""
    try:
        return sorted(root.glob(pattern), key=_order)
    except OSError:
        return []


def mhz_at(path: Path) -> int | None:
    """The megahertz of a file in kilohertz, as cpufreq writes them."""
    number = number_at(path)
    return None if number is None else number // 1000


def _order(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
