"""mmsegmentation's DeepLab v3 on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.deeplabv3 import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.image_pool\.1\.", "head.pyramid.mean."),
    (r"decode_head\.aspp_modules\.", "head.pyramid.branches."),
    (r"decode_head\.bottleneck\.", "head.classify.0."),
    (r"decode_head\.conv_seg\.", "head.classify.2."),
]


FORMAT = CheckpointFormat(
    name="mmsegmentation DeepLab v3",
    family="deeplabv3",
    signature=(
        "backbone.layer1.0.conv1.weight",
        "backbone.layer4.0.conv1.weight",
        "decode_head.image_pool.1.conv.weight",
        "decode_head.aspp_modules.1.conv.weight",
        "decode_head.bottleneck.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(adopt_dilated, family=FAMILY, rules=RULES, channels="head.classify.0.0.weight", port="mmseg"),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/aspp_head.py, configs/_base_/models/deeplabv3_r50-d8.py",
)
