"""The recipe of one training, as plain data that goes into its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    data: data set URIs, each drawn with its share: "street:?...=0.25".
    size: (height, width) of the model's input. crop: (height, width) that is cut from a picture stretched to `size`.
    learning_rate: peak, reached after `warm_up` steps; falls with (1 - step / steps) ** 0.9.
    ema: decay of the averaged weights, which are the ones that are kept.
    auxiliary: weight of each auxiliary head. balance: how much more rare classes weigh, 0 not at all.
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
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.4
    seed: int = 0
    licence: str = "Apache-2.0"
    start: str = ""
    start_sha256: str = ""
