"""mmsegmentation's DDRNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.dual_resolution import dual_resolution_adopted, state_from_mmseg
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.ddrnet import FAMILY

RULES: list[Rule] = [
    (r"backbone\.context_branch_layers\.", "context."),
    (r"backbone\.spatial_branch_layers\.", "detail."),
    *((rf"backbone\.down_{n + 1}\.", f"down.{n}.") for n in range(2)),
    (r"decode_head\.head\.0\.bn\.", "head.0.0."),
    (r"decode_head\.head\.0\.conv\.", "head.0.2."),
    (r"decode_head\.head\.1\.", "head.1."),
]


def adopt(state: State) -> Adopted:
    """The network; the auxiliary head is left out."""
    own = state_from_mmseg(state, RULES, drop=[r"decode_head\.aux_"])
    return dual_resolution_adopted(own, FAMILY, mmseg_input, align_corners=False)


FORMAT = CheckpointFormat(
    name="mmsegmentation DDRNet",
    family="ddrnet",
    signature=(
        "backbone.context_branch_layers.0.0.conv1.conv.weight",
        "backbone.down_2.1.conv.weight",
        "decode_head.head.0.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/ddrnet,decode_heads/ddr_head}.py",
)
