"""mmsegmentation's Non-local."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg import CONTEXT_HEAD
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.nonlocalnet import FAMILY

RULES: list[Rule] = [
    (r"decode_head\.nl_block\.theta\.0\.", "head.context.query."),
    (r"decode_head\.nl_block\.phi\.0\.", "head.context.key."),
    (r"decode_head\.nl_block\.g\.0\.", "head.context.value."),
    (r"decode_head\.nl_block\.conv_out\.", "head.context.out."),
    *CONTEXT_HEAD,
]

FORMAT = CheckpointFormat(
    name="mmsegmentation Non-local",
    family="nonlocalnet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.nl_block.theta.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(adopt_dilated, family=FAMILY, rules=RULES, channels="head.first.0.weight"),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/nl_head.py, configs/_base_/models/nonlocal_r50-d8.py",
    licence="Apache-2.0",
)
