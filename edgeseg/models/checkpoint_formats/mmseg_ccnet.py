"""mmsegmentation's CCNet."""

from __future__ import annotations

from functools import partial

from edgeseg.models.ccnet import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg import CONTEXT_HEAD
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated

GAMMA = "head.context.gamma"  # a scalar there
RULES: list[Rule] = [
    (r"decode_head\.cca\.gamma\.scale", GAMMA),
    (r"decode_head\.cca\.(query|key|value)_conv\.", r"head.context.\1."),
    *CONTEXT_HEAD,
]

FORMAT = CheckpointFormat(
    name="mmsegmentation CCNet",
    family="ccnet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.cca.query_conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(
        adopt_dilated, family=FAMILY, rules=RULES, channels="head.first.0.weight", vectors=[GAMMA], port="mmseg"
    ),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/cc_head.py, configs/_base_/models/ccnet_r50-d8.py",
    licence="Apache-2.0",
)
