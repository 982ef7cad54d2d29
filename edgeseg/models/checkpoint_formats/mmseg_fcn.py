"""mmsegmentation's FCN on a ResNet, with its own deep stem or torchvision's."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat
from edgeseg.models.checkpoint_formats.mmseg import CONTEXT_HEAD
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.fcn import FAMILY

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
    adopt=partial(adopt_dilated, family=FAMILY, rules=CONTEXT_HEAD, channels="head.join.0.weight", port="mmseg"),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/fcn_head.py, configs/_base_/models/fcn_r50-d8.py",
)
