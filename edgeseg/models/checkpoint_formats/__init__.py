"""Whose checkpoint is it? One origin a file, each ends in `ORIGIN = Origin(...)`. This table lists them.

An origin knows a training code's names for a family's weights, its dialects and its preprocessing. Random weights
copied across tell dialects apart that have the same keys and shapes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edgeseg.errors import FormatError

if TYPE_CHECKING:
    from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat

ORIGINS: dict[str, str] = {
    "torchseg-bisenetv1": "edgeseg.models.checkpoint_formats.torchseg_bisenetv1",
    "mmseg-bisenetv1": "edgeseg.models.checkpoint_formats.mmseg_bisenetv1",
    "coincheung-bisenetv1": "edgeseg.models.checkpoint_formats.coincheung_bisenetv1",
    "coincheung-bisenetv2": "edgeseg.models.checkpoint_formats.coincheung_bisenetv2",
    "mmseg-bisenetv2": "edgeseg.models.checkpoint_formats.mmseg_bisenetv2",
    "huggingface-segformer": "edgeseg.models.checkpoint_formats.huggingface_segformer",
    "mmseg-icnet": "edgeseg.models.checkpoint_formats.mmseg_icnet",
    "mmseg-segformer": "edgeseg.models.checkpoint_formats.mmseg_segformer",
    "nvlabs-segformer": "edgeseg.models.checkpoint_formats.nvlabs_segformer",
}


def open_origin(name: str) -> CheckpointFormat:
    """The origin `name` of the table."""
    origin: CheckpointFormat = importlib.import_module(ORIGINS[name]).ORIGIN
    return origin


def recognised(keys: Iterable[str], *, path: str) -> CheckpointFormat:
    """The origin whose marks all stand among `keys`.

    FormatError, with some of the keys and the origins that come nearest, where there is none.
    """
    keys = list(keys)
    origins = [open_origin(name) for name in ORIGINS]
    for origin in origins:
        if origin.match_score(keys) == 1.0:
            return origin
    nearest = sorted(
        (origin for origin in origins if origin.match_score(keys)), key=lambda one: -one.match_score(keys)
    )[:3]
    near = ", ".join(f"{origin.name} ({origin.match_score(keys):.0%} of its marks)" for origin in nearest)
    near = f"nearest: {near}" if near else f"known: {', '.join(origin.name for origin in origins)}"
    some = ", ".join([*keys[:4], *keys[-2:]] if len(keys) > 6 else keys)
    raise FormatError(
        f"nobody's checkpoint that edgeseg knows: {path} has {len(keys)} tensors such as {some}",
        hint=f"{near}; or export it to ONNX with its own code, then: edgeseg adopt model.onnx",
    )
