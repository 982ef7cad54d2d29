"""mmsegmentation's UPerNet on a Swin Transformer."""

from __future__ import annotations

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.projections import with_projections
from edgeseg.models.checkpoint_formats.upernet import HEAD, variant_from_state

STAGE = r"backbone\.stages\.(\d)\."
BLOCK, OURS = STAGE + r"blocks\.(\d+)\.", r"backbone.stages.\1.\2."
RULES: list[Rule] = [
    (r"backbone\.patch_embed\.projection\.", "backbone.embed."),
    (r"backbone\.patch_embed\.norm\.", "backbone.embed_norm."),
    (BLOCK + r"(norm[12])\.", OURS + r"\3."),
    (BLOCK + r"attn\.w_msa\.relative_position_bias_table", OURS + "bias"),
    (BLOCK + r"attn\.w_msa\.(query|key|value)\.", OURS + r"attention.\3."),
    (BLOCK + r"attn\.w_msa\.proj\.", OURS + "attention.project."),
    (BLOCK + r"ffn\.layers\.0\.0\.", OURS + "feed.0."),
    (BLOCK + r"ffn\.layers\.1\.", OURS + "feed.2."),
    (STAGE + r"downsample\.norm\.", r"backbone.merges.\1.norm."),
    (STAGE + r"downsample\.reduction\.", r"backbone.merges.\1.reduce."),
    (r"backbone\.norm(\d)\.", r"backbone.norms.\1."),
    *HEAD,
]


def adopt(state: State) -> Adopted:
    """Names, projections taken apart, and the channels that a merge reads in our order."""
    own = mmseg_state(with_projections(state, "qkv."), RULES, drop=[r".+relative_position_index$"])
    own = {key: by_place(value) if ".merges." in key else value for key, value in own.items()}
    classes = rows(own, "head.classify.weight")
    return Adopted(
        variant=variant_from_state(own),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


def by_place(weight: Tensor) -> Tensor:
    """(..., 4C), in the order channel, row, column of the 2x2 positions, in the order column, row, channel."""
    return weight.reshape(*weight.shape[:-1], -1, 2, 2).transpose(-3, -1).flatten(-3)


FORMAT = CheckpointFormat(
    name="mmsegmentation UPerNet on Swin",
    family="upernet",
    signature=(
        "backbone.patch_embed.projection.weight",
        "backbone.stages.0.blocks.0.attn.w_msa.qkv.weight",
        "backbone.norm3.weight",
        "decode_head.fpn_bottleneck.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/swin,decode_heads/uper_head}.py, "
    "configs/_base_/{models/upernet_swin,datasets/ade20k}.py",
)
