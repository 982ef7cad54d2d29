"""The state of a training in one file, from which a killed one goes on."""

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

NAME = "checkpoint.pt"
FREE = ("val",)  # may differ between the parts of one training that keeps its last weights: it changes none of them
REQUIRED = {"network", "average", "optimizer", "step", "config"}
SETTLED = {field.name for field in dataclasses.fields(TrainConfig) if field.default is dataclasses.MISSING}


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain data, whole or not at all."""
    with whole_file(path) as partial:
        torch.save(dict(state), partial)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state in `path`, tensors on the CPU; None where there is no file. No code in it is run."""
    if not path.exists():
        return None
    hint = f"begin anew with --restart, or remove {path}"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # a broken file makes the unpickler raise what it likes
        raise FormatError(f"not a checkpoint of a training: {path}", hint=hint) from problem
    whole = isinstance(state, dict) and state.keys() >= REQUIRED and isinstance(state["config"], dict)
    if not whole or not state["config"].keys() >= SETTLED:
        raise FormatError(f"not a checkpoint of a training: {path}", hint=hint)
    return state


def config_in(state: Mapping[str, Any]) -> TrainConfig:
    """The recipe in a checkpoint; fields that an older edgeseg did not know have their defaults."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    strange = sorted(state["config"].keys() - known)
    if strange:
        raise MismatchError(
            f"the checkpoint's recipe has {', '.join(strange)}, which this edgeseg does not know",
            hint="pip install --upgrade edgeseg",
        )
    return TrainConfig(**state["config"])


def check_same(config: TrainConfig, old: TrainConfig, path: Path) -> None:
    """MismatchError, with all that differs, where a checkpoint is of another training than `config`.

    A data set may have moved: it is compared without its path.
    """
    ours, theirs = (dataclasses.asdict(without_places(each)) for each in (config, old))
    free = FREE if config.keep == "last" else ()
    differing = [key for key in ours if key not in free and ours[key] != theirs[key]]
    if differing:
        told = "; ".join(f"{key} {shown(theirs[key])}, now {shown(ours[key])}" for key in differing)
        raise MismatchError(
            f"{path.parent} holds another training: {told}",
            hint="type the same command to go on, name another folder with -o, or begin anew with --restart",
        )


def without_places(config: TrainConfig) -> TrainConfig:
    """`config` with data sets by kind and query alone."""
    data = tuple((without_place(uri), share) for uri, share in config.data)
    return dataclasses.replace(config, data=data, val=without_place(config.val) if config.val else "")


def without_place(uri: str) -> str:
    """`kind:PATH?query` without the path."""
    kind, _, rest = uri.partition(":")
    return f"{kind}:?{rest.partition('?')[2]}"


def shown(value: object) -> str:
    """A field's value on one line."""
    return str(value) or "nothing"


def versions() -> dict[str, str]:
    """What computes."""
    return {"edgeseg": edgeseg.__version__, "torch": str(torch.__version__)}
