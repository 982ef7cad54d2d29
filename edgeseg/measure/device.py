"""The machine of a measurement: processor, instructions, memory and versions; no user and no host name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

CPUINFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")  # Jetson, Raspberry Pi and other boards without a BIOS

# Instructions that decide how fast a network runs; the names are Linux's.
FEATURES = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("neon", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve"),
)
BF16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16"}


def describe_device() -> dict[str, Any]:
    """Plain data about this machine, without host name, path or user. Unknown values are "" or empty.

    cores: physical ones; threads: logical cores that this process may run on; memory_mib: installed.
    """
    return {
        "cpu": cpu_name(),
        "board": board_name(),
        "machine": platform.machine(),
        "cores": psutil.cpu_count(logical=False) or 0,
        "threads": available_threads(),
        "isa": [feature for feature in FEATURES if feature in cpu_features()],
        "memory_mib": psutil.virtual_memory().total >> 20,
        "os": f"{platform.system()} {platform.release()}".strip(),
        "python": platform.python_version(),
    }


def has_native_bf16() -> bool:
    """Whether the processor has bfloat16 multiplication; False where that is unknown."""
    return not BF16_FEATURES.isdisjoint(cpu_features())


def available_threads() -> int:
    """The number of logical cores that this process may run on, which `taskset` and containers can reduce."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Distribution name -> installed version, "" where it is not installed."""
    return {name: package_version(name) for name in names}


def package_version(name: str) -> str:
    """The installed version of one distribution, or ""."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def cpu_name() -> str:
    """The processor's marketing name, where the system provides it."""
    return cpuinfo_field("model name") or platform.processor()


def board_name() -> str:
    """The board's name from the device tree, for example of a Jetson; "" on a PC."""
    try:
        return BOARD.read_text(encoding="utf-8").strip("\0 \n")
    except (OSError, UnicodeDecodeError):
        return ""


def cpu_features() -> frozenset[str]:
    """All instruction set flags of the first core, as Linux names them."""
    return frozenset((cpuinfo_field("flags") or cpuinfo_field("Features")).split())


def cpuinfo_field(key: str) -> str:
    """The first value of `key` in /proc/cpuinfo; "" without such a key or file."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip()
    return ""
