"""mmsegmentation's PSANet."""

from __future__ import annotations

import math

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.psanet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.reduce\.", "head.collect.reduce."),
    (r"decode_head\.attention\.", "head.collect.predict."),
    (r"decode_head\.reduce_p\.", "head.distribute.reduce."),
    (r"decode_head\.attention_p\.", "head.distribute.predict."),
    (r"decode_head\.proj\.", "head.widen."),
    (r"decode_head\.bottleneck\.", "head.classify.0."),
    (r"decode_head\.conv_seg\.", "head.classify.2."),
]


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary head is left out."""
    mask = math.isqrt(rows(state, "decode_head.attention.1.weight"))
    channels = "head.collect.reduce.0.weight"
    return adopt_dilated(state, family=FAMILY, rules=RULES, channels=channels, mask=mask, port="mmseg")


FORMAT = CheckpointFormat(
    name="mmsegmentation PSANet",
    family="psanet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.attention.1.weight",
        "decode_head.attention_p.1.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/psa_head.py, configs/_base_/models/psanet_r50-d8.py",
    licence="Apache-2.0",
)
