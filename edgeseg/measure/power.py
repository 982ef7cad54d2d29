"""Energy of a run, by the counters that a machine has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeseg.measure.jetson import tegrastats_from_line, watts_from_rails
from edgeseg.measure.machine import Machine
from edgeseg.measure.nvml import Nvml
from edgeseg.measure.rails import is_board, rails_mw
from edgeseg.measure.rapl import Rapl

Clock = Callable[[], float]


@dataclass(frozen=True)
class Energy:
    """joules: of the interval; watts: their mean. counter: keys of COUNTERS, joined by "+"."""

    joules: float
    watts: float
    counter: str


class Counter(Protocol):
    """One source of energy readings. `start` is called once, `sample` every now and then, `stop` at the end."""

    def start(self) -> None:
        """Begin."""

    def sample(self) -> None:
        """Take a reading."""

    def stop(self) -> float | None:
        """The joules since `start`; None where readings failed."""


class EnergyCounter:
    """A counter that counts energy. read: joules since any moment, None where that fails."""

    def __init__(self, read: Callable[[], float | None]) -> None:
        self._read = read
        self._first: float | None = None

    def start(self) -> None:
        """Begin."""
        self._first = self._read()

    def sample(self) -> None:
        """Let a counter that wraps around notice it."""
        self._read()

    def stop(self) -> float | None:
        """The joules since `start`."""
        last = self._read()
        return None if self._first is None or last is None else last - self._first


class PowerCounter:
    """A counter of power, whose samples are joined by straight lines. A reading that fails is left out."""

    def __init__(
        self, read: Callable[[], float | None], clock: Clock = time.monotonic, close: Callable[[], None] | None = None
    ) -> None:
        self._read, self._clock, self._close = read, clock, close
        self._latest: tuple[float, float] | None = None
        self._joules, self._samples = 0.0, 0

    def start(self) -> None:
        """Begin."""
        self.sample()

    def sample(self) -> None:
        """Add what was used since the latest reading."""
        watts, now = self._read(), self._clock()
        if watts is None:
            return
        if self._latest is not None:
            before, then = self._latest
            self._joules += (watts + before) / 2 * (now - then)
        self._latest, self._samples = (watts, now), self._samples + 1

    def stop(self) -> float | None:
        """The joules since `start`; None of fewer than two readings."""
        self.sample()
        if self._close is not None:
            self._close()
        return self._joules if self._samples > 1 else None


def rapl_counter(machine: Machine, nvml: Nvml | None, gpu: int | None, clock: Clock) -> Counter | None:
    """The processor's packages and memory."""
    rapl = Rapl(machine.root)
    return EnergyCounter(rapl.joules) if len(rapl) else None


def nvml_counter(machine: Machine, nvml: Nvml | None, gpu: int | None, clock: Clock) -> Counter | None:
    """The GPU `gpu`: its energy, or else samples of its power."""
    if nvml is None or gpu is None or gpu >= len(nvml):
        return None
    if nvml.joules(gpu) is not None:
        return EnergyCounter(lambda: nvml.joules(gpu))
    return PowerCounter(lambda: nvml.watts(gpu), clock) if nvml.watts(gpu) is not None else None


def ina_counter(machine: Machine, nvml: Nvml | None, gpu: int | None, clock: Clock) -> Counter | None:
    """A board's supply, by the sensors that tegrastats reads too."""
    if not is_board(rails_mw(machine.root)):
        return None
    return PowerCounter(lambda: watts_from_rails(rails_mw(machine.root)), clock)


def tegrastats_counter(machine: Machine, nvml: Nvml | None, gpu: int | None, clock: Clock) -> Counter | None:
    """A Jetson's supply, by tegrastats itself, where its sensors are hidden, as in a container."""
    process = machine.tegrastats()
    if not process.start():
        return None
    if tegrastats_from_line(process.line).watts is None:
        process.stop()
        return None
    return PowerCounter(lambda: tegrastats_from_line(process.line).watts, clock, close=process.stop)


CounterFactory = Callable[[Machine, "Nvml | None", "int | None", Clock], "Counter | None"]
COUNTERS: dict[str, CounterFactory] = {
    "ina": ina_counter,
    "tegrastats": tegrastats_counter,
    "rapl": rapl_counter,
    "nvml": nvml_counter,
}
BOARD_COUNTERS = (
    "ina",
    "tegrastats",
)  # of a whole board: the first that exists is enough, and the others are part of it


def counters_of(
    machine: Machine, nvml: Nvml | None = None, gpu: int | None = None, clock: Clock = time.monotonic
) -> dict[str, Counter]:
    """The counters to add up on this machine, by name. gpu: the GPU that a run uses, None for a run on the CPU."""
    for name in BOARD_COUNTERS:
        counter = COUNTERS[name](machine, nvml, gpu, clock)
        if counter is not None:
            return {name: counter}
    made = {name: make(machine, nvml, gpu, clock) for name, make in COUNTERS.items() if name not in BOARD_COUNTERS}
    return {name: counter for name, counter in made.items() if counter is not None}


def counter_names(machine: Machine) -> list[str]:
    """The counters that this machine has, those of its first GPU among them."""
    nvml = machine.nvml()
    meter = PowerMeter(counters_of(machine, nvml, 0))
    meter.stop()
    if nvml is not None:
        nvml.close()
    return list(meter.names)


class PowerMeter:
    """Adds up counters over an interval. Call `sample` about twice a second."""

    def __init__(self, counters: dict[str, Counter], clock: Clock = time.monotonic) -> None:
        self._counters, self._clock = counters, clock
        self._began = 0.0

    @property
    def names(self) -> Sequence[str]:
        """The counters."""
        return list(self._counters)

    def start(self) -> None:
        """Begin."""
        for counter in self._counters.values():
            counter.start()
        self._began = self._clock()

    def sample(self) -> None:
        """Take a reading of each counter."""
        for counter in self._counters.values():
            counter.sample()

    def stop(self) -> Energy | None:
        """The energy since `start`; None without a counter that worked."""
        seconds = self._clock() - self._began
        stopped = {name: counter.stop() for name, counter in self._counters.items()}
        joules = {name: energy for name, energy in stopped.items() if energy is not None}
        if not joules or seconds <= 0:
            return None
        total = sum(joules.values())
        return Energy(total, total / seconds, "+".join(joules))
