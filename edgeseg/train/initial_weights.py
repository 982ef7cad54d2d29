"""What a training starts from: a family with random weights, maybe with a trained encoder, or a model's weights."""

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
from edgeseg.train.encoder_weights import EncoderWeights, encoder_weights_from_text
from edgeseg.weights import BUNDLED


@dataclass(frozen=True)
class InitialWeights:
    """The weights at the first step. source: None for random ones, those of `encoder` apart."""

    family: str
    variant: str
    source: Source | None = None
    encoder: EncoderWeights | None = None

    @property
    def path(self) -> Path | None:
        """The weights file."""
        return self.source.path if self.source else None

    @property
    def spec(self) -> ModelSpec | None:
        """The spec of the weights."""
        return self.source.spec if self.source else None

    @property
    def sha256(self) -> str:
        """The hash of the weights file, "" without one."""
        return sha256_from_file(self.source.path) if self.source else ""

    def state_for(self, spec: ModelSpec) -> dict[str, Tensor]:
        """The initial weights of a network of `spec`, without the classifier where the classes differ.

        MismatchError where any other tensor is missing.
        """
        if self.source is None:
            return self.encoder.state if self.encoder else {}
        state, shapes = self.source.state, shapes_of(spec, len(spec.labels))
        with_another_class = shapes_of(spec, len(spec.labels) + 1)
        differ = spec.labels.names != self.source.spec.labels.names
        classifier = {key for key in shapes if differ and shapes[key] != with_another_class[key]}
        needed = shapes.keys() - classifier
        wrong = [key for key in needed if key not in state or state[key].shape != shapes[key]]
        if wrong:
            raise MismatchError(
                f"{self.source.path} does not fit {spec.family} {spec.variant}: {len(wrong)} tensors are missing or "
                f"have another shape, first: {min(wrong)}",
                hint="name weights that edgeseg wrote, or a family to train from random weights",
            )
        return {key: state[key] for key in needed}


def initial_weights_from_model(
    model: str, variant: str | None = None, encoder_weights: str | None = None
) -> InitialWeights:
    """The weights of a bundled model, a weights file or another project's checkpoint; random ones for a family.

    variant: None for the first one of the family. encoder_weights: a file or package, for a family's encoder.
    """
    if model in FAMILIES:
        family = open_family(model)
        text = variant or next(iter(family.variants))
        arguments_from_text(text, family.variants, family=model)
        encoder = None if encoder_weights is None else encoder_weights_from_text(encoder_weights, model, text)
        return InitialWeights(model, text, encoder=encoder)
    if not (Path(model).suffix or "/" in model or Path(model).exists()) and model not in BUNDLED:
        raise UnknownNameError.among("model or family", model, (*FAMILIES, *BUNDLED))
    source = source_from_model(model)
    spec = source.spec
    if variant not in (None, spec.variant):
        raise MismatchError(
            f"{model} is a {spec.family} {spec.variant}, not a {variant}",
            hint=f"omit --variant, or start from random weights: edgeseg train {spec.family} --variant {variant}",
        )
    if encoder_weights is not None:
        raise MismatchError(
            f"--encoder-weights has no effect on {model}, which has weights already",
            hint=f"leave it out, or train a family: edgeseg train {spec.family} --encoder-weights {encoder_weights}",
            code="ES-MISMATCH-OPTIONS",
        )
    return InitialWeights(spec.family, spec.variant, source)


def shapes_of(spec: ModelSpec, classes: int) -> dict[str, torch.Size]:
    """The shapes of the deployed network's weights for a number of classes."""
    family = open_family(spec.family)
    arguments = arguments_from_text(spec.variant, family.variants, family=spec.family)
    with torch.device("meta"):
        network = family.module(classes, auxiliary=False, **arguments)
    return {key: value.shape for key, value in network.state_dict().items()}
