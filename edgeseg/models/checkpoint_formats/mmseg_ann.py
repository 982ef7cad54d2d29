"""mmsegmentation's ANN."""

from __future__ import annotations

from functools import partial

from edgeseg.models.ann import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import CheckpointFormat, Rule
from edgeseg.models.checkpoint_formats.mmseg_dilated import adopt_dilated

RULES: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.context\.stages\.0\.query_project\.", "head.context.key."),
    (r"decode_head\.(fusion|context)\.stages\.0\.(query|key|value|out)_project\.", r"head.\1.\2."),
    (r"decode_head\.(fusion|context)\.bottleneck\.", r"head.\1.fuse."),
    (r"decode_head\.bottleneck\.", "head.narrow.1."),
    (r"decode_head\.conv_seg\.", "head.classify.1."),
]
SHARED = r"decode_head\.context\.stages\.0\.key_project\."  # the same module as query_project

FORMAT = CheckpointFormat(
    name="mmsegmentation ANN",
    family="ann",
    signature=(
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "decode_head.fusion.stages.0.key_project.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=partial(adopt_dilated, family=FAMILY, rules=RULES, channels="head.narrow.1.0.weight", drop=[SHARED]),
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/ann_head.py, configs/_base_/models/ann_r50-d8.py",
    licence="Apache-2.0",
)
