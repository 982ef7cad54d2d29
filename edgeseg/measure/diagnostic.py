"""Diagnostics: what is doubtful about a measurement, as values with a code."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.measure.battery import Battery
from edgeseg.measure.clocks import CoreSet
from edgeseg.measure.jetson_board import JetsonBoard
from edgeseg.measure.load import Load
from edgeseg.measure.throttle import Throttling

FOREIGN_CORES = 0.1
STOLEN_CORES = 0.01  # the counters tick in hundredths of a second
FEW_SAMPLES = 100
FIRST, FIRST_RATIO = 3, 1.5  # the median of the first three against that of the rest: one outlier does not move it
FIRST_OF = 10  # samples at least
CLOCK_DROP = 0.85  # the last clocks against the first
GPU_SPREAD = 0.02  # locked clocks still move by a step of about 1%
SAVING_PROFILES = ("low-power", "cool", "quiet")


@dataclass(frozen=True)
class Kind:
    """What a code means, and what to do about it. invalidates: the figures must not be used."""

    meaning: str
    hint: str
    invalidates: bool = False


KINDS = {
    "foreign-load": Kind(
        "Other processes, or the hypervisor, used more than 0.1 cores during the run: wall times are too high.",
        "stop them, or compare CPU time",
    ),
    "throttled": Kind(
        "Heat, too much current or the power supply slowed the machine down. The run is invalid and in no table.",
        "cool the machine, check its power supply or choose a lower power mode, and measure again",
        invalidates=True,
    ),
    "power-limit": Kind(
        "The GPU ran at its power limit, which sets its clock.",
        "compare only with runs at the same limit: nvidia-smi -q -d POWER",
    ),
    "clock-drop": Kind(
        "The processor's clock fell during the run, by more than 15%: the first samples are too fast.",
        "warm up longer, or switch turbo off",
    ),
    "clocks-not-locked": Kind(
        "The clocks of a Jetson or a GPU can move, and a short run is slower than a long one.",
        "sudo jetson_clocks, or sudo nvidia-smi --lock-gpu-clocks=MHZ",
    ),
    "governor": Kind(
        "The governor of the CPU clock is not performance. Short and rare work then runs at low clocks.",
        "sudo cpupower frequency-set -g performance",
    ),
    "power-mode": Kind(
        "The machine is not in its fastest power mode.",
        "sudo nvpmodel -m N with the number of the mode in /etc/nvpmodel.conf, or powerprofilesctl set performance",
    ),
    "battery": Kind(
        "The machine runs on battery, where many save power.",
        "connect it to mains power",
    ),
    "few-samples": Kind(
        f"There are fewer than {FEW_SAMPLES} samples: the p99 is close to the maximum.",
        f"measure at least {FEW_SAMPLES}: -n {FEW_SAMPLES}",
    ),
    "first-run-slow": Kind(
        "The first samples are slower than the rest by half, after the warm-up.",
        "warm up longer: --warm-up N",
    ),
    "stages-sum": Kind(
        "One after another, the stages do not sum up to the time of a frame within 5%.",
        "measure again on a quiet machine",
    ),
    "stages-overlap": Kind(
        "Overlapped, the slowest thread and the frame period differ by more than 10%.",
        "the threads wait for each other, or for other programs: measure again on a quiet machine",
    ),
}


@dataclass(frozen=True)
class Diagnostic:
    """code: for programs. message: what is doubtful. hint: what to do. invalidates: the figures must not be used."""

    code: str
    message: str
    hint: str
    invalidates: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def diagnostic(code: str, message: str, hint: str = "") -> Diagnostic:
    """A diagnostic of KINDS. hint: in place of the general one."""
    kind = KINDS[code]
    return Diagnostic(code, message, hint or kind.hint, kind.invalidates)


def diagnostics_from_run(load: Load, samples: int) -> list[Diagnostic]:
    """The diagnostics of a run with that load and number of samples."""
    diagnostics = []
    if load.foreign_cores > FOREIGN_CORES:
        stolen = f", {load.stolen_cores:.2f} of them the hypervisor" if load.stolen_cores >= STOLEN_CORES else ""
        message = f"other processes used {load.foreign_cores:.1f} cores{stolen} during the run: wall times are too high"
        diagnostics.append(diagnostic("foreign-load", message))
    if samples < FEW_SAMPLES:
        diagnostics.append(diagnostic("few-samples", f"the p99 of {samples} samples is close to their maximum"))
    return diagnostics


def diagnostics_from_samples(samples: Sequence[float]) -> list[Diagnostic]:
    """The diagnostics of latencies in ms, in their order, after the warm-up."""
    if len(samples) < FIRST_OF:
        return []
    first, rest = statistics.median(samples[:FIRST]), statistics.median(samples[FIRST:])
    if first <= FIRST_RATIO * rest:
        return []
    message = f"the first {FIRST} samples took {first:.3g} ms, the others {rest:.3g} ms (medians)"
    return [diagnostic("first-run-slow", message)]


def diagnostics_from_throttling(throttling: Throttling) -> list[Diagnostic]:
    """The diagnostics of what the machine did to itself during a run."""
    diagnostics = []
    if throttling.reasons:
        message = f"the machine was throttled during the run: {', '.join(throttling.reasons)}"
        diagnostics.append(diagnostic("throttled", message))
    if throttling.power_limited:
        diagnostics.append(diagnostic("power-limit", "the GPU ran at its power limit"))
    if throttling.cpu_mhz is not None:
        first, last = throttling.cpu_mhz
        if last < CLOCK_DROP * first:
            message = f"the clock of the fastest core fell from {first:.0f} to {last:.0f} MHz during the run"
            diagnostics.append(diagnostic("clock-drop", message))
    if throttling.gpu_mhz is not None:
        low, high = throttling.gpu_mhz
        if high - low > GPU_SPREAD * high:
            message = f"the GPU's clock moved between {low} and {high} MHz during the run"
            diagnostics.append(diagnostic("clocks-not-locked", message, "sudo nvidia-smi --lock-gpu-clocks=MHZ"))
    return diagnostics


def diagnostics_from_settings(
    core_sets: Sequence[CoreSet], jetson: JetsonBoard | None, battery: Battery | None, profile: str
) -> list[Diagnostic]:
    """The diagnostics of how a machine is set. profile: of a laptop's firmware, "" without one."""
    diagnostics = []
    if jetson is not None and jetson.clocks_locked is False:
        message = "the clocks of CPU and GPU are not locked"
        diagnostics.append(diagnostic("clocks-not-locked", message, "sudo jetson_clocks"))
    governors = sorted({each.governor for each in core_sets if each.governor and not each.locked} - {"performance"})
    if governors and jetson is None:
        diagnostics.append(diagnostic("governor", f"the governor of the CPU clock is {', '.join(governors)}"))
    if jetson is not None and not jetson.is_best_mode:
        message = f"the power mode is {jetson.power_mode}, not {jetson.best_mode}"
        number = re.sub(r".*\((\d+)\)", r"\1", jetson.best_mode)
        diagnostics.append(diagnostic("power-mode", message, f"sudo nvpmodel -m {number}"))
    elif profile in SAVING_PROFILES:
        message = f"the power profile is {profile}"
        diagnostics.append(diagnostic("power-mode", message, "powerprofilesctl set performance"))
    if battery is not None and battery.plugged is False:
        diagnostics.append(diagnostic("battery", f"the machine runs on battery, at {battery.percent:.0f}%"))
    return diagnostics
