"""mmsegmentation's DANet."""

from __future__ import annotations

from functools import partial

from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated
from edgeseg.models.danet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.pam_in_conv\.", "head.positions.0."),
    (r"decode_head\.pam\.query_project\.", "head.positions.1.query."),
    (r"decode_head\.pam\.key_project\.", "head.positions.1.key."),
    (r"decode_head\.pam\.value_project\.", "head.positions.1.value."),
    (r"decode_head\.pam\.gamma\.scale", "head.positions.1.gamma"),
    (r"decode_head\.pam_out_conv\.", "head.positions.2."),
    (r"decode_head\.cam_in_conv\.", "head.channels.0."),
    (r"decode_head\.cam\.gamma\.scale", "head.channels.1.gamma"),
    (r"decode_head\.cam_out_conv\.", "head.channels.2."),
    (r"decode_head\.conv_seg\.", "head.classify.1."),
]
GAMMAS = ("head.positions.1.gamma", "head.channels.1.gamma")  # scalars there
DROP = [r"decode_head\.(pam|cam)_conv_seg\."]

FORMAT = CheckpointFormat(
    name="mmsegmentation DANet",
    family="danet",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.pam.gamma.scale",
        "decode_head.cam.gamma.scale",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(
        adopt_dilated, family=FAMILY, rules=RULES, channels="head.positions.0.0.weight", drop=DROP, vectors=GAMMAS
    ),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/da_head.py, configs/_base_/models/danet_r50-d8.py",
    licence="Apache-2.0",
)
