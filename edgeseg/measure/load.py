"""CPU time of this process and load by other processes, which wall time alone does not show."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass

import psutil


@dataclass(frozen=True)
class Load:
    """The load of an interval.

    cpu_seconds: CPU time of this process, all threads, user and system.
    foreign_cores: CPU time of all other processes, and time stolen by the hypervisor, per second of wall time.
    stolen_cores: the part of it that the hypervisor took; 0 on bare metal.
    """

    wall_seconds: float
    cpu_seconds: float
    foreign_cores: float
    stolen_cores: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


class LoadMeter:
    """Starts on construction; `load()` gives the load since then.

    children: the child processes that end meanwhile are not foreign; they must have begun meanwhile, too.
    """

    def __init__(self, *, children: bool = False) -> None:
        self._children = children_seconds if children else lambda: 0.0
        self._wall, self._own, self._all = time.perf_counter(), time.process_time(), busy_seconds()
        self._stolen, self._of_children = stolen_seconds(), self._children()

    def load(self) -> Load:
        """The load since construction."""
        wall = time.perf_counter() - self._wall
        own = time.process_time() - self._own
        ours = own + self._children() - self._of_children
        foreign = max(0.0, busy_seconds() - self._all - ours)
        stolen = min(foreign, max(0.0, stolen_seconds() - self._stolen))
        return Load(wall, own, foreign / wall, stolen / wall) if wall > 0 else Load(wall, own, 0.0)


def busy_seconds() -> float:
    """Busy CPU seconds of this machine since it started, all cores together."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guest time is part of user time already
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guest)


def children_seconds() -> float:
    """CPU seconds of the child processes that have ended, with those of theirs."""
    times = os.times()
    return times.children_user + times.children_system


def stolen_seconds() -> float:
    """CPU seconds that the hypervisor gave to others since the start of this machine; 0 where unknown."""
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
