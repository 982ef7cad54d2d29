"""A training as a user requests it, with defaults for the options that are left out."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import DataError, FormatError, UnknownNameError
from edgeseg.export.model import Source, source_from_model
from edgeseg.files import sha256_from_file
from edgeseg.train.config import TrainConfig, preset_of, steps_from_epochs, with_steps
from edgeseg.train.device import device_from_text
from edgeseg.train.encoder_weights import encoder_of
from edgeseg.train.initial_weights import InitialWeights, initial_weights_from_model
from edgeseg.train.losses import DEFAULT, texts_from_numbers, texts_of
from edgeseg.train.losses.class_weights import CLASS_WEIGHTS
from edgeseg.train.recipe import default_size
from edgeseg.train.teacher import check_teacher

Size = tuple[int, int]
KEEP = ("last", "best")
MAX_SCALE = 16


@dataclass(frozen=True)
class TrainRequest:
    """One training.

    config: `steps` is 0 where `minutes` is given, precision may be "auto".
    every: steps between rows of the log, each with a checkpoint. val_every: steps between validations.
    teacher: the network for distillation.
    """

    config: TrainConfig
    initial: InitialWeights
    folder: Path
    device: torch.device
    every: int = 50
    val_every: int | None = None
    teacher: Source | None = None


@dataclass(frozen=True)
class Duration:
    """How long to train; exactly one field is set."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        options = [f"--{name}" for name, value in vars(self).items() if value is not None]
        if len(options) != 1:
            message = f"{' and '.join(options)} exclude each other" if options else "the training has no duration"
            raise DataError(
                message, hint="give one of --epochs 60, --steps 2000 and --minutes 30", code="ES-MISMATCH-OPTIONS"
            )

    def steps_of(self, images: int, share: float, batch: int) -> int:
        """The steps, 0 where minutes are set. images: of the first data set. share: its share of the batches."""
        if self.epochs is not None:
            return steps_from_epochs(self.epochs, images, share, batch)
        return self.steps or 0


def request_from_options(
    model: str,
    data: Sequence[str],
    duration: Duration,
    *,
    shares: Sequence[float] = (),
    folder: Path | None = None,
    name: str | None = None,
    variant: str | None = None,
    size: Size | None = None,
    crop: Size | None = None,
    device: str = "auto",
    every: int = 50,
    val_every: int | None = None,
    teacher: str | None = None,
    encoder_weights: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> TrainRequest:
    """The request of a command line. size, crop: (height, width). fields: of `TrainConfig`; they override the preset.

    Without `name` the name is that of `default_name`; without `folder` the folder is `runs/NAME`.
    """
    initial = initial_weights_from_model(model, variant, encoder_weights)
    source, encoder = source_from_model(teacher) if teacher else None, initial.encoder
    pairs = with_shares(data, shares)
    first = open_dataset(data[0])
    size = size or size_of(initial, first)
    name = checked_name(name or default_name(initial.family, first))
    config = TrainConfig(
        name=name, family=initial.family, variant=initial.variant, data=pairs, size=size, crop=crop or size, steps=0,
        start=initial.path.name if initial.path else "", start_sha256=initial.sha256, minutes=duration.minutes or 0.0,
        teacher=source.path.name if source else "", teacher_sha256=sha256_from_file(source.path) if source else "",
        encoder=encoder.source if encoder else "", encoder_sha256=encoder.sha256 if encoder else "",
        encoder_licence=encoder.licence if encoder else "",
        **{"precision": "auto", "licence": initial.spec.licence if initial.spec else "unknown",
           **preset_of(initial.family), **(fields or {})},
    )  # fmt: skip
    check_options(config)
    if config.encoder_rate != 1:
        encoder_of(config.family)
    if source:
        check_teacher(source, first.labels, config.crop)
    steps = duration.steps_of(len(first), pairs[0][1] / sum(share for _, share in pairs), config.batch)
    config = with_steps(config, steps) if steps else dataclasses.replace(config, steps=0)
    return TrainRequest(
        config, initial, folder or Path("runs") / name, device_from_text(device), every, val_every, source
    )


def with_shares(data: Sequence[str], shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Each data set with its share; equal shares where `shares` is empty."""
    if not data:
        raise DataError("no training data", hint="--data camvid:PATH?split=train")
    if shares and len(shares) != len(data):
        raise DataError(f"{len(data)} --data and {len(shares)} --share", hint="give one --share for each --data")
    for share in shares:
        if not 0 < share < math.inf:
            raise DataError(
                f"--share {share:g} is not above 0", hint="give a finite --share above 0, or omit the --data"
            )
    return tuple(zip(data, shares or [1.0] * len(data)))


def size_of(initial: InitialWeights, dataset: Dataset) -> Size:
    """The input size of the weights; for random weights that of the data set's images."""
    if initial.spec is None:
        return default_size(dataset, initial.family)
    return initial.spec.input.height, initial.spec.input.width


def default_name(family: str, dataset: Dataset) -> str:
    """The name of `family` trained on `dataset`, which no bundled model has: bisenetv2-street-trained.

    bisenetv2-folder-yard-trained where a dataset.toml has the name "yard".
    """
    kind = dataset.name.partition("?")[0].strip(":")
    return f"{family}-{re.sub(r'[^A-Za-z0-9._]+', '-', kind)}-trained"


def checked_name(name: str) -> str:
    """`name`, if a model and its file can have it. FormatError otherwise."""
    if not name or Path(name).name != name or name.startswith("."):
        raise FormatError(f"invalid model name: {name!r}", hint="give a word without slashes, such as --name mine")
    return name


def loss_from_options(terms: Sequence[str], ohem: float | None, dice: float | None) -> tuple[str, ...] | None:
    """The terms of --loss, and those of --ohem P and --dice WEIGHT; None where no option is given.

    `--ohem` takes the place of cross-entropy, and `--dice` comes in addition. A number of 0 adds nothing.
    """
    short = texts_from_numbers(ohem or 0.0, dice or 0.0)
    if terms:
        return texts_of([*terms, *(text for text in short if text != DEFAULT)])
    return None if ohem is None and dice is None else short


def check_scale(scale: tuple[float, float]) -> None:
    """DataError unless `scale` is a range of factors that memory can hold."""
    low, high = scale
    if not 0 < low <= high <= MAX_SCALE:
        raise DataError(f"--scale {low:g} {high:g} is not a range between 0 and {MAX_SCALE}", hint="--scale 0.5 2")


def check_options(config: TrainConfig) -> None:
    """Refuse options that contradict each other."""
    check_scale(config.scale)
    if config.class_weights not in CLASS_WEIGHTS:
        raise UnknownNameError.among("value of --class-weights", config.class_weights, CLASS_WEIGHTS)
    if config.keep not in KEEP:
        raise UnknownNameError.among("value of --keep", config.keep, KEEP)
    if config.keep == "best" and not config.val:
        raise DataError(
            "--keep best needs --val", hint="--val URI, a data set that is not among --data", code="ES-MISMATCH-OPTIONS"
        )
