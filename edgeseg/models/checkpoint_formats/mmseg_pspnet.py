"""mmsegmentation's PSPNet on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state, trunk_from_state
from edgeseg.models.checkpoint_formats.resnet import resnet_adopted
from edgeseg.models.pspnet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.psp_modules\.(\d)\.1\.", r"head.pools.\1."),
    (r"decode_head\.bottleneck\.", "head.classify.0."),
    (r"decode_head\.conv_seg\.", "head.classify.2."),
]


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary head is left out."""
    own = mmseg_state(state, RULES)
    classes = rows(own, "head.classify.2.weight")
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=classes,
        input=mmseg_input(classes),
        channels=rows(own, "head.classify.0.0.weight"),
        trunk=trunk_from_state(own),
        port="mmseg",
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation PSPNet",
    family="pspnet",
    signature=(
        "backbone.layer1.0.conv1.weight",
        "backbone.layer4.0.conv1.weight",
        "decode_head.psp_modules.0.1.conv.weight",
        "decode_head.bottleneck.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    excluded=("decode_head.fpn_bottleneck.",),  # UPerNet has the same pooling
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/psp_head.py, configs/_base_/models/pspnet_r50-d8.py",
)
