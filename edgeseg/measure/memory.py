"""The memory of this process: now, at most over an interval, and what is free beside it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import psutil

from edgeseg.measure.cgroups import free_memory_mib
from edgeseg.measure.sysfs import ROOT, text_at

HIGH_WATER = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)


def resident_mib() -> float:
    """The memory of this process now."""
    return float(psutil.Process().memory_info().rss) / 2**20


def free_mib(root: Path = ROOT) -> float:
    """The memory that is free for further processes, of the machine or, where that is less, of its control groups."""
    free, limit = float(psutil.virtual_memory().available) / 2**20, free_memory_mib(root)
    return free if limit is None else min(free, limit)


class PeakMemory:
    """Samples, and Linux's own maximum where it rose during the interval, so that no peak between samples is missed.

    device: the memory of this process on its device in MiB, None where that cannot be told.
    """

    def __init__(
        self,
        root: Path = ROOT,
        resident: Callable[[], float] = resident_mib,
        device: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._root, self._resident, self._device = root, resident, device
        self._before: float | None = None
        self.rss_mib = 0.0
        self.device_mib: float | None = None

    def start(self) -> None:
        """Begin."""
        self._before = self._high_water()
        self.sample()

    def sample(self) -> None:
        """Take a reading."""
        self.rss_mib = max(self.rss_mib, self._resident())
        device = self._device()
        if device is not None:
            self.device_mib = max(self.device_mib or 0.0, device)

    def stop(self) -> None:
        """End: `rss_mib` and `device_mib` have their maxima."""
        self.sample()
        after = self._high_water()
        if after is not None and (self._before is None or after > self._before):
            self.rss_mib = max(self.rss_mib, after)

    def _high_water(self) -> float | None:
        match = HIGH_WATER.search(text_at(self._root / "proc/self/status"))
        return int(match[1]) / 1024 if match else None
