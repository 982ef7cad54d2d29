"""What the formats of mmsegmentation's nets with a context on a dilated ResNet share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state, trunk_from_state
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.family import Family


def adopt_dilated(
    state: State,
    *,
    family: Family,
    rules: Sequence[Rule],
    channels: str,
    drop: Sequence[str] = (),
    vectors: Sequence[str] = (),
    **others: Any,
) -> Adopted:
    """The network of a family whose arguments are depth, width, channels, `others` and, for some, the trunk.

    rules, drop: see mmseg_state. channels: key with as many rows. vectors: keys whose tensors have one dimension here.
    The keys are the family's own.
    """
    own = mmseg_state(state, rules, drop=drop)
    own |= {key: value.flatten() for key, value in own.items() if key in vectors}
    classes = rows(state, "decode_head.conv_seg.weight")
    if "trunk" in next(iter(family.variants.values())):
        others["trunk"] = trunk_from_state(own)
    return resnet_adopted(
        own, family.variants, classes=classes, input=mmseg_input(classes), channels=rows(own, channels), **others
    )
