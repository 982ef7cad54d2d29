"""What the formats of mmsegmentation's nets on a ResNet share: the arguments that shapes tell, and the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.resnet import depth_from_state, width_from_state
from edgeseg.models.family import Family
from edgeseg.models.variant import text_from_arguments

CLASSES = "decode_head.conv_seg.weight"
# Around the block of a `context_head.ContextHead`.
CONTEXT_HEAD: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.convs\.0\.", "head.enter."),
    (r"decode_head\.convs\.1\.", "head.leave."),
    (r"decode_head\.conv_cat\.", "head.classify.0."),
    (r"decode_head\.conv_seg\.", "head.classify.2."),
]


def adopt_dilated(
    state: State,
    *,
    family: Family,
    rules: Sequence[Rule],
    head: str,
    drop: Sequence[str] = (),
    vectors: Sequence[str] = (),
    **others: Any,
) -> Adopted:
    """The network of a family whose arguments are depth, width, head and `others`.

    rules, drop: see mmseg_state. head: key whose rows are the argument `head`. vectors: keys whose tensors have one
    dimension here. The keys are the family's own.
    """
    own = mmseg_state(state, rules, drop=drop)
    own |= {key: value.flatten() for key, value in own.items() if key in vectors}
    depth, classes = depth_from_state(own), rows(state, CLASSES)
    arguments = {"depth": depth, "width": width_from_state(own), "head": rows(own, head), **others}
    name = f"resnet{depth}" if f"resnet{depth}" in family.variants else "resnet50"
    return Adopted(
        variant=text_from_arguments(name, arguments, family.variants),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )
