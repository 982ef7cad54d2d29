"""mmsegmentation SegFormer: MixVisionTransformer and a head of its own, with batch norm and ReLU at each level."""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State, renamed
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.projections import with_projections
from edgeseg.models.segformer import variant_from_state

EPSILON = 1e-6


def adopt(state: State) -> Adopted:
    """Names, the joined projection of attention taken apart, and the fused levels in our order, deepest first."""
    own = renamed(with_projections(state, "in_proj_"), RULES, drop=[r"auxiliary_head\."])
    levels = sum(key.startswith("decoder.levels.") and key.endswith(".0.weight") for key in own)
    own["decoder.fuse.0.weight"] = torch.cat(own["decoder.fuse.0.weight"].chunk(levels, 1)[::-1], 1)
    classes = len(own["decoder.classify.weight"])
    return Adopted(
        variant=variant_from_state(own, decoder="normed", norm_eps=EPSILON, embed_eps=EPSILON),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


STAGE = r"backbone\.layers\.(\d)\."
BLOCK, OURS = STAGE + r"1\.(\d+)\.", r"stages.\1.blocks.\2."
RULES = [
    (STAGE + r"0\.projection", r"stages.\1.embed"),
    (STAGE + r"0\.norm", r"stages.\1.embed_norm"),
    (STAGE + r"2\.", r"stages.\1.norm."),
    (BLOCK + r"(norm[12])", OURS + r"\3"),
    (BLOCK + r"attn\.attn\.(query|key|value)", OURS + r"attention.\3"),
    (BLOCK + r"attn\.attn\.out_proj", OURS + "attention.project"),
    (BLOCK + r"attn\.sr", OURS + "attention.reduce"),
    (BLOCK + r"attn\.norm", OURS + "attention.norm"),
    (BLOCK + r"ffn\.layers\.0", OURS + "feed.0"),
    (BLOCK + r"ffn\.layers\.1", OURS + "feed.1"),
    (BLOCK + r"ffn\.layers\.4", OURS + "feed.3"),
    (r"decode_head\.convs\.(\d)\.conv", r"decoder.levels.\1.0"),
    (r"decode_head\.convs\.(\d)\.bn", r"decoder.levels.\1.1"),
    (r"decode_head\.fusion_conv\.conv", "decoder.fuse.0"),
    (r"decode_head\.fusion_conv\.bn", "decoder.fuse.1"),
    (r"decode_head\.conv_seg", "decoder.classify"),
]

FORMAT = CheckpointFormat(
    name="mmsegmentation SegFormer",
    family="segformer",
    signature=(
        "backbone.layers.0.0.projection.weight",
        "backbone.layers.0.1.0.attn.attn.in_proj_weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.fusion_conv.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/mit,decode_heads/segformer_head}.py, "
    "configs/_base_/{models/segformer_mit-b0,datasets/cityscapes,datasets/ade20k}.py",
)
