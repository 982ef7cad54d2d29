"""How many steps, and the learning rate of each."""

from __future__ import annotations

import dataclasses
import math

from edgeseg.train.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then polynomial decay."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.learning_rate * float(max(1.0 - done, 1e-4) ** config.power)


def with_steps(config: TrainConfig, steps: int) -> TrainConfig:
    """`config` for `steps` steps; a warm-up of more than half of them is cut to half."""
    steps = max(1, steps)
    return dataclasses.replace(config, steps=steps, warm_up=min(config.warm_up, steps // 2))


def steps_from_epochs(epochs: float, pictures: int, share: float, batch: int) -> int:
    """Steps after which a data set of `pictures`, drawn with `share` of all draws, was drawn `epochs` times each."""
    return max(1, math.ceil(epochs * pictures / (share * batch)))


def steps_from_minutes(minutes: float, step_seconds: float, pause_seconds: float, every: int | None) -> int:
    """Steps that fit in `minutes`, with a validation of `pause_seconds` each `every` steps, or ten unless given."""
    seconds = 60 * minutes
    if every:
        return max(1, int(seconds / (step_seconds + pause_seconds / every)))
    return max(1, int((seconds - VALIDATIONS * pause_seconds) / step_seconds))


VALIDATIONS = 10  # in a training, unless the steps between them are given


def steps_between_validations(steps: int) -> int:
    """The usual distance of two validations."""
    return max(1, math.ceil(steps / VALIDATIONS))
