"""Weights files: fp16 safetensors with the model's spec in the header."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.artifact import strict_json
from edgeseg.errors import FormatError
from edgeseg.files import existing_file, whole_file
from edgeseg.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

KEY = "edgeseg"  # a single field, because safetensors writes fields in any order


def write_weights(path: Path, state: Mapping[str, Tensor], spec: ModelSpec, config: Any) -> None:
    """Write floating point tensors as fp16, others (counters of batch norm) unchanged.

    config: the recipe of the training, a dataclass.
    """
    from safetensors.torch import save_file

    tensors = {
        key: (value.half() if value.dtype.is_floating_point else value).contiguous() for key, value in state.items()
    }
    header = {"spec": spec.to_dict(), "config": dataclasses.asdict(config)}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={KEY: json.dumps(header, sort_keys=True)})
        partial.chmod(0o644)  # safetensors makes files that only their owner can read


def header_from_weights(path: str | Path) -> dict[str, Any]:
    """The header: "spec" and "config", or empty. Reads no tensor and needs no torch."""
    from safetensors import SafetensorError, safe_open

    path = existing_file(path)
    try:
        with safe_open(path, framework="np") as file:
            fields = file.metadata() or {}
    except (SafetensorError, OSError) as problem:
        hint = "name a bundled model (edgeseg models) or an fp16/fp32 safetensors file"
        raise FormatError(f"{path} is not a weights file: {problem}", hint=hint) from problem
    try:
        header = strict_json(fields.get(KEY, "{}"))
    except ValueError as problem:
        raise FormatError(f"the header of {path} is not JSON", hint="export or train it again") from problem
    if not isinstance(header, dict):
        raise FormatError(f"the header of {path} is not a JSON object", hint="export or train it again")
    return header


def spec_from_weights(path: str | Path) -> ModelSpec:
    """The spec in the header. FormatError where there is none."""
    header = header_from_weights(path)
    if "spec" not in header:
        hint = f"only weights that edgeseg trained have one; for others: edgeseg export {path}"
        raise FormatError(f"{path} has no model spec", hint=hint)
    return ModelSpec.from_dict(header["spec"])


def state_from_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors, floats as float32."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(existing_file(path))
    except SafetensorError as problem:
        raise FormatError(f"{path} is not a weights file: {problem}", hint="name a safetensors file") from problem
    return {key: value.float() if value.dtype.is_floating_point else value for key, value in state.items()}
