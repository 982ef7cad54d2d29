"""mmsegmentation's OCRNet on HRNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.hrnet import TRUNK, hrnet_adopted
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.ocrnet import FAMILY

BLOCK = r"decode_head\.1\.object_context_block\."
RULES: list[Rule] = [
    TRUNK,
    (r"decode_head\.0\.convs\.0\.", "coarse.0."),
    (r"decode_head\.0\.conv_seg\.", "coarse.1."),
    (r"decode_head\.1\.bottleneck\.", "pixels."),
    (r"decode_head\.1\.conv_seg\.", "classify."),
    (BLOCK + r"(query|key|value|out)_project\.", r"attention.\1."),
    (BLOCK + r"bottleneck\.", "join."),
]


def adopt(state: State) -> Adopted:
    """Both decode heads' network: the second one reads what the first gives."""
    own = mmseg_state(state, RULES)
    return hrnet_adopted(
        own,
        FAMILY,
        mmseg_input,
        classifier="classify",
        channels=rows(own, "pixels.0.weight"),
        keys=rows(own, "attention.value.0.weight"),
        upsample="bilinear",
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation OCRNet",
    family="ocrnet",
    signature=(
        "backbone.stage4.0.fuse_layers.3.2.0.0.weight",
        "decode_head.0.convs.0.conv.weight",
        "decode_head.1.object_context_block.key_project.0.conv.weight",
        "decode_head.1.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/decode_heads/ocr_head.py, configs/_base_/models/ocrnet_hr18.py",
)
