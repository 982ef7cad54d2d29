"""The conditions of a run: load, memory, energy, and what could spoil its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psutil

from edgeseg.measure.device import describe_device
from edgeseg.measure.diagnostic import Diagnostic, diagnostics_from_run, diagnostics_from_samples
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.resources import Resources


class RunWatch:
    """Watches the machine while a `with` block measures. One run each.

    device: as of --device, resolved: on "cuda:0" and the like the GPU's memory and energy count.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._meter = LoadMeter()
        self._load = Load(0.0, 0.0, 0.0)

    def __enter__(self) -> RunWatch:
        self._meter = LoadMeter()
        return self

    def __exit__(self, *_: object) -> None:
        self._load = self._meter.load()

    @property
    def load(self) -> Load:
        """The load of the block."""
        return self._load

    def resources(self, frames: int) -> Resources:
        """The memory and energy of the block, in which that many frames were processed."""
        return Resources(rss_mib=psutil.Process().memory_info().rss / 2**20)

    def diagnostics(self, samples: Sequence[float]) -> tuple[Diagnostic, ...]:
        """What makes figures of these latencies (ms, in their order) doubtful. Some `invalidates` the run."""
        return (*diagnostics_from_run(self._load, len(samples)), *diagnostics_from_samples(samples))

    def device(self) -> dict[str, Any]:
        """`describe_device()`, with its "state" as it was before and after the block."""
        return describe_device()
