"""A training from its first step, or its last checkpoint, to a weights file that says what it is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import FileProblem
from edgeseg.files import writable_folder
from edgeseg.interrupt import Hold, interrupts_held
from edgeseg.models import open_family
from edgeseg.progress import Progress, silent
from edgeseg.train import checkpoint, log
from edgeseg.train.loop import Trainer
from edgeseg.train.plot import draw_curves, draw_samples
from edgeseg.train.prepare import check_about, opened, settled, trainer_from_request
from edgeseg.train.recipe import sha256_of_data, without_paths
from edgeseg.train.request import TrainRequest
from edgeseg.train.schedule import learning_rate_at, steps_between_validations
from edgeseg.train.validate import Predictor, spread, validate
from edgeseg.weights.file import write_weights

CURVES, SAMPLES = "curves.png", "samples.png"
SHOWN = 4  # sample masks


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands after `step` steps. loss: mean since the log's last row. row: where it got one."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    images_per_second: float
    seconds_left: float
    row: log.Row | None = None


Watch = Callable[[TrainingState], None]


@dataclass
class Run:
    """One training under way. watch: called after each step. progress: of what is done between the steps."""

    request: TrainRequest
    trainer: Trainer
    val: Dataset | None
    samples: Dataset
    watch: Watch
    progress: Progress = silent

    def __post_init__(self) -> None:
        self.folder = self.request.folder
        self.log = log.Log(self.folder / log.NAME)
        self.predict = Predictor(self.trainer.average, self.trainer.spec, self.trainer.device)
        self.val_every = self.request.val_every or steps_between_validations(self.trainer.config.steps)
        self.busy = False
        self.seconds: list[float] = []
        self.losses: list[float] = self.trainer.about.setdefault("losses", [])  # since the log's last row

    @property
    def weights(self) -> Path:
        """Where the averaged weights go."""
        return self.folder / f"{self.trainer.config.name}.safetensors"

    def train(self) -> None:
        """Every step that is left. Ctrl-C waits for the end of a step; then the checkpoint is written.

        Where it cut a validation short, that is done first when the training goes on.
        """
        looked = self.trainer.about.setdefault("looked", self.trainer.step)
        self.log.cut(looked)
        self.trainer.save()
        try:
            with interrupts_held() as hold:
                if looked != self.trainer.step:
                    self._look()
                while self.trainer.step < self.trainer.config.steps:
                    self._step(hold)
                    self._look()
        except KeyboardInterrupt:
            if not self.busy:  # a second Ctrl-C may have torn a step apart
                self.trainer.save()
            raise
        finally:
            self.trainer.batches.close()

    def finish(self) -> None:
        """Write the last weights, unless those of the best step are to be kept. FileProblem where these are gone."""
        if self.trainer.config.keep == "last" or "best" not in self.trainer.about:
            self._write_weights()
        elif not self.weights.exists():
            best = self.trainer.about["best"]["step"]
            raise FileProblem(f"{self.weights} with the weights of step {best} is gone", hint="bring it, or --restart")

    def _step(self, hold: Hold) -> None:
        with hold:
            self.busy = True
            began = time.perf_counter()
            self.losses.append(self.trainer.train_step())
            self.seconds = [*self.seconds[-19:], time.perf_counter() - began]
            self.busy = False

    def _look(self) -> None:
        """Validate, log, save and say what is due after this step."""
        step, last = self.trainer.step, self.trainer.step == self.trainer.config.steps
        judged = step % self.val_every == 0 or last
        standing = self._standing()
        if judged or step % self.request.every == 0:
            miou = self._validated() if judged else math.nan
            row = log.Row(step, standing.loss, standing.learning_rate, standing.images_per_second, miou)
            standing = dataclasses.replace(standing, row=row)
            self._keep(row, judged)
        self.watch(standing)

    def _standing(self) -> TrainingState:
        trainer, seconds = self.trainer, mean_of(self.seconds)
        left = seconds * (trainer.config.steps - trainer.step)
        rate, speed = learning_rate_at(trainer.step - 1, trainer.config), trainer.config.batch / seconds
        return TrainingState(trainer.step, trainer.config.steps, mean_of(self.losses), rate, speed, left)

    def _keep(self, row: log.Row, judged: bool) -> None:
        """A row, the pictures and the checkpoint; the checkpoint last, for what it holds is not done again."""
        self.log.append(row)
        if judged:
            self._draw()
        self.losses.clear()
        self.trainer.about["looked"] = row.step
        self.trainer.save()

    def _validated(self) -> float:
        if self.val is None:
            return math.nan
        miou = validate(self.predict, self.val, progress=self.progress).miou()
        best = self.trainer.about.get("best", {"val_miou": -1.0})
        if miou > best["val_miou"]:
            if self.trainer.config.keep == "best":
                self._write_weights()  # first: where Ctrl-C cuts it short, it is still to be done
            self.trainer.about["best"] = {"step": self.trainer.step, "val_miou": miou}
        return miou

    def _draw(self) -> None:
        draw_curves(self.folder / CURVES, self.log.rows, self.trainer.config.name)
        draw_samples(self.folder / SAMPLES, spread(self.samples, SHOWN), self.predict, self.trainer.spec.labels)

    def _write_weights(self) -> None:
        trainer = self.trainer
        state = open_family(trainer.config.family).deployed(trainer.average.state_dict())
        state = {key: value.cpu() for key, value in state.items()}
        write_weights(self.weights, state, trainer.spec, without_paths(trainer.config))


def mean_of(values: list[float]) -> float:
    """The mean, nan of nothing."""
    return float(np.mean(values)) if values else math.nan


def open_run(request: TrainRequest, watch: Watch, *, restart: bool = False, progress: Progress = silent) -> Run:
    """A run that is ready to train: all that a user can have got wrong was refused, and nothing is changed before.

    restart: the training that lies in the folder is forgotten.
    """
    state = None if restart else checkpoint.read_checkpoint(request.folder / checkpoint.NAME)
    config = settled(request, state)
    sets, val = opened(config)
    writable_folder(request.folder)
    data_sha256 = sha256_of_data(sets, progress)
    trainer = trainer_from_request(request, config, sets, val)
    if restart:
        forget(request.folder)
    trainer.resume()
    check_about(trainer.about, data_sha256, request.folder)
    trainer.about.update(data_sha256=data_sha256, versions=checkpoint.versions())
    old = config if state is None else checkpoint.config_in(state)
    if checkpoint.without_place(old.val) != checkpoint.without_place(config.val):
        trainer.about.pop("best", None)  # it is of other pictures
    return Run(request, trainer, val, sets[0] if val is None else val, watch, progress)


def forget(folder: Path) -> None:
    """Remove what a training keeps in its folder, but for its weights."""
    for name in (checkpoint.NAME, log.NAME, CURVES, SAMPLES):
        (folder / name).unlink(missing_ok=True)


def result_of(run: Run, resumed_from: int) -> dict[str, Any]:
    """Plain data about a training that has ended; `val_miou` is of the last step, over the whole data set."""
    config = run.trainer.config
    last = run.log.rows[-1] if run.log.rows else log.Row(run.trainer.step, math.nan, math.nan)
    return {
        "weights": str(run.weights), "name": config.name, "family": config.family, "variant": config.variant,
        "licence": config.licence, "steps": run.trainer.step, "images": run.trainer.step * config.batch,
        "resumed_from": resumed_from, "loss": last.loss, "images_per_second": last.images_per_second,
        "val": config.val, "val_miou": last.val_miou, "best": run.trainer.about.get("best"), "keep": config.keep,
        "device": str(run.trainer.device), "precision": config.precision,
        "data_sha256": run.trainer.about["data_sha256"],
        "log": str(run.log.path), "curves": str(run.folder / CURVES), "samples": str(run.folder / SAMPLES),
    }  # fmt: skip
