"""What a run used: memory and energy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """rss_mib: the largest of the process during the run. device_mib: of its device memory, None where unknown.

    joules_per_frame, watts (the mean): by `counter`, a key of `COUNTERS` or several joined by "+"; None and "" where
    there is none. They are of the whole processor, GPU or board, other processes included.
    """

    rss_mib: float
    device_mib: float | None = None
    joules_per_frame: float | None = None
    watts: float | None = None
    counter: str = ""
