"""What a reader of a figure has to know, as a value whose text depends on what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from edgeseg.measure.load import Load

FOREIGN_CORES = 0.1
FEW_SAMPLES = 100


@dataclass(frozen=True)
class Diagnostic:
    """code: for programs. message: what is doubtful. hint: what to do about it."""

    code: str
    message: str
    hint: str

    def to_dict(self) -> dict[str, str]:
        """Plain data."""
        return asdict(self)


def caveats_from_run(load: Load, samples: int) -> list[Diagnostic]:
    """What is doubtful about a run with that load and that many samples."""
    found = []
    if load.foreign_cores > FOREIGN_CORES:
        message = f"other processes used {load.foreign_cores:.1f} cores meanwhile: wall times are too long"
        found.append(Diagnostic("foreign-load", message, "stop them, or compare own CPU time"))
    if samples < FEW_SAMPLES:
        message = f"p99 of {samples} samples is little more than their maximum"
        found.append(Diagnostic("few-samples", message, f"measure at least {FEW_SAMPLES}: -n {FEW_SAMPLES}"))
    return found
