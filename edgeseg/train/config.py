"""The recipe of one training, plain data that goes into its checkpoint, and the numbers that follow from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.train.losses import DEFAULT

VALIDATIONS = 10  # in a training, unless the user sets the steps between them

# Per family, over the defaults of `TrainConfig`. From random weights, AdamW takes far higher rates than those that the
# papers use for fine-tuning; a transformer tolerates less.
PRESETS: dict[str, Mapping[str, Any]] = {
    "bisenetv2": {"learning_rate": 1.5e-3, "balance": 0.4},
    "segformer": {"learning_rate": 6e-4, "balance": 0.4},
}


@dataclass(frozen=True)
class TrainConfig:
    """The recipe.

    data: data set URIs, each with its share of the batches.
    size: (height, width) of the model's input. crop: (height, width) of the crop from an image stretched to `size`.
    learning_rate: peak, reached after `warm_up` steps; falls with (1 - step / steps) ** power.
    ema: decay of the averaged weights, which are the result of the training.
    loss: terms of the sum, texts that `edgeseg.train.losses` reads. auxiliary: weight of each auxiliary head.
    class_weights: rule of CLASS_WEIGHTS. balance: exponent of the weights of rare classes, 0 for equal weights.
    scale, colour, gamma, hue, gain, blur, noise: see `Augmentation`.
    teacher: file name of the distillation teacher's weights, "" for none. distill: weight of the distillation loss.
    start: file name of the initial weights, "" for random weights.
    encoder: file or package of the encoder's initial weights, "" for random ones. encoder_licence: SPDX identifier.
    encoder_rate: learning rate of the encoder, relative to that of the rest.
    paste: probability with which a crop gets the rare classes of the next one of its batch.
    precision: of the forward pass: "bf16", "fp16" or "fp32".
    minutes: the time budget from which `steps` was computed, 0 where the user set steps or epochs.
    val: URI of the validation data set. keep: the "last" weights, or the "best" on `val`.
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
    class_weights: str = "log"
    loss: tuple[str, ...] = (DEFAULT,)
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
    encoder: str = ""
    encoder_sha256: str = ""
    encoder_licence: str = ""
    encoder_rate: float = 1.0
    paste: float = 0.0


def preset_of(family: str) -> Mapping[str, Any]:
    """The fields of `TrainConfig` whose defaults the family changes."""
    return PRESETS.get(family, {})


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then polynomial decay."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    decayed = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.learning_rate * float(max(1.0 - decayed, 1e-4) ** config.power)


def with_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """`config` for `steps` steps; the warm-up takes at most half of them."""
    steps = max(1, steps)
    return dataclasses.replace(config, steps=steps, warm_up=min(config.warm_up, steps // 2))


def steps_from_epochs(epochs: float, images: int, share: float, batch: int) -> int:
    """Steps in which a data set of `images`, which has `share` of the batches, is seen `epochs` times."""
    return max(1, math.ceil(epochs * images / (share * batch)))


def steps_from_minutes(minutes: float, step_seconds: float, validation_seconds: float, every: int | None) -> int:
    """Steps that fit in `minutes`, with a validation each `every` steps; None: with ten validations in all."""
    seconds = 60 * minutes
    if every:
        return max(1, int(seconds / (step_seconds + validation_seconds / every)))
    return max(1, int((seconds - VALIDATIONS * validation_seconds) / step_seconds))


def steps_between_validations(steps: int) -> int:
    """The default distance of two validations."""
    return max(1, math.ceil(steps / VALIDATIONS))
