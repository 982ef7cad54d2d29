"""mmsegmentation's HRNet with the head of FCN."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.hrnet import TRUNK, hrnet_adopted
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.hrnet import FAMILY

RULES: list[Rule] = [TRUNK, (r"decode_head\.convs\.0\.", "head.0."), (r"decode_head\.conv_seg\.", "head.1.")]


def adopt(state: State) -> Adopted:
    """The decode head's network."""
    return hrnet_adopted(mmseg_state(state, RULES), FAMILY, mmseg_input, classifier="head.1", upsample="bilinear")


FORMAT = CheckpointFormat(
    name="mmsegmentation HRNet",
    family="hrnet",
    signature=(
        "backbone.layer1.0.conv1.weight",
        "backbone.stage4.0.fuse_layers.3.2.0.0.weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/hrnet.py, configs/_base_/models/fcn_hr18.py",
)
