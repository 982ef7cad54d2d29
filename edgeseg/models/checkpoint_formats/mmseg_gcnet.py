"""mmsegmentation's GCNet."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg import CONTEXT_HEAD
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.gcnet import FAMILY

RULES: list[Rule] = [
    (r"decode_head\.gc_block\.conv_mask\.", "head.context.mask."),
    (r"decode_head\.gc_block\.channel_add_conv\.0\.", "head.context.narrow."),
    (r"decode_head\.gc_block\.channel_add_conv\.1\.", "head.context.norm."),
    (r"decode_head\.gc_block\.channel_add_conv\.3\.", "head.context.widen."),
    *CONTEXT_HEAD,
]
# Of shape (C, 1, 1) there.
NORM = ("head.context.norm.weight", "head.context.norm.bias")

FORMAT = CheckpointFormat(
    name="mmsegmentation GCNet",
    family="gcnet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.gc_block.conv_mask.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(adopt_dilated, family=FAMILY, rules=RULES, channels="head.first.0.weight", vectors=NORM),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/gc_head.py, configs/_base_/models/gcnet_r50-d8.py",
    licence="Apache-2.0",
)
