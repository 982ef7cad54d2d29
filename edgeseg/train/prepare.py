"""What is looked up, checked and measured before the first step of a training."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import MismatchError
from edgeseg.measure.device import available_threads
from edgeseg.train import checkpoint
from edgeseg.train.config import TrainConfig
from edgeseg.train.device import checked_precision
from edgeseg.train.loop import Trainer
from edgeseg.train.recipe import check_classes, check_sizes, draw_from, sets_from_config, spec_from_config
from edgeseg.train.request import TrainRequest
from edgeseg.train.schedule import steps_from_minutes, with_steps
from edgeseg.train.teacher import Teacher
from edgeseg.train.validate import Predictor, spread, validate

WORKERS = 8  # batches made ahead for a CUDA card, which learns from one sooner than a core makes it
FIRST, MEASURED = 2, 5  # steps that compile and fill caches, steps that are timed
MEASURED_PICTURES = 4


def settled(request: TrainRequest, state: Mapping[str, Any] | None) -> TrainConfig:
    """The recipe with nothing left open but the steps of a new training with a budget in minutes.

    state: of the folder's checkpoint. What the request leaves open is taken from it, so that the same command goes on
    with it; MismatchError where it is of another training.
    """
    config, old = request.config, None if state is None else checkpoint.config_in(state)
    if old is not None and not config.steps:
        config = with_steps(config, old.steps)
    if old is not None and config.precision == "auto":
        config = dataclasses.replace(config, precision=old.precision)
    config = dataclasses.replace(config, precision=checked_precision(config.precision, request.device))
    if old is not None:
        checkpoint.check_same(config, old, request.folder / checkpoint.NAME)
    return config


def opened(config: TrainConfig) -> tuple[list[Dataset], Dataset | None]:
    """The data sets to learn from, and that to validate on. Refuses sizes and classes that do not belong together."""
    sets = sets_from_config(config)
    check_sizes(config)
    val = open_dataset(config.val) if config.val else None
    if val is not None:
        check_classes(val, sets[0])
    return sets, val


def trainer_from_request(
    request: TrainRequest, config: TrainConfig, sets: list[Dataset], val: Dataset | None
) -> Trainer:
    """A trainer at its first step, with the weights to begin with; steps worked out where there is a budget."""
    if not config.steps:
        config = with_steps(config, steps_in_budget(request, with_steps(config, 1), sets, val))
    return fresh_trainer(request, config, sets, request.folder)


def fresh_trainer(request: TrainRequest, config: TrainConfig, sets: list[Dataset], folder: Path) -> Trainer:
    """A trainer with the weights to begin with."""
    spec = spec_from_config(config, request.start.spec)
    workers = min(WORKERS, max(1, available_threads() - 1)) if request.device.type == "cuda" else 0
    teacher = Teacher(request.teacher, request.device) if request.teacher else None
    draw = draw_from(config, sets)
    trainer = Trainer(config, spec, draw, folder, device=request.device, workers=workers, teacher=teacher)
    trainer.start_from(request.start.state_for(spec))
    return trainer


def steps_in_budget(request: TrainRequest, config: TrainConfig, sets: list[Dataset], val: Dataset | None) -> int:
    """How many steps, with their validations, fit in the minutes; a few are made and thrown away."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = fresh_trainer(request, config, sets, Path(folder))
        seconds = step_seconds(trainer)
        pause = 0.0
        if val is not None:
            pause = validation_seconds(Predictor(trainer.average, trainer.spec, request.device), val)
        trainer.batches.close()
    spent = (time.perf_counter() - began) / 60
    return steps_from_minutes(max(0.0, config.minutes - spent), seconds, pause, request.val_every)


def step_seconds(trainer: Trainer) -> float:
    """The seconds that a step takes; the first ones do not count."""
    for _ in range(FIRST):
        trainer.train_step()
    began = time.perf_counter()
    for _ in range(MEASURED):
        trainer.train_step()
    return (time.perf_counter() - began) / MEASURED


def validation_seconds(predict: Predictor, val: Dataset) -> float:
    """The seconds that a validation takes, from a few pictures of it."""
    some = dataclasses.replace(val, samples=spread(val, MEASURED_PICTURES))
    validate(predict, dataclasses.replace(val, samples=some.samples[:1]))
    began = time.perf_counter()
    validate(predict, some)
    return (time.perf_counter() - began) * len(val) / len(some)


def check_about(about: Mapping[str, Any], data_sha256: str, folder: Path) -> None:
    """MismatchError where the data is not that of the checkpoint; one of an older edgeseg does not say."""
    if about.get("data_sha256", data_sha256) != data_sha256:
        raise MismatchError(
            f"the data has changed since {folder} was begun",
            hint="bring the old files back to go on, or begin anew with --restart",
        )
