"""mmsegmentation's UPerNet on a ResNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.resnet import depth_from_state
from edgeseg.models.checkpoint_formats.upernet import HEAD
from edgeseg.models.upernet import FAMILY, resnet_arguments
from edgeseg.models.variant import text_from_arguments

RULES: list[Rule] = [(r"backbone\.", "backbone."), *HEAD]


def adopt(state: State) -> Adopted:
    """Names, and the depth and widths."""
    own = mmseg_state(state, RULES)
    classes, backbone = rows(own, "head.classify.weight"), f"resnet{depth_from_state(own)}"
    widths = (rows(own, key) for key in ("backbone.layer1.0.conv1.weight", "head.fuse.0.weight"))
    variant = backbone if backbone in FAMILY.variants else "resnet50"
    return Adopted(
        variant=text_from_arguments(variant, resnet_arguments(backbone, *widths), FAMILY.variants),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation UPerNet on ResNet",
    family="upernet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer4.0.conv1.weight",
        "decode_head.fpn_bottleneck.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/uper_head.py, configs/_base_/models/upernet_r50.py",
    licence="Apache-2.0",
)
