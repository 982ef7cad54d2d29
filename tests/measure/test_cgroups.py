"""The limits of control groups, from the files that Linux has for them."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from fake_machine import write

from edgeseg.measure.cgroups import core_limit, free_memory_mib
from edgeseg.measure.device import available_threads
from edgeseg.measure.memory import free_mib

V1 = "proc/self/cgroup", "5:memory:/pod/own\n4:cpu,cpuacct:/pod/own\n1:name=systemd:/pod\n0::/"
V2 = "proc/self/cgroup", "0::/pod/own"
FOLDER = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        (dict([V2]), None),
        (dict([V2, (f"{FOLDER}/pod/own/cpu.max", "max 100000")]), None),
        (dict([V2, (f"{FOLDER}/pod/own/cpu.max", "250000 100000")]), 2.5),
        (dict([V2, (f"{FOLDER}/pod/own/cpu.max", "max 100000"), (f"{FOLDER}/pod/cpu.max", "300000 100000")]), 3.0),
        (dict([V2, (f"{FOLDER}/cpu.max", "50000 100000")]), 0.5),  # what a container sees of its own group
        (dict([V1, (f"{FOLDER}/cpu/pod/cpu.cfs_quota_us", -1), (f"{FOLDER}/cpu/pod/cpu.cfs_period_us", 100)]), None),
        (dict([V1, (f"{FOLDER}/cpu/pod/cpu.cfs_quota_us", 400), (f"{FOLDER}/cpu/pod/cpu.cfs_period_us", 100)]), 4.0),
    ],
)
def test_the_limit_of_cores_is_the_smallest_of_the_groups(
    files: dict[str, object], cores: float | None, tmp_path: Path
) -> None:
    assert core_limit(write(tmp_path, files)) == cores


def test_the_threads_are_those_of_the_limit_where_it_is_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for quota, threads in (("max", 8), ("1600000", 8), ("250000", 2), ("50000", 1)):
        write(tmp_path, dict([V2, (f"{FOLDER}/pod/own/cpu.max", f"{quota} 100000")]))
        assert available_threads(tmp_path) == threads


def test_free_memory_is_the_smallest_of_the_groups_and_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    v1, v2, unlimited = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    write(v1, dict([V1, (f"{FOLDER}/memory/memory.limit_in_bytes", 9 << 30)]))
    write(v1, {f"{FOLDER}/memory/memory.usage_in_bytes": 2 << 30})
    write(v1, {f"{FOLDER}/memory/memory.stat": f"inactive_file 5\ntotal_inactive_file {1 << 30}\ntotal_rss 3"})
    assert free_memory_mib(v1) == 8192
    write(v2, dict([V2, (f"{FOLDER}/pod/memory.max", 4 << 30), (f"{FOLDER}/pod/memory.current", 3 << 30)]))
    write(v2, {f"{FOLDER}/pod/own/memory.max": "max", f"{FOLDER}/pod/own/memory.current": 1 << 30})
    assert free_memory_mib(v2) == 1024
    write(unlimited, dict([V2, (f"{FOLDER}/pod/memory.max", "max"), (f"{FOLDER}/pod/memory.current", 3 << 30)]))
    assert free_memory_mib(unlimited) is None
    for name, limit, used, free in (("full", 0, 0, 0), ("unused", 1 << 30, 0, 1024), ("forbidden", 0, 1 << 20, 0)):
        files = {f"{FOLDER}/pod/own/memory.max": limit, f"{FOLDER}/pod/own/memory.current": used}
        assert free_memory_mib(write(tmp_path / name, dict([V2]) | files)) == free
    available = psutil.virtual_memory()._replace(available=2 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    assert (free_mib(v1), free_mib(v2), free_mib(unlimited)) == (2048, 1024, 2048)
