"""Diagnostics: what is doubtful about a measurement, as values with a code."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.measure.load import Load

FOREIGN_CORES = 0.1
FEW_SAMPLES = 100
FIRST, FIRST_RATIO = 3, 1.5  # the median of the first three against that of the rest: one outlier does not move it
FIRST_OF = 10  # samples at least


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


def diagnostics_from_run(load: Load, samples: int) -> list[Diagnostic]:
    """The diagnostics of a run with that load and number of samples."""
    diagnostics = []
    if load.foreign_cores > FOREIGN_CORES:
        message = f"other processes used {load.foreign_cores:.1f} cores during the run: wall times are too high"
        diagnostics.append(Diagnostic("foreign-load", message, "stop them, or compare CPU time"))
    if samples < FEW_SAMPLES:
        message = f"the p99 of {samples} samples is close to their maximum"
        diagnostics.append(Diagnostic("few-samples", message, f"measure at least {FEW_SAMPLES}: -n {FEW_SAMPLES}"))
    return diagnostics


def diagnostics_from_samples(samples: Sequence[float]) -> list[Diagnostic]:
    """The diagnostics of latencies in ms, in their order, after the warm-up."""
    if len(samples) < FIRST_OF:
        return []
    first, rest = statistics.median(samples[:FIRST]), statistics.median(samples[FIRST:])
    if first <= FIRST_RATIO * rest:
        return []
    message = f"the first {FIRST} samples took {first:.3g} ms, the others {rest:.3g} ms (medians)"
    return [Diagnostic("first-run-slow", message, "warm up longer: --warm-up N")]
