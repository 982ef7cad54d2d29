"""mmsegmentation's DeepLab v3+ on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.deeplabv3plus import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.image_pool\.1\.", "head.pyramid.mean."),
    (r"decode_head\.aspp_modules\.", "head.pyramid.branches."),
    (r"decode_head\.bottleneck\.", "head.narrow."),
    (r"decode_head\.c1_bottleneck\.", "head.low."),
    (r"decode_head\.sep_bottleneck\.", "head.refine."),
    (r"decode_head\.conv_seg\.", "head.classify.1."),
]


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary head is left out."""
    low = rows(state, "decode_head.c1_bottleneck.conv.weight")
    return adopt_dilated(state, family=FAMILY, rules=RULES, channels="head.narrow.0.weight", low=low, port="mmseg")


FORMAT = CheckpointFormat(
    name="mmsegmentation DeepLab v3+",
    family="deeplabv3plus",
    signature=(
        "backbone.layer1.0.conv1.weight",
        "backbone.layer4.0.conv1.weight",
        "decode_head.aspp_modules.1.depthwise_conv.conv.weight",
        "decode_head.c1_bottleneck.conv.weight",
        "decode_head.bottleneck.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/sep_aspp_head.py",
)
