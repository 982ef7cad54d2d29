"""From a recipe to its data sets, a function that draws images, and the spec of the model."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from torch import nn

from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.digest import dataset_sha256
from edgeseg.errors import MismatchError, SizeError
from edgeseg.models import open_family
from edgeseg.models.blind import blind_layers
from edgeseg.progress import Progress, silent
from edgeseg.spec import InputSpec, ModelSpec
from edgeseg.train.config import TrainConfig
from edgeseg.train.loop import Draw, Pair

LARGE = 600_000  # pixels: Cityscapes is usually trained at 1024x512, and CamVid at half of 960x720


def sets_from_config(config: TrainConfig) -> list[Dataset]:
    """The data sets, in order. MismatchError where their classes differ."""
    sets = [open_dataset(uri) for uri, _ in config.data]
    for other in sets[1:]:
        check_classes(other, sets[0])
    return sets


def check_classes(dataset: Dataset, first: Dataset) -> None:
    """MismatchError unless both have the same classes in the same order."""
    ours, theirs = first.labels.names, dataset.labels.names
    if ours != theirs:
        raise MismatchError(
            f"{dataset.name} has {len(theirs)} classes ({theirs[0]}, ...), and {first.name} has {len(ours)} "
            f"({ours[0]}, ...)",
            hint="name data sets with the same classes in the same order",
        )


def draw_from(config: TrainConfig, sets: Sequence[Dataset] | None = None) -> Draw:
    """A function that draws a data set by its share, then one of its images uniformly. sets: those of `config`."""
    samples = [list(dataset) for dataset in sets or sets_from_config(config)]
    shares = np.array([share for _, share in config.data]) / sum(share for _, share in config.data)

    def draw(rng: np.random.Generator) -> Pair:
        candidates = samples[int(rng.choice(len(samples), p=shares))]
        sample = candidates[int(rng.integers(len(candidates)))]
        return sample.rgb(), sample.labels()

    return draw


def spec_from_config(config: TrainConfig, start: ModelSpec | None = None) -> ModelSpec:
    """The spec of the trained model; its labels are those of the first data set.

    start: the spec of the initial weights, which gives normalisation and corner alignment. Encoder weights give the
    normalisation that they were trained with.
    """
    family = open_family(config.family)
    template = start.input if start else InputSpec(width=config.size[1], height=config.size[0])
    if config.encoder and family.encoder:
        template = dataclasses.replace(template, mean=family.encoder.mean, std=family.encoder.std)
    return ModelSpec(
        name=config.name,
        input=dataclasses.replace(template, width=config.size[1], height=config.size[0]),
        labels=open_dataset(config.data[0][0]).labels,
        family=config.family,
        variant=config.variant,
        align_corners=start.align_corners if start else family.align_corners,
        licence=config.licence,
    )


def check_sizes(config: TrainConfig) -> None:
    """SizeError where the network does not take the input or the crop, or the crop exceeds every scaled image."""
    rule = open_family(config.family).size_rule
    for height, width in (config.size, config.crop):
        rule.check(width, height, model=f"{config.family} {config.variant}")
    largest = [round(side * config.scale[1]) for side in config.size]
    if config.crop[0] > largest[0] or config.crop[1] > largest[1]:
        raise SizeError(
            f"the crop {config.crop[1]}x{config.crop[0]} is larger than every image: {config.size[1]}x{config.size[0]} "
            f"is scaled to at most {largest[1]}x{largest[0]}",
            hint=f"--crop {config.size[1]}x{config.size[0]}, or a larger --scale or --size",
        )


def blind_at_crop(network: nn.Module, config: TrainConfig) -> frozenset[str]:
    """The convolutions with weights that meet padding alone at the crop, and not at the input of the model."""
    if config.crop == config.size:
        return frozenset()
    at_crop, at_input = (blind_layers(network, width, height) for height, width in (config.crop, config.size))
    return at_crop - at_input


def default_size(dataset: Dataset, family: str) -> tuple[int, int]:
    """(height, width) that the family takes, near that of the first image; large images are first scaled to half."""
    height, width = dataset[0].rgb().shape[:2]
    while height * width > LARGE:
        height, width = height // 2, width // 2
    width, height = open_family(family).size_rule.nearest(width, height)[-1]
    return height, width


def without_paths(config: TrainConfig) -> TrainConfig:
    """`config` for publication: data sets by name and options, without their paths."""
    names = tuple((open_dataset(uri).name, share) for uri, share in config.data)
    return dataclasses.replace(config, data=names, val=open_dataset(config.val).name if config.val else "")


def sha256_of_data(sets: Sequence[Dataset], progress: Progress = silent) -> str:
    """One hash of all data sets, independent of their paths."""
    hashes = [dataset_sha256(dataset, progress=progress) for dataset in sets]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
