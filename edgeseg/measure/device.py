"""The machine of a measurement: processor, GPUs, clocks, power mode, memory; no user, host name or serial number."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from edgeseg.measure.cgroups import core_limit
from edgeseg.measure.clocks import clocks_mhz, core_sets, platform_profile, turbo
from edgeseg.measure.gpu import Gpu, GpuState
from edgeseg.measure.jetson import Tegrastats, tegrastats_from_line
from edgeseg.measure.jetson_board import jetson_board
from edgeseg.measure.machine import Machine
from edgeseg.measure.nvidia_smi import nvidia_smi_from_text
from edgeseg.measure.rails import rails_mw
from edgeseg.measure.sysfs import ROOT
from edgeseg.measure.virtualization import container, virtual_machine

CPUINFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")  # Jetson, Raspberry Pi and other boards without a BIOS

# Instructions that decide how fast a network runs; the names are Linux's.
FEATURES = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("neon", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve"),
)
VNNI_FEATURES = {"avx_vnni", "avx512_vnni", "amx_int8"}
BF16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16"}


def describe_device(machine: Machine | None = None) -> dict[str, Any]:
    """Plain data about this machine, without host name, path, user or serial number. Unknown values are "" or empty.

    It is `device_facts()`, and under "state" `device_state()`: two runs compare where the rest is equal.
    """
    return {**device_facts(machine), "state": device_state(machine)}


def device_facts(machine: Machine | None = None) -> dict[str, Any]:
    """What a run does not change.

    cores: physical ones; threads: logical cores that this process may run on; memory_mib: installed. clocks: limits
    and governor by set of cores. power_mode: a Jetson's, or a laptop's power profile.
    """
    machine = machine or Machine()
    jetson, sets = jetson_board(machine), core_sets(machine.root)
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
        "container": container(machine.root),
        "virtual_machine": virtual_machine(machine.root),
        "governor": ", ".join(dict.fromkeys(each.governor for each in sets if each.governor)),
        "turbo": turbo(machine.root),
        "power_mode": jetson.power_mode if jetson else platform_profile(machine.root),
        "clocks": [each.to_dict() for each in sets],
        "jetson": jetson.to_dict() if jetson else {},
        "gpus": [gpu.to_dict() for gpu, _ in gpus(machine)],
    }


def device_state(machine: Machine | None = None) -> dict[str, Any]:
    """What changes from one minute to the next: clocks, temperatures, battery, load and power of GPUs and boards.

    clocks_mhz: by the first core of each group that shares a clock. tegrastats: a line of it, on a Jetson. rails_mw: of
    a board's supplies.
    """
    machine = machine or Machine()
    battery, stats = machine.battery(), tegrastats(machine)
    return {
        "clocks_mhz": clocks_mhz(machine.root),
        "temperatures": machine.temperatures(),
        "battery": battery.to_dict() if battery else {},
        "gpus": [state.to_dict() for _, state in gpus(machine)],
        "tegrastats": stats.to_dict() if stats else {},
        "rails_mw": rails_mw(machine.root) or (dict(stats.rails_mw) if stats else {}),
    }


def tegrastats(machine: Machine) -> Tegrastats | None:
    """The values of one line of the tool; None without it."""
    process = machine.tegrastats()
    if not process.start():
        return None
    process.stop()
    return tegrastats_from_line(process.line)


def gpus(machine: Machine) -> list[tuple[Gpu, GpuState]]:
    """NVIDIA's GPUs, by the driver's library, or else by nvidia-smi."""
    nvml = machine.nvml()
    if nvml is None:
        listed = nvidia_smi_from_text(machine.output("nvidia-smi", "-q"))
        return list(zip(listed.gpus, listed.states))
    try:
        return [(nvml.gpu(index), nvml.state(index)) for index in range(len(nvml))]
    finally:
        nvml.close()


def has_native_bf16() -> bool:
    """Whether the processor has bfloat16 multiplication; False where that is unknown."""
    return not BF16_FEATURES.isdisjoint(cpu_features())


def available_threads(root: Path = ROOT) -> int:
    """The number of logical cores that this process may use, which `taskset` and the limits of containers reduce."""
    cores, limit = schedulable_cores(), core_limit(root)
    return cores if limit is None else max(1, min(cores, int(limit)))


def schedulable_cores() -> int:
    """The number of logical cores on which a thread of this process may run: all that `taskset` leaves."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def adds_int8_exactly() -> bool:
    """Whether this processor adds the products of bytes in 32 bits. x86 without VNNI adds pairs of them in 16 bits.

    Those saturate. False for an x86 processor whose features are unknown, as on Windows.
    """
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686", "x86"):
        return True
    return not VNNI_FEATURES.isdisjoint(cpu_features())


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
