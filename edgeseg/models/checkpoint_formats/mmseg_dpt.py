"""mmsegmentation's DPT, with the readout that projects each patch with the token of the class."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.dpt import READOUT, variant_from_state, with_readouts
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.vit import mmseg_vit_state

REASSEMBLE, FUSION = r"decode_head\.reassemble_blocks\.", r"decode_head\.fusion_blocks\.(\d)\."
HEAD: list[Rule] = [
    (REASSEMBLE + r"readout_projects\.(\d)\.0\.", rf"maps.\1.{READOUT}"),
    (REASSEMBLE + r"projects\.(\d)\.0\.", r"maps.\1.project."),
    (REASSEMBLE + r"resize_layers\.(\d)\.", r"maps.\1.resize."),
    (r"decode_head\.convs\.(\d)\.0\.", r"maps.\1.narrow."),
    *((rf"decode_head\.fusion_blocks\.{n + 1}\.res_conv_unit1\.conv1\.", f"skips.{n}.first.") for n in range(3)),
    *((rf"decode_head\.fusion_blocks\.{n + 1}\.res_conv_unit1\.conv2\.", f"skips.{n}.second.") for n in range(3)),
    (FUSION + r"res_conv_unit2\.conv1\.", r"fuse.\1.0.first."),
    (FUSION + r"res_conv_unit2\.conv2\.", r"fuse.\1.0.second."),
    (FUSION + r"project\.0\.", r"fuse.\1.2."),
    (r"decode_head\.project\.", "classify.0."),
    (r"decode_head\.conv_seg\.", "classify.2."),
]


def adopt(state: State) -> Adopted:
    """Names, projections and readouts taken apart, and a bias of zeros where the patches have none."""
    own = with_readouts(mmseg_vit_state(state, HEAD))
    classes = rows(own, "classify.2.weight")
    return Adopted(
        variant=variant_from_state(own, resize="bicubic", eps=1e-5),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation DPT",
    family="dpt",
    signature=(
        "backbone.layers.0.attn.attn.in_proj_weight",
        "backbone.pos_embed",
        "decode_head.reassemble_blocks.readout_projects.0.0.weight",
        "decode_head.fusion_blocks.1.res_conv_unit1.conv1.bn.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/vit,decode_heads/dpt_head}.py, "
    "configs/_base_/{models/dpt_vit-b16,datasets/ade20k}.py",
)
