"""What happens before the first step of a training: data sets are opened, options checked and steps timed."""

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
from edgeseg.train.config import TrainConfig, steps_from_minutes, with_steps
from edgeseg.train.device import checked_precision
from edgeseg.train.loop import Trainer
from edgeseg.train.recipe import check_classes, check_sizes, draw_from, sets_from_config, spec_from_config
from edgeseg.train.request import TrainRequest
from edgeseg.train.teacher import Teacher
from edgeseg.train.validate import Predictor, spread, validate

WORKERS = 8  # batches made ahead for a GPU, which is faster than one CPU core that makes them
WARM_UP_STEPS, TIMED_STEPS = 2, 5
TIMED_IMAGES = 4


def completed_config(request: TrainRequest, state: Mapping[str, Any] | None) -> TrainConfig:
    """The request's recipe with precision and steps filled in; steps stay 0 for a new training with a time budget.

    state: of the folder's checkpoint, which gives them where there is one, so that the same command resumes it.
    MismatchError where the checkpoint is that of another training.
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


def open_datasets(config: TrainConfig) -> tuple[list[Dataset], Dataset | None]:
    """The training data sets and the validation data set. MismatchError, SizeError where they do not fit together."""
    sets = sets_from_config(config)
    check_sizes(config)
    val = open_dataset(config.val) if config.val else None
    if val is not None:
        check_classes(val, sets[0])
    return sets, val


def trainer_from_request(
    request: TrainRequest, config: TrainConfig, sets: list[Dataset], val: Dataset | None
) -> Trainer:
    """A trainer at its first step; a time budget is converted to steps."""
    if not config.steps:
        config = with_steps(config, steps_in_budget(request, with_steps(config, 1), sets, val))
    return new_trainer(request, config, sets, request.folder)


def new_trainer(request: TrainRequest, config: TrainConfig, sets: list[Dataset], folder: Path) -> Trainer:
    """A trainer with the initial weights."""
    spec = spec_from_config(config, request.initial.spec)
    workers = min(WORKERS, max(1, available_threads() - 1)) if request.device.type == "cuda" else 0
    teacher = Teacher(request.teacher, request.device) if request.teacher else None
    draw = draw_from(config, sets)
    trainer = Trainer(config, spec, draw, folder, device=request.device, workers=workers, teacher=teacher)
    trainer.load_initial_weights(request.initial.state_for(spec))
    return trainer


def steps_in_budget(request: TrainRequest, config: TrainConfig, sets: list[Dataset], val: Dataset | None) -> int:
    """How many steps, with their validations, fit in the minutes; measured with a trainer that is then discarded."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trainer = new_trainer(request, config, sets, Path(folder))
        seconds = step_seconds(trainer)
        pause = 0.0  # for one validation
        if val is not None:
            pause = validation_seconds(Predictor(trainer.average, trainer.spec, request.device), val)
        trainer.batches.close()
    spent = (time.perf_counter() - began) / 60
    return steps_from_minutes(max(0.0, config.minutes - spent), seconds, pause, request.val_every)


def step_seconds(trainer: Trainer) -> float:
    """The time of one step, after warm-up steps."""
    for _ in range(WARM_UP_STEPS):
        trainer.train_step()
    began = time.perf_counter()
    for _ in range(TIMED_STEPS):
        trainer.train_step()
    return (time.perf_counter() - began) / TIMED_STEPS


def validation_seconds(predict: Predictor, val: Dataset) -> float:
    """The time of one validation, estimated from a few of its images."""
    subset = dataclasses.replace(val, samples=spread(val, TIMED_IMAGES))
    validate(predict, dataclasses.replace(val, samples=subset.samples[:1]))
    began = time.perf_counter()
    validate(predict, subset)
    return (time.perf_counter() - began) * len(val) / len(subset)


def check_same_data(metadata: Mapping[str, Any], data_sha256: str, folder: Path) -> None:
    """MismatchError where the data differs from that of the checkpoint, if the checkpoint holds its hash."""
    if metadata.get("data_sha256", data_sha256) != data_sha256:
        raise MismatchError(
            f"the data has changed since the training in {folder} was begun",
            hint="restore the old files to resume it, or start again with --restart",
            code="ES-MISMATCH-DATA",
        )
