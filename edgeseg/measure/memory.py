"""The memory of this process: now, at most over an interval, and what is free beside it."""

from __future__ import annotations

import math
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


def high_water_mib(pid: int | str = "self", root: Path = ROOT) -> float:
    """The most memory that a process had at once, so far. NaN where that cannot be told, as for one that ended.

    `ru_maxrss` will not do: it is no less than what the process that started this one had.
    """
    match = HIGH_WATER.search(text_at(root / f"proc/{pid}/status"))
    return int(match[1]) / 1024 if match else math.nan


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
        self._before = math.nan
        self.rss_mib = 0.0
        self.device_mib: float | None = None

    def start(self) -> None:
        """Begin."""
        self._before = high_water_mib(root=self._root)
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
        after = high_water_mib(root=self._root)
        if after > self._before:
            self.rss_mib = max(self.rss_mib, after)
