"""The recipe of one training, as plain data that goes into its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    data: data set URIs, each with its share of what is drawn.
    size: (height, width) of the model's input. crop: (height, width) that is cut from a picture stretched to `size`.
    learning_rate: peak, reached after `warm_up` steps; falls with (1 - step / steps) ** power.
    ema: decay of the averaged weights, which are the ones that are kept.
    auxiliary: weight of each auxiliary head. balance: how much more rare classes weigh, 0 not at all.
    ohem: probability of the true class under which a pixel counts, 0 for all. dice: weight of the Dice loss.
    power: of the learning rate's decay. scale, colour, gamma, hue, gain, blur, noise: see `Augmentation`.
    teacher: name of the weights whose answers are learnt from too, "" for none; distill: how much these weigh beside
    the labels.
    start: name of the weights file that it began with, "" for random weights.
    precision: of the forward pass: "bf16", "fp16" or "fp32".
    minutes: the wall-clock budget from which `steps` was worked out, 0 where steps were named.
    val: URI of the data set whose mIoU was followed. keep: "last" weights, or those "best" on `val`.
    """

    name: str
    family: str
    variant: str
    data: tuple[tuple[str, float], ...]
    size: tuple[int, int]
    crop: tuple[int, int]
    steps: int
    batch: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: int = 100
    ema: float = 0.998
    auxiliary: float = 0.4
    balance: float = 1.0
    ohem: float = 0.0
    dice: float = 0.0
    power: float = 0.9
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.4
    seed: int = 0
    licence: str = "Apache-2.0"
    start: str = ""
    start_sha256: str = ""
    gamma: float = 0.0
    hue: float = 0.0
    gain: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    precision: str = "bf16"
    minutes: float = 0.0
    val: str = ""
    keep: str = "last"
    teacher: str = ""
    teacher_sha256: str = ""
    distill: float = 1.0
