"""mmsegmentation's FCN on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import CONTEXT_HEAD, mmseg_state, trunk_from_state
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.fcn import FAMILY


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary head is left out."""
    own = mmseg_state(state, CONTEXT_HEAD)
    classes = rows(own, "head.classify.weight")
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=classes,
        input=mmseg_input(classes),
        channels=rows(own, "head.join.0.weight"),
        trunk=trunk_from_state(own),
        port="mmseg",
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation FCN",
    family="fcn",
    signature=(
        "backbone.layer1.0.conv1.weight",
        "backbone.layer4.0.conv1.weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.convs.1.conv.weight",
        "decode_head.conv_cat.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    # heads with the same convolutions around a context of their own
    excluded=tuple(f"decode_head.{block}." for block in ("nl_block", "dnl_block", "gc_block", "cca")),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/fcn_head.py, configs/_base_/models/fcn_r50-d8.py",
)
