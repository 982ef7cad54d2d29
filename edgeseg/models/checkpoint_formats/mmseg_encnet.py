"""mmsegmentation's EncNet."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.encnet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.bottleneck\.", "head.enter."),
    (r"decode_head\.enc_module\.encoding_project\.", "head.project."),
    (r"decode_head\.enc_module\.encoding\.0\.", "head.encoding."),
    (r"decode_head\.enc_module\.encoding\.1\.", "head.norm."),
    (r"decode_head\.enc_module\.fc\.0\.", "head.scale."),
    (r"decode_head\.conv_seg\.", "head.classify.1."),
]

FORMAT = CheckpointFormat(
    name="mmsegmentation EncNet",
    family="encnet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.enc_module.encoding.0.codewords",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(
        adopt_dilated, family=FAMILY, rules=RULES, channels="head.enter.0.weight", drop=[r"decode_head\.se_layer\."]
    ),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/enc_head.py, configs/_base_/models/encnet_r50-d8.py",
    licence="Apache-2.0",
)
