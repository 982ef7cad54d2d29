"""A training from its first step, or its last checkpoint, to a weights file with its spec."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import FileProblem
from edgeseg.files import writable_folder, write_text
from edgeseg.models import open_family
from edgeseg.progress import Progress, silent
from edgeseg.train import checkpoint, log
from edgeseg.train.card import card_of
from edgeseg.train.config import learning_rate_at, steps_between_validations
from edgeseg.train.loop import Trainer
from edgeseg.train.plot import draw_curves, draw_samples
from edgeseg.train.prepare import check_same_data, completed_config, open_datasets, trainer_from_request
from edgeseg.train.recipe import sha256_of_data, without_paths
from edgeseg.train.request import TrainRequest
from edgeseg.train.validate import Predictor, spread, validate
from edgeseg.weights.file import write_weights

CURVES, SAMPLES = "curves.png", "samples.png"
SAMPLE_IMAGES = 4


@dataclass(frozen=True)
class TrainingState:
    """The state after `step` steps. loss: mean since the last row of the log. row: where this step wrote one."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    images_per_second: float
    seconds_left: float
    row: log.Row | None = None


OnStep = Callable[[TrainingState], None]


@dataclass
class TrainingRun:
    """One training. on_step: called after each step. progress: of the work between steps."""

    request: TrainRequest
    trainer: Trainer
    val: Dataset | None
    samples: Dataset
    on_step: OnStep
    progress: Progress = silent

    def __post_init__(self) -> None:
        self.folder = self.request.folder
        self.log = log.Log(self.folder / log.NAME)
        self.predict = Predictor(self.trainer.average, self.trainer.spec, self.trainer.device)
        self.val_every = self.request.val_every or steps_between_validations(self.trainer.config.steps)
        self.in_step = False
        self.seconds: list[float] = []  # of the latest steps
        self.losses: list[float] = self.trainer.metadata.setdefault("losses", [])  # since the last row of the log

    @property
    def weights(self) -> Path:
        """The file of the averaged weights."""
        return self.folder / f"{self.trainer.config.name}.safetensors"

    def train(self, hold: AbstractContextManager[object] = contextlib.nullcontext()) -> None:  # noqa: B008
        """Run the remaining steps; on KeyboardInterrupt, write the checkpoint.

        hold: delays Ctrl-C until the end of a step. A validation that Ctrl-C cut short is repeated on resumption.
        """
        logged_step = self.trainer.metadata.setdefault("logged_step", self.trainer.step)
        self.log.cut(logged_step)
        self.trainer.save()
        try:
            if logged_step != self.trainer.step:
                self._after_step()
            while self.trainer.step < self.trainer.config.steps:
                self._step(hold)
                self._after_step()
        except KeyboardInterrupt:
            if not self.in_step:  # in a step, the weights may be half updated
                self.trainer.save()
            raise
        finally:
            self.trainer.batches.close()

    def finish(self) -> None:
        """Write the card, and the last weights unless the recipe keeps the best ones.

        FileProblem where the file of the best ones is missing.
        """
        if self.trainer.config.keep == "last" or "best" not in self.trainer.metadata:
            self._write_weights()
        elif not self.weights.exists():
            best = self.trainer.metadata["best"]["step"]
            raise FileProblem(
                f"{self.weights} with the weights of step {best} is missing",
                hint="restore the file, or start again with --restart",
            )
        text = card_of(self.trainer.config, self.trainer.spec, self.trainer.metadata["data_sha256"])
        write_text(self.weights.with_suffix(".md"), text)

    def _step(self, hold: AbstractContextManager[object]) -> None:
        with hold:
            self.in_step = True
            began = time.perf_counter()
            self.losses.append(self.trainer.train_step())
            self.seconds = [*self.seconds[-19:], time.perf_counter() - began]
            self.in_step = False

    def _after_step(self) -> None:
        """Validate, log and save where this step is due, and report the state."""
        step, last = self.trainer.step, self.trainer.step == self.trainer.config.steps
        validates = step % self.val_every == 0 or last
        state = self._state()
        if validates or step % self.request.every == 0:
            miou = self._validated() if validates else math.nan
            row = log.Row(step, state.loss, state.learning_rate, state.images_per_second, miou)
            state = dataclasses.replace(state, row=row)
            self._record(row, with_images=validates)
        self.on_step(state)

    def _state(self) -> TrainingState:
        trainer, seconds = self.trainer, mean_of(self.seconds)
        left = seconds * (trainer.config.steps - trainer.step)
        rate, speed = learning_rate_at(trainer.step - 1, trainer.config), trainer.config.batch / seconds
        return TrainingState(trainer.step, trainer.config.steps, mean_of(self.losses), rate, speed, left)

    def _record(self, row: log.Row, *, with_images: bool) -> None:
        """Write the log's row, the images and then the checkpoint: a resumed training repeats what it does not hold."""
        self.log.append(row)
        if with_images:
            self._draw()
        self.losses.clear()
        self.trainer.metadata["logged_step"] = row.step
        self.trainer.save()

    def _validated(self) -> float:
        if self.val is None:
            return math.nan
        miou = validate(self.predict, self.val, progress=self.progress).miou()
        best = self.trainer.metadata.get("best", {"val_miou": -1.0})
        if miou > best["val_miou"]:
            if self.trainer.config.keep == "best":
                self._write_weights()  # before the metadata: if Ctrl-C interrupts it, a resumed training repeats it
            self.trainer.metadata["best"] = {"step": self.trainer.step, "val_miou": miou}
        return miou

    def _draw(self) -> None:
        draw_curves(self.folder / CURVES, self.log.rows, self.trainer.config.name)
        draw_samples(self.folder / SAMPLES, spread(self.samples, SAMPLE_IMAGES), self.predict, self.trainer.spec.labels)

    def _write_weights(self) -> None:
        trainer = self.trainer
        state = open_family(trainer.config.family).deployed(trainer.average.state_dict())
        state = {key: value.cpu() for key, value in state.items()}
        write_weights(self.weights, state, trainer.spec, without_paths(trainer.config))


