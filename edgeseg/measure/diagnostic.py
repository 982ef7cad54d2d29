"""Diagnostics: what is doubtful about a measurement, as values with a code."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edgeseg.measure.load import Load

FOREIGN_CORES = 0.1
FEW_SAMPLES = 100


@dataclass(frozen=True)
class Diagnostic:
    """code: for programs. message: what is doubtful. hint: what to do."""

    code: str
    message: str
    hint: str

    def to_dict(self) -> dict[str, str]:
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
