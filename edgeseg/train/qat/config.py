"""The recipe of one fine-tuning, as plain data that goes into its checkpoint and into the tuned file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QatConfig:
    """The recipe.

    data: data set URIs, each drawn with its share.
    steps, minutes: it ends at whichever comes first; None for no limit of time. batch: pictures a step.
    learning_rate: at the first step; it falls to 0 along half a cosine.
    distill: weight of the divergence from the float model's classes, which needs no labels.
    supervise: weight of the cross-entropy with the labels. balance: how much more rare classes weigh in that.
    target, observer: as for `quantize`: whose Q/DQ placement is learnt, and who chooses the ranges.
    scale, colour: of the augmentation; mild, since the ranges were calibrated on pictures as they are.
    every: steps between checkpoints.

    There is no bfloat16: keeping 8 bits of an activation costs half as much as int8 itself, and a CPU that has it takes
    a quarter less time only.
    """

    data: tuple[tuple[str, float], ...] = ()
    steps: int = 400
    minutes: float | None = None
    batch: int = 4
    learning_rate: float = 5e-6
    distill: float = 1.0
    supervise: float = 0.0
    balance: float = 0.0
    target: str = "canonical"
    observer: str = "percentile"
    scale: tuple[float, float] = (0.75, 1.5)
    colour: float = 0.2
    every: int = 50
    seed: int = 0
