"""What a user asks for, with the usual values of what was left out."""

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
from edgeseg.train.config import TrainConfig
from edgeseg.train.device import device_from_text
from edgeseg.train.initial_weights import InitialWeights, initial_weights_from_model
from edgeseg.train.presets import preset_of
from edgeseg.train.recipe import usual_size
from edgeseg.train.schedule import steps_from_epochs, with_steps
from edgeseg.train.teacher import check_teacher

Size = tuple[int, int]
KEEP = ("last", "best")
LARGEST_SCALE = 16


@dataclass(frozen=True)
class TrainRequest:
    """What a user asks for.

    config: `steps` 0 where `minutes` decide, precision "auto" where the device does.
    every: steps between rows of the log, each with a checkpoint. val_every: steps between validations.
    teacher: the network whose answers are learnt from too.
    """

    config: TrainConfig
    start: InitialWeights
    folder: Path
    device: torch.device
    every: int = 50
    val_every: int | None = None
    teacher: Source | None = None


@dataclass(frozen=True)
class Duration:
    """How long to train: exactly one of them."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            told = f"{' and '.join(given)} both say how long" if given else "how long to train was not said"
            raise DataError(told, hint="give one of --epochs 60, --steps 2000 and --minutes 30")

    def steps_of(self, pictures: int, share: float, batch: int) -> int:
        """The steps, 0 where minutes decide. pictures: of the first data set, share: its share of all draws."""
        if self.epochs is not None:
            return steps_from_epochs(self.epochs, pictures, share, batch)
        return self.steps or 0


def request_from_options(
    model: str,
    data: Sequence[str],
    length: Duration,
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
    fields: Mapping[str, Any] | None = None,
) -> TrainRequest:
    """The request of a command line. size, crop: (height, width). fields: of `TrainConfig`, over the family's preset.

    The name is `usual_name`'s unless given, the folder `runs/NAME`.
    """
    start, source = initial_weights_from_model(model, variant), source_from_model(teacher) if teacher else None
    pairs = shared(data, shares)
    first = open_dataset(data[0])
    chosen = size or size_of(start, first)
    name = checked_name(name or usual_name(start.family, first))
    config = TrainConfig(
        name=name, family=start.family, variant=start.variant, data=pairs, size=chosen, crop=crop or chosen, steps=0,
        start=start.path.name if start.path else "", start_sha256=start.sha256, minutes=length.minutes or 0.0,
        teacher=source.path.name if source else "", teacher_sha256=sha256_from_file(source.path) if source else "",
        **{"precision": "auto", "licence": start.spec.licence if start.spec else "unknown",
           **preset_of(start.family), **(fields or {})},
    )  # fmt: skip
    check_options(config)
    if source:
        check_teacher(source, first.labels, config.crop)
    steps = length.steps_of(len(first), pairs[0][1] / sum(share for _, share in pairs), config.batch)
    config = with_steps(config, steps) if steps else dataclasses.replace(config, steps=0)
    return TrainRequest(
        config, start, folder or Path("runs") / name, device_from_text(device), every, val_every, source
    )


def shared(data: Sequence[str], shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Each data set with its share, all alike unless given."""
    if not data:
        raise DataError("no data to learn from", hint="--data camvid:PATH?split=train")
    if shares and len(shares) != len(data):
        raise DataError(f"{len(data)} --data and {len(shares)} --share", hint="give one --share for each --data")
    for share in shares:
        if not 0 < share < math.inf:
            raise DataError(f"a share of {share:g}", hint="give each --share above 0, or leave the --data out")
    return tuple(zip(data, shares or [1.0] * len(data)))


def size_of(start: InitialWeights, dataset: Dataset) -> Size:
    """The size of the weights, or for a family that of the data set's pictures."""
    if start.spec is None:
        return usual_size(dataset, start.family)
    return start.spec.input.height, start.spec.input.width


def usual_name(family: str, dataset: Dataset) -> str:
    """The name of what `family` becomes on `dataset`; no bundled model is called so.

    bisenetv2-street-trained, or bisenetv2-folder-yard-trained where a dataset.toml has the name "yard".
    """
    kind = dataset.name.partition("?")[0].strip(":")
    return f"{family}-{re.sub(r'[^A-Za-z0-9._]+', '-', kind)}-trained"


def checked_name(name: str) -> str:
    """`name` as the model's name and its file's."""
    if not name or Path(name).name != name or name.startswith("."):
        raise FormatError(f"not a name for a model: {name!r}", hint="give a word without slashes, such as --name mine")
    return name


def check_scale(scale: tuple[float, float]) -> None:
    """Refuse what is no range of factors, and pictures that no memory holds."""
    low, high = scale
    if not 0 < low <= high <= LARGEST_SCALE:
        raise DataError(f"a scale from {low:g} to {high:g}", hint="--scale 0.5 2")


def check_options(config: TrainConfig) -> None:
    """Refuse what contradicts itself."""
    check_scale(config.scale)
    if config.keep not in KEEP:
        raise UnknownNameError.among("choice of --keep", config.keep, KEEP)
    if config.keep == "best" and not config.val:
        raise DataError(
            "--keep best has nothing to judge by", hint="name a data set that is not learnt from with --val"
        )
