"""The state of a training in one file, from which an interrupted training resumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import edgeseg
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import whole_file
from edgeseg.train.config import TrainConfig
from edgeseg.train.losses import texts_from_numbers

NAME = "checkpoint.pt"
FREE = ("val",)  # may differ on resumption where the last weights are kept, which it does not change
REQUIRED = {"network", "average", "optimizer", "step", "config"}
NOT_OPTIONS = {  # fields that MODEL and the files of --teacher and --encoder-weights give
    "family": "MODEL",
    "start": "weights",
    "start_sha256": "weights of SHA-256",
    "teacher_sha256": "a teacher of SHA-256",
    "encoder": "--encoder-weights",
    "encoder_sha256": "an encoder of SHA-256",
    "encoder_licence": "an encoder under",
}
WITHOUT_DEFAULT = {field.name for field in dataclasses.fields(TrainConfig) if field.default is dataclasses.MISSING}


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain data atomically."""
    with whole_file(path) as partial:
        torch.save(dict(state), partial)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state in `path`, tensors on the CPU; None where there is no file. Code in it is not run."""
    if not path.exists():
        return None
    hint = f"start again with --restart, or remove {path}"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # the unpickler raises errors of many kinds on a damaged file
        raise FormatError(f"not a training checkpoint: {path}", hint=hint, code="ES-FORMAT-CHECKPOINT") from problem
    complete = isinstance(state, dict) and state.keys() >= REQUIRED and isinstance(state["config"], dict)
    if not complete or not state["config"].keys() >= WITHOUT_DEFAULT:
        raise FormatError(f"not a training checkpoint: {path}", hint=hint, code="ES-FORMAT-CHECKPOINT")
    return state


def config_in(state: Mapping[str, Any]) -> TrainConfig:
    """The recipe in a checkpoint; fields that an older edgeseg did not write have their defaults."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    fields = dict(state["config"])
    if "loss" not in fields:  # older recipes have two numbers in its place
        fields["loss"] = texts_from_numbers(fields.pop("ohem", 0.0), fields.pop("dice", 0.0))
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise MismatchError(
            f"the checkpoint's recipe has fields that this edgeseg does not know: {', '.join(unknown)}",
            hint="pip install --upgrade edgeseg",
        )
    return TrainConfig(**fields)


def check_same(config: TrainConfig, old: TrainConfig, path: Path) -> None:
    """MismatchError, with all differences, where a checkpoint is that of another training than `config`.

    A data set may have moved: it is compared without its path.
    """
    ours, theirs = (dataclasses.asdict(without_places(each)) for each in (config, old))
    free = FREE if config.keep == "last" else ()
    differing = [key for key in ours if key not in free and ours[key] != theirs[key]]
    if differing:
        then, now = (", ".join(as_typed(key, getattr(each, key)) for key in differing) for each in (old, config))
        raise MismatchError(
            f"{path.parent} was begun with {then}; now {now}",
            hint="repeat the first command to resume, name another folder with -o, or start again with --restart",
            code="ES-MISMATCH-RUN",
        )


def as_typed(key: str, value: Any) -> str:
    """A field of the recipe as an option of the command line."""
    option, *values = words_of(key, value)
    return f"no {option}" if values == [""] else " ".join([option, *values])


def words_of(key: str, value: Any) -> list[str]:
    """A field of the recipe as words of the command line."""
    if key == "data":
        shared = any(share != 1 for _, share in value)
        return [word for uri, share in value for word in ("--data", uri, *shared * ("--share", f"{share:g}"))]
    option = NOT_OPTIONS.get(key, f"--{key.replace('_', '-')}")
    if key == "loss":
        return [word for term in value for word in ("--loss", term)]
    if key in ("size", "crop"):
        return [option, f"{value[1]}x{value[0]}"]
    return [option, *map(str, value if isinstance(value, tuple) else (value,))]


def without_places(config: TrainConfig) -> TrainConfig:
    """`config` with data sets as kind and query, without paths."""
    data = tuple((without_place(uri), share) for uri, share in config.data)
    return dataclasses.replace(config, data=data, val=without_place(config.val) if config.val else "")


def without_place(uri: str) -> str:
    """`kind:PATH?query` without the path."""
    kind, _, rest = uri.partition(":")
    return f"{kind}:?{rest.partition('?')[2]}"


def versions() -> dict[str, str]:
    """The versions of the libraries."""
    return {"edgeseg": edgeseg.__version__, "torch": str(torch.__version__)}
