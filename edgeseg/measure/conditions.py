"""The conditions of a run: load, memory, energy, and what could spoil its figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from edgeseg.measure.battery import Battery
from edgeseg.measure.clocks import CoreSet, core_sets, platform_profile
from edgeseg.measure.device import device_facts, device_state
from edgeseg.measure.diagnostic import (
    Diagnostic,
    diagnostics_from_run,
    diagnostics_from_samples,
    diagnostics_from_settings,
    diagnostics_from_throttling,
)
from edgeseg.measure.gpu import GpuState
from edgeseg.measure.jetson_board import JetsonBoard, jetson_board
from edgeseg.measure.load import Load, LoadMeter
from edgeseg.measure.machine import Machine, gpu_of_device
from edgeseg.measure.memory import PeakMemory
from edgeseg.measure.nvml import Nvml
from edgeseg.measure.power import Energy, PowerMeter, counters_of
from edgeseg.measure.resources import Resources
from edgeseg.measure.sampler import Sampler
from edgeseg.measure.throttle import Reading, ThrottleWatch, Throttling, throttle_counts, throttle_reading


class RunWatch:
    """Watches the machine while a `with` block measures. One run each; its values are there after the block.

    device: as of --device, resolved: on "cuda:0" and the like the GPU's memory, energy and clocks count. sampler: makes
    the thread that takes samples during the block.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        machine: Machine | None = None,
        clock: Callable[[], float] = time.monotonic,
        sampler: Callable[[Callable[[], None]], Sampler] = Sampler,
    ) -> None:
        self._machine, self._clock = machine or Machine(), clock
        self._gpu = gpu_of_device(device)
        self._sampler = sampler(self.sample)
        self._nvml: Nvml | None = None
        self._power = PowerMeter({}, clock)
        self._memory = PeakMemory(self._machine.root, device=self._device_mib)
        self._throttle = ThrottleWatch(self._reading, lambda: throttle_counts(self._machine.root), self._slowed_ns)
        self._load, self._throttling = Load(0.0, 0.0, 0.0), Throttling()
        self._energy: Energy | None = None
        self._settings: tuple[list[CoreSet], JetsonBoard | None, Battery | None, str] = ([], None, None, "")
        self._facts: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self._after: dict[str, Any] = {}

    def __enter__(self) -> RunWatch:
        machine = self._machine
        self._facts, self._before = device_facts(machine), device_state(machine)
        self._settings = (
            core_sets(machine.root), jetson_board(machine), machine.battery(), platform_profile(machine.root)
        )  # fmt: skip
        self._nvml = machine.nvml() if self._gpu is not None else None
        self._power = PowerMeter(counters_of(machine, self._nvml, self._gpu, self._clock), self._clock)
        self._memory.start()
        self._throttle.start()
        self._sampler.start()
        self._power.start()
        self._meter = LoadMeter()
        return self

    def __exit__(self, *_: object) -> None:
        self._load = self._meter.load()
        self._sampler.stop()
        self._energy = self._power.stop()
        self._throttling = self._throttle.stop()
        self._memory.stop()
        if self._nvml is not None:
            self._nvml.close()
        self._after = device_state(self._machine)

    def sample(self) -> None:
        """Take a reading of all that is watched."""
        self._power.sample()
        self._throttle.sample()
        self._memory.sample()

    @property
    def load(self) -> Load:
        """The load of the block."""
        return self._load

    @property
    def energy(self) -> Energy | None:
        """The energy of the block, of the processor, GPU or board with all that ran on it; None without a counter."""
        return self._energy

    @property
    def throttling(self) -> Throttling:
        """What slowed the machine down during the block."""
        return self._throttling

    def resources(self, frames: int) -> Resources:
        """The memory and energy of the block, in which that many frames were processed."""
        energy = self._energy
        return Resources(
            rss_mib=self._memory.rss_mib,
            device_mib=self._memory.device_mib,
            joules_per_frame=energy.joules / frames if energy and frames else None,
            watts=energy.watts if energy else None,
            counter=energy.counter if energy else "",
        )

    def diagnostics(self, samples: Sequence[float]) -> tuple[Diagnostic, ...]:
        """What makes figures of these latencies (ms, in their order) doubtful. Some `invalidates` the run."""
        return (
            *diagnostics_from_throttling(self._throttling),
            *diagnostics_from_run(self._load, len(samples)),
            *diagnostics_from_settings(*self._settings),
            *diagnostics_from_samples(samples),
        )

    def device(self) -> dict[str, Any]:
        """`device_facts()`, and under "state" what changed: "before", "after" and "during" the block."""
        state = {"before": self._before, "after": self._after, "during": self._throttling.to_dict()}
        return {**self._facts, "state": state}

    def _device_mib(self) -> float | None:
        nvml, gpu = self._nvml, self._gpu
        return None if nvml is None or gpu is None or gpu >= len(nvml) else nvml.own_memory_mib(gpu)

    def _gpu_state(self) -> GpuState | None:
        nvml, gpu = self._nvml, self._gpu
        return None if nvml is None or gpu is None or gpu >= len(nvml) else nvml.state(gpu)

    def _slowed_ns(self) -> dict[str, int]:
        nvml, gpu = self._nvml, self._gpu
        return {} if nvml is None or gpu is None or gpu >= len(nvml) else nvml.slowed_ns(gpu)

    def _reading(self) -> Reading:
        return throttle_reading(self._machine.root, self._gpu_state)
