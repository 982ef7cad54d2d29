"""rstrudel/segmenter, the authors' own code, with the mask transformer, on ViT or on a distilled DeiT.

A `checkpoint.pth` lies beside a `variant.yml`, whose normalisation the second token of DeiT tells as well.
"""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed
from edgeseg.models.checkpoint_formats.projections import with_projections
from edgeseg.models.checkpoint_formats.segmenter import segmenter_adopted


def blocks(theirs: str, ours: str) -> list[Rule]:
    """The names of the blocks `theirs`, which are `ours`; projections are taken apart already."""
    block, own = theirs + r"\.blocks\.(\d+)\.", ours + r".blocks.\1."
    return [
        (block + r"(norm[12])\.", own + r"\2."),
        (block + r"attn\.(query|key|value)\.", own + r"attention.\2."),
        (block + r"attn\.proj\.", own + "attention.project."),
        (block + r"mlp\.fc1\.", own + "feed.0."),
        (block + r"mlp\.fc2\.", own + "feed.2."),
    ]


RULES: list[Rule] = [
    *blocks("encoder", "backbone"),
    *blocks("decoder", "head"),
    (r"encoder\.patch_embed\.proj\.", "backbone.embed."),
    (r"encoder\.cls_token", "backbone.tokens"),
    (r"encoder\.pos_embed", "backbone.positions"),
    (r"encoder\.norm\.", "norm."),
    (r"decoder\.cls_emb", "head.tokens"),
    (r"decoder\.proj_dec\.", "head.enter."),
    (r"decoder\.proj_patch", "head.project_patches.weight"),
    (r"decoder\.proj_classes", "head.project_classes.weight"),
    (r"decoder\.decoder_norm\.", "head.norm."),
    (r"decoder\.mask_norm\.", "head.mask_norm."),
]
PROJECTIONS = ("head.project_patches.weight", "head.project_classes.weight")  # written as x @ W
DROP = [r"encoder\.head", r"encoder\.dist_token"]  # the classifiers of ImageNet; `adopt` joins the second token


def adopt(state: State) -> Adopted:
    """Names, projections taken apart or transposed, and the two tokens of DeiT as one tensor."""
    own = renamed(with_projections(state, "qkv."), RULES, drop=DROP)
    own |= {key: own[key].T.contiguous() for key in PROJECTIONS if key in own}
    details = ""
    if "encoder.dist_token" in state and "backbone.tokens" in own:
        own["backbone.tokens"] = torch.cat([own["backbone.tokens"], state["encoder.dist_token"]], 1)
        details = "normalised as DeiT"
    return segmenter_adopted(own, resize="bilinear", eps=1e-5, details=details)


FORMAT = CheckpointFormat(
    name="rstrudel/segmenter",
    family="segmenter",
    signature=(
        "encoder.patch_embed.proj.weight",
        "encoder.blocks.0.attn.qkv.weight",
        "decoder.cls_emb",
        "decoder.proj_patch",
        "decoder.mask_norm.weight",
    ),
    adopt=adopt,
    source="rstrudel/segmenter at 20d1bfa: segm/model/{vit,blocks,decoder,segmenter,utils}.py, segm/config.yml, "
    "segm/data/utils.py",
    licence="MIT",
)
