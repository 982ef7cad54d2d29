"""The recipe of one fine-tuning, as plain data that goes into its checkpoint and into the tuned file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QatConfig:
    """The recipe.

    data: data set URIs, each drawn with its share.
    steps, minutes: the first limit that is reached ends it; None: no time limit. batch: images per step.
    learning_rate: at the first step; it falls to 0 along half a cosine.
    distill: weight of the divergence from the float model's output, which needs no labels.
    supervise: weight of the cross-entropy with the labels. balance: exponent of its class weights.
    target, observer: as in `quantize`: the Q/DQ placement, and the observer of the ranges.
    scale, colour: of the augmentation; small, because calibration used unchanged images.
    every: steps between checkpoints.

    There is no bfloat16: rounding activations to its 8 bits costs half as much accuracy as int8, and saves only a
    quarter of the time on a CPU.
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
