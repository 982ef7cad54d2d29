"""mmsegmentation's PSPNet on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.pspnet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.psp_modules\.(\d)\.1\.", r"head.pools.\1."),
    (r"decode_head\.bottleneck\.", "head.classify.0."),
    (r"decode_head\.conv_seg\.", "head.classify.2."),
]


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
    adopt=partial(adopt_dilated, family=FAMILY, rules=RULES, channels="head.classify.0.0.weight", port="mmseg"),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/psp_head.py, configs/_base_/models/pspnet_r50-d8.py",
)
