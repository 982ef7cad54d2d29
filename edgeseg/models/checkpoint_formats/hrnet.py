"""What the formats of the nets on HRNet share: the trunk, whose layers all codes name alike, and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, rows
from edgeseg.models.family import Family
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec

AUTHORS: Rule = (r"((?:conv|bn)[12]|layer1|transition\d|stage\d)\.", r"backbone.\1.")
TRUNK: Rule = (r"backbone\.", "backbone.")


def authors_input(classes: int) -> InputSpec:
    """2048x1024 for Cityscapes, else 480x480, as for Pascal Context and LIP; ImageNet's statistics."""
    return InputSpec(2048, 1024) if classes == 19 else InputSpec(480, 480)


def hrnet_adopted(
    own: dict[str, Tensor],
    family: Family,
    input: Callable[[int], InputSpec],
    *,
    classifier: str,
    align_corners: bool = False,
    **others: Any,
) -> Adopted:
    """The network of a family on HRNet. own: with its names. classifier: the last convolution.

    input: for so many classes. others: the family's arguments beside those of the trunk.
    """
    classes = rows(own, f"{classifier}.weight")
    arguments = {**trunk_arguments(own), **others}
    variant = text_from_arguments(variant_name(arguments), arguments, family.variants)
    return Adopted(variant, classes, own, input(classes), align_corners)


def trunk_arguments(state: State) -> dict[str, Any]:
    """Width, blocks and modules, read off the shapes."""
    return {
        "width": rows(state, "backbone.stage2.0.branches.0.0.conv1.weight"),
        "blocks": sum(f"backbone.layer1.{n}.conv1.weight" in state for n in range(9)),
        "modules": tuple(
            sum(f"backbone.stage{stage}.{n}.branches.0.0.conv1.weight" in state for n in range(9))
            for stage in (2, 3, 4)
        ),
    }


def variant_name(arguments: dict[str, Any]) -> str:
    """The nearest variant, by a name that all families on HRNet have."""
    if arguments["width"] == 48:
        return "w48"
    return "w18-small" if arguments["blocks"] == 2 else "w18"


def without_bias(state: dict[str, Tensor], *parts: str) -> dict[str, Tensor]:
    """`state` whose sequences `parts` start with a convolution without bias: the batch norm's mean takes it over."""
    for part in parts:
        bias, mean = f"{part}.0.bias", f"{part}.1.running_mean"
        if bias in state and mean in state:
            state[mean] = state[mean] - state.pop(bias)
    return state
