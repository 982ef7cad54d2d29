"""The limits of this process's control groups, of version 2 or 1, which containers and batch systems set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgeseg.measure.sysfs import ROOT, number_at, text_at

CACHE = re.compile(r"^(?:total_)?inactive_file ([0-9]+)$", re.MULTILINE)  # version 1: of this group, then of all in it


def core_limit(root: Path = ROOT) -> float | None:
    """How many cores this process may keep busy; None without a limit."""
    limits = []
    for folder in groups("cpu", root):
        quota, _, period = text_at(folder / "cpu.max").partition(" ")
        quota, period = quota or text_at(folder / "cpu.cfs_quota_us"), period or text_at(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def free_memory_mib(root: Path = ROOT) -> float | None:
    """How much more memory this process may take; None without a limit. The cache of files gives way, and is free."""
    free = []
    for folder in groups("memory", root):
        limit = first_number(folder, "memory.max", "memory.limit_in_bytes")
        used = first_number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None:
            cache = int(["0", *CACHE.findall(text_at(folder / "memory.stat"))][-1])
            free.append(max(0.0, (limit - used + cache) / 2**20))
    return min(free, default=None)


def first_number(folder: Path, *names: str) -> int | None:
    """The number in the first of these files that has one, also where it is 0; None where none has."""
    numbers = (number_at(folder / name) for name in names)
    return next((number for number in numbers if number is not None), None)


def groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the groups that this process is in, the innermost first. In a container some may not be there."""
    for line in text_at(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers or controller in controllers.split(","):
            base, group = root / "sys/fs/cgroup" / (controller if controllers else ""), PurePosixPath(path)
            for each in (group, *group.parents):
                yield base / str(each).lstrip("/")
