"""From a recipe to what a training is made of: a source of pictures, and the spec of the model."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgeseg.datasets import open_dataset
from edgeseg.models import open_family
from edgeseg.spec import InputSpec, ModelSpec
from edgeseg.train.config import TrainConfig
from edgeseg.train.loop import Draw, Pair


def draw_from(config: TrainConfig) -> Draw:
    """A function that draws a data set by its share, then one of its pictures evenly."""
    sets = [list(open_dataset(uri)) for uri, _ in config.data]
    shares = np.array([share for _, share in config.data]) / sum(share for _, share in config.data)

    def draw(rng: np.random.Generator) -> Pair:
        samples = sets[int(rng.choice(len(sets), p=shares))]
        sample = samples[int(rng.integers(len(samples)))]
        return sample.rgb(), sample.labels()

    return draw


def spec_from_config(config: TrainConfig) -> ModelSpec:
    """The spec of the model that is trained; its labels are those of the first data set."""
    family = open_family(config.family)
    return ModelSpec(
        name=config.name,
        input=InputSpec(width=config.size[1], height=config.size[0]),
        labels=open_dataset(config.data[0][0]).labels,
        family=config.family,
        variant=config.variant,
        align_corners=family.align_corners,
        licence=config.licence,
    )


def without_paths(config: TrainConfig) -> TrainConfig:
    """`config` as it may be published: data sets by name and options, without where they lie."""
    names = tuple((open_dataset(uri).name, share) for uri, share in config.data)
    return dataclasses.replace(config, data=names)