def mean_of(values: list[float]) -> float:
    """The mean; nan for an empty list."""
    return float(np.mean(values)) if values else math.nan


def open_run(
    request: TrainRequest, on_step: OnStep, *, restart: bool = False, progress: Progress = silent
) -> TrainingRun:
    """A run that is ready to train. Everything that a user can get wrong is checked before a file changes.

    restart: discard the training in the folder.
    """
    state = None if restart else checkpoint.read_checkpoint(request.folder / checkpoint.NAME)
    config = completed_config(request, state)
    sets, val = open_datasets(config)
    writable_folder(request.folder)
    data_sha256 = sha256_of_data(sets, progress)
    trainer = trainer_from_request(request, config, sets, val)
    if restart:
        remove_training(request.folder)
    trainer.resume()
    check_same_data(trainer.metadata, data_sha256, request.folder)
    trainer.metadata.update(data_sha256=data_sha256, versions=checkpoint.versions())
    old = config if state is None else checkpoint.config_in(state)
    if checkpoint.without_place(old.val) != checkpoint.without_place(config.val):
        trainer.metadata.pop("best", None)  # measured on other images
    return TrainingRun(request, trainer, val, sets[0] if val is None else val, on_step, progress)


def remove_training(folder: Path) -> None:
    """Remove the files of a training from its folder, except for its weights."""
    for name in (checkpoint.NAME, log.NAME, CURVES, SAMPLES):
        (folder / name).unlink(missing_ok=True)


def result_of(run: TrainingRun, resumed_from: int) -> dict[str, Any]:
    """A finished training as plain data; `val_miou` is that of the last step."""
    config = run.trainer.config
    last = run.log.rows[-1] if run.log.rows else log.Row(run.trainer.step, math.nan, math.nan)
    return {
        "weights": str(run.weights), "name": config.name, "family": config.family, "variant": config.variant,
        "licence": config.licence, "steps": run.trainer.step, "images": run.trainer.step * config.batch,
        "resumed_from": resumed_from, "loss": last.loss, "images_per_second": last.images_per_second,
        "val": config.val, "val_miou": last.val_miou, "best": run.trainer.metadata.get("best"), "keep": config.keep,
        "device": str(run.trainer.device), "precision": config.precision,
        "encoder": run.request.initial.encoder.to_dict() if run.request.initial.encoder else None,
        "data_sha256": run.trainer.metadata["data_sha256"],
        "log": str(run.log.path), "curves": str(run.folder / CURVES), "samples": str(run.folder / SAMPLES),
    }  # fmt: skip
