"""The projections of attention that codes keep in one layer, taken apart."""

from __future__ import annotations

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import State

PARTS = ("query", "key", "value")


def with_projections(state: State, joined: str) -> dict[str, Tensor]:
    """`state`; tensors (3C, ...) with `joined` in their name as three, with "query.", "key." and "value." there."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if joined in key:
            result.update({key.replace(joined, f"{part}."): own for part, own in zip(PARTS, value.chunk(3))})
        else:
            result[key] = value
    return result
