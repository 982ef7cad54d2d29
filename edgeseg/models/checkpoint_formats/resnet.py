"""What the formats of nets on a ResNet share: depth and variant, read off the family's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgeseg.errors import MismatchError
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, State, rows
from edgeseg.models.resnet import DEPTHS, has_bottlenecks
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec


def depth_from_state(state: State, *, stages: int = 4) -> int:
    """The depth of the ResNet with as many blocks in each stage. MismatchError where none has."""
    bottlenecks = "backbone.layer1.0.conv3.weight" in state
    numbers = range(1, stages + 1)
    blocks = tuple(sum(f"backbone.layer{stage}.{n}.conv1.weight" in state for n in range(99)) for stage in numbers)
    for depth, repeats in DEPTHS.items():
        if repeats[:stages] == blocks and has_bottlenecks(depth) == bottlenecks:
            return depth
    raise MismatchError(
        f"no ResNet that edgeseg builds has stages of {blocks} blocks",
        hint="export it to ONNX with its own code, then: edgeseg adopt model.onnx",
    )


def resnet_adopted(
    state: State,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    classes: int,
    input: InputSpec,
    align_corners: bool = False,
    details: str = "",
    depth: int = 0,
    **arguments: Any,
) -> Adopted:
    """The checkpoint whose state has the family's own names.

    variants: of the family; the text is that of the variant of the same depth, or else of the first, with what differs.
    depth: 0 for that of the state. arguments: those of the family beside depth and width.
    """
    depth = depth or depth_from_state(state)
    arguments = {"depth": depth, "width": rows(state, "backbone.layer1.0.conv1.weight"), **arguments}
    name = next((name for name, known in variants.items() if known["depth"] == depth), next(iter(variants)))
    text = text_from_arguments(name, arguments, variants)
    return Adopted(text, classes, dict(state), input, align_corners, details)


def mean_first(state: State, key: str) -> dict[str, Tensor]:
    """`state` with the input of the convolution `key` in another order: the last of five equal parts becomes the first.

    So our networks join the parts of an atrous pyramid.
    """
    rows(state, key)
    return {**state, key: torch.roll(state[key], state[key].shape[1] // 5, 1)}
