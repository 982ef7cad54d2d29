"""MODEL as a training takes it: a family with random weights, or weights to go on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.export.model import Source, source_from_model
from edgeseg.files import sha256_from_file
from edgeseg.models import FAMILIES, open_family
from edgeseg.models.variant import arguments_from_text
from edgeseg.spec import ModelSpec
from edgeseg.weights import BUNDLED


@dataclass(frozen=True)
class InitialWeights:
    """What a training begins with. source: the weights; None for random ones."""

    family: str
    variant: str
    source: Source | None = None

    @property
    def path(self) -> Path | None:
        """The weights file."""
        return self.source.path if self.source else None

    @property
    def spec(self) -> ModelSpec | None:
        """That of the weights."""
        return self.source.spec if self.source else None

    @property
    def sha256(self) -> str:
        """Of the weights file, "" without one."""
        return sha256_from_file(self.source.path) if self.source else ""

    def state_for(self, spec: ModelSpec) -> dict[str, Tensor]:
        """The weights that a network of `spec` begins with: the classifier is left out where the classes differ.

        MismatchError where another one is missing.
        """
        if self.source is None:
            return {}
        state, shapes = self.source.state, shapes_of(spec, len(spec.labels))
        others = shapes_of(spec, len(spec.labels) + 1)
        renamed = spec.labels.names != self.source.spec.labels.names
        new = {key for key in shapes if renamed and shapes[key] != others[key]}
        wrong = [key for key in shapes.keys() - new if key not in state or state[key].shape != shapes[key]]
        if wrong:
            raise MismatchError(
                f"{self.source.path} is not of {spec.family} {spec.variant}: {len(wrong)} tensors are missing or of "
                f"another shape, first: {min(wrong)}",
                hint="name the weights that edgeseg wrote, or a family to begin anew",
            )
        return {key: state[key] for key in shapes.keys() - new}


def initial_weights_from_model(model: str, variant: str | None = None) -> InitialWeights:
    """The start of a family, a bundled model, a weights file or somebody's checkpoint.

    variant: the family's first one unless given.
    """
    if model in FAMILIES:
        family = open_family(model)
        text = variant or next(iter(family.variants))
        arguments_from_text(text, family.variants, family=model)
        return InitialWeights(model, text)
    if not (Path(model).suffix or "/" in model or Path(model).exists()) and model not in BUNDLED:
        raise UnknownNameError.among("model or family", model, (*FAMILIES, *BUNDLED))
    source = source_from_model(model)
    spec = source.spec
    if variant not in (None, spec.variant):
        raise MismatchError(
            f"{model} is a {spec.family} {spec.variant}, and --variant {variant} was asked for",
            hint=f"leave --variant out, or begin anew: edgeseg train {spec.family} --variant {variant}",
        )
    return InitialWeights(spec.family, spec.variant, source)


def shapes_of(spec: ModelSpec, classes: int) -> dict[str, torch.Size]:
    """The shapes of the deployed network's weights, were there so many classes."""
    family = open_family(spec.family)
    arguments = arguments_from_text(spec.variant, family.variants, family=spec.family)
    with torch.device("meta"):
        network = family.module(classes, auxiliary=False, **arguments)
    return {key: value.shape for key, value in network.state_dict().items()}
