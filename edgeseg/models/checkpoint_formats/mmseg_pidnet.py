"""mmsegmentation's PIDNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.dual_resolution import state_from_mmseg
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.xujiacong_pidnet import pidnet_adopted

RULES: list[Rule] = [
    (r"backbone\.i_branch_layers\.", "integral."),
    (r"backbone\.p_branch_layers\.", "proportional."),
    (r"backbone\.d_branch_layers\.(\d)\.(?:0\.)?", r"derivative.\1."),
    *((rf"backbone\.diff_{n + 1}\.", f"differ.{n}.") for n in range(2)),
    *((rf"backbone\.pag_{n + 1}\.f_p\.", f"attend.{n}.detail.") for n in range(2)),
    *((rf"backbone\.pag_{n + 1}\.f_i\.", f"attend.{n}.context.") for n in range(2)),
    (r"backbone\.dfm\.f_p\.", "fuse.convs.0."),
    (r"backbone\.dfm\.f_i\.", "fuse.convs.1."),
    (r"backbone\.dfm\.conv\.bn\.", "fuse.convs.0.0."),
    (r"backbone\.dfm\.conv\.conv\.", "fuse.convs.0.2."),
    (r"decode_head\.i_head\.conv\.bn\.", "head.0.0."),
    (r"decode_head\.i_head\.conv\.conv\.", "head.0.2."),
    (r"decode_head\.i_head\.norm\.", "head.1."),
]


def adopt(state: State) -> Adopted:
    """The network; the heads for training are left out."""
    return pidnet_adopted(state_from_mmseg(state, RULES, drop=[r"decode_head\.[pd]_"]), mmseg_input)


FORMAT = CheckpointFormat(
    name="mmsegmentation PIDNet",
    family="pidnet",
    signature=(
        "backbone.pag_1.f_i.conv.weight",
        "backbone.d_branch_layers.0.conv1.conv.weight",
        "decode_head.i_head.conv.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/pidnet,decode_heads/pid_head}.py",
)
