"""mmsegmentation's Segmenter with the mask transformer."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.segmenter import segmenter_adopted
from edgeseg.models.checkpoint_formats.vit import mmseg_block, mmseg_vit_state

HEAD: list[Rule] = [
    *mmseg_block("decode_head", "head"),
    (r"backbone\.ln1\.", "norm."),
    (r"decode_head\.cls_emb", "head.tokens"),
    (r"decode_head\.dec_proj\.", "head.enter."),
    (r"decode_head\.patch_proj\.", "head.project_patches."),
    (r"decode_head\.classes_proj\.", "head.project_classes."),
    (r"decode_head\.decoder_norm\.", "head.norm."),
    (r"decode_head\.mask_norm\.", "head.mask_norm."),
]


def adopt(state: State) -> Adopted:
    """Names, projections taken apart, and a bias of zeros where the patches have none."""
    return segmenter_adopted(mmseg_vit_state(state, HEAD), resize="bicubic", eps=1e-6)


FORMAT = CheckpointFormat(
    name="mmsegmentation Segmenter",
    family="segmenter",
    signature=(
        "backbone.layers.0.attn.attn.in_proj_weight",
        "backbone.pos_embed",
        "decode_head.cls_emb",
        "decode_head.mask_norm.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/{backbones/vit,decode_heads/segmenter_mask_head}.py, "
    "configs/{_base_/models/segmenter_vit-b16_mask,segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512}.py",
)
