"""Whether a machine slowed itself down during a run: heat, too much current, a power limit, a clock that fell."""

from __future__ import annotations

import statistics
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.measure.clocks import CPU, clocks_mhz
from edgeseg.measure.gpu import POWER_LIMIT, THROTTLING, GpuState
from edgeseg.measure.rails import ina_sensors
from edgeseg.measure.sysfs import ROOT, number_at, paths_like, text_at
from edgeseg.measure.thermal import hot_zones, slowing_devices

RASPBERRY_PI = "sys/devices/platform/soc/soc:firmware/get_throttled"
FIRMWARE_BITS = {
    0: "under-voltage",
    1: "clock capped by the firmware",
    2: "throttled by the firmware",
    3: "soft temperature limit",
}
MIN_CLOCKS = 6  # readings of the clock below which no drop is told from noise


@dataclass(frozen=True)
class Reading:
    """What one look at the machine shows. active: reasons for being slow, now. cpu_mhz: of the fastest core."""

    active: frozenset[str] = frozenset()
    cpu_mhz: int | None = None
    gpu: GpuState | None = None


@dataclass(frozen=True)
class Throttling:
    """What happened during a run. reasons: why the machine was throttled, with counts where there are any.

    power_limited: the GPU ran at its power limit. cpu_mhz: the fastest core's clock in the first and the last third,
    medians. gpu_mhz: the lowest and the highest clock while the GPU computed.
    """

    reasons: tuple[str, ...] = ()
    power_limited: bool = False
    cpu_mhz: tuple[float, float] | None = None
    gpu_mhz: tuple[int, int] | None = None
    readings: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass
class ThrottleWatch:
    """Compares counters before and after a run, and looks at the machine in between. read, counts: of a Machine.

    slowed_ns: for how long each of POLICIES held the clock of the GPU down, which has what happened between two looks.
    """

    read: Callable[[], Reading]
    counts: Callable[[], dict[str, int]]
    slowed_ns: Callable[[], dict[str, int]] = dict
    _before: dict[str, int] = field(default_factory=dict)
    _slowed_before: dict[str, int] = field(default_factory=dict)
    _readings: list[Reading] = field(default_factory=list)

    def start(self) -> None:
        """Begin. Alarms from before the run, which sensors keep until they are read, are dropped."""
        self.read()
        self._before = self.counts()
        self._slowed_before = self.slowed_ns()
        self._readings = []

    def sample(self) -> None:
        """Look at the machine."""
        self._readings.append(self.read())

    def stop(self) -> Throttling:
        """What happened since `start`."""
        self.sample()
        after = self.counts()
        rises = {name: count - self._before.get(name, count) for name, count in after.items()}
        counted = [f"{name} ({rise} times)" for name, rise in rises.items() if rise > 0]
        slowed = {name: ns - self._slowed_before.get(name, ns) for name, ns in self.slowed_ns().items()}
        timed = [f"GPU {name} ({ns / 1e6:.3g} ms)" for name, ns in slowed.items() if ns > 0 and name in THROTTLING]
        times = Tally(reason for reading in self._readings for reason in reading.active)
        active = [f"{reason} ({times[reason]} of {len(self._readings)} readings)" for reason in sorted(times)]
        gpus = [reading.gpu for reading in self._readings if reading.gpu is not None]
        computing = [gpu.mhz for gpu in gpus if gpu.mhz is not None and "gpu-idle" not in gpu.reasons]
        limits = {*(name for name, ns in slowed.items() if ns > 0), *(reason for gpu in gpus for reason in gpu.reasons)}
        return Throttling(
            reasons=(*counted, *timed, *active),
            power_limited=not limits.isdisjoint(POWER_LIMIT),
            cpu_mhz=first_and_last([reading.cpu_mhz for reading in self._readings if reading.cpu_mhz is not None]),
            gpu_mhz=(min(computing), max(computing)) if computing else None,
            readings=len(self._readings),
        )


def first_and_last(clocks: list[int]) -> tuple[float, float] | None:
    """The medians of the first and the last third; None of too few."""
    third = len(clocks) // 3
    if len(clocks) < MIN_CLOCKS:
        return None
    return statistics.median(clocks[:third]), statistics.median(clocks[-third:])


def throttle_counts(root: Path = ROOT) -> dict[str, int]:
    """The events since the system started: of heat by x86 processors, and of current by a Jetson."""
    counts: dict[str, int] = {}
    for kind in ("core", "package"):
        files = paths_like(f"{CPU}/cpu[0-9]*/thermal_throttle/{kind}_throttle_count", root)
        numbers = [number for file in files if (number := number_at(file)) is not None]
        if numbers:
            counts[f"thermal throttling of the {kind}"] = sum(numbers) if kind == "core" else max(numbers)
    for file in paths_like("sys/class/hwmon/hwmon*/oc[0-9]*_event_cnt", root):
        name = file.name.partition("_")[0]
        events = number_at(file)
        if events is not None and text_at(file.with_name(f"{name}_throt_en")) != "0":
            counts[f"over-current event {name}"] = events
    return counts


def throttle_reading(root: Path = ROOT, gpu: Callable[[], GpuState | None] = lambda: None) -> Reading:
    """A look at the machine now."""
    state = gpu()
    reasons = [
        *(f"{zone} at its trip point" for zone in hot_zones(root)),
        *(f"{device} active" for device in slowing_devices(root)),
        *(f"critical current of {rail}" for rail in critical_rails(root)),
        *firmware_reasons(root),
        *(f"GPU {reason}" for reason in (state.reasons if state else ()) if reason in THROTTLING),
    ]
    return Reading(frozenset(reasons), max(clocks_mhz(root).values(), default=None), state)


def critical_rails(root: Path = ROOT) -> list[str]:
    """The rails whose current is above its critical limit, or was since the latest look."""
    alarms = [alarm for sensor in ina_sensors(root) for alarm in paths_like("curr[0-9]_crit_alarm", sensor)]
    return [
        text_at(alarm.with_name(f"in{alarm.name[4]}_label")) or alarm.name[:5]
        for alarm in alarms
        if number_at(alarm) == 1
    ]


def firmware_reasons(root: Path = ROOT) -> list[str]:
    """What a Raspberry Pi's firmware says of now."""
    text = text_at(root / RASPBERRY_PI)
    try:
        bits = int(text, 16) if text else 0
    except ValueError:
        return []
    return [reason for bit, reason in FIRMWARE_BITS.items() if bits >> bit & 1]
