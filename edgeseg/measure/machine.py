"""Where readings come from: the system's files and tools, and NVIDIA's library. Tests give others."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeseg.measure.battery import Battery, battery
from edgeseg.measure.nvml import Nvml, open_nvml
from edgeseg.measure.sysfs import ROOT
from edgeseg.measure.system_tool import output_of
from edgeseg.measure.tegrastats import TegrastatsProcess
from edgeseg.measure.temperature import temperatures

GPU_KINDS = ("cuda", "tensorrt")  # kinds of device that are NVIDIA's GPUs


@dataclass(frozen=True)
class Machine:
    """root: of /sys, /proc and /etc. output: what a tool prints, "" without it."""

    root: Path = ROOT
    output: Callable[..., str] = output_of
    nvml: Callable[[], Nvml | None] = open_nvml
    tegrastats: Callable[[], TegrastatsProcess] = TegrastatsProcess
    battery: Callable[[], Battery | None] = battery
    temperatures: Callable[[], dict[str, float]] = temperatures


def gpu_of_device(device: str, environment: Mapping[str, str] = os.environ) -> int | None:
    """The number of the GPU that "cuda:1" or "tensorrt:1" is, counted as NVML counts; None for any other device.

    CUDA numbers the GPUs that CUDA_VISIBLE_DEVICES lists; one that lists names, not numbers, leaves it unknown.
    """
    kind, _, number = device.partition(":")
    if kind not in GPU_KINDS or not (number or "0").isdecimal():
        return None
    index, visible = int(number or "0"), environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return index
    listed = [word.strip() for word in visible.split(",")]
    return int(listed[index]) if index < len(listed) and listed[index].isdecimal() else None
