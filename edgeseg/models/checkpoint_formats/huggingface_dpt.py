"""Hugging Face transformers, DPTForSemanticSegmentation on a ViT, by the names that `save_pretrained` writes."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.dpt import READOUT, variant_from_state, with_readouts
from edgeseg.models.checkpoint_formats.vit import vit_arguments
from edgeseg.spec import InputSpec

EPSILON = 1e-12
BLOCK, OURS = r"dpt\.encoder\.layer\.(\d+)\.", r"backbone.blocks.\1."
REASSEMBLE, FUSION = r"neck\.reassemble_stage\.", r"neck\.fusion_stage\.layers\."


def unit(theirs: str, ours: str) -> list[Rule]:
    """The names of the residual unit `theirs`, a pattern, which is `ours`."""
    return [
        (theirs + r"convolution1\.", f"{ours}first.0."),
        (theirs + r"batch_norm1\.", f"{ours}first.1."),
        (theirs + r"convolution2\.", f"{ours}second.0."),
        (theirs + r"batch_norm2\.", f"{ours}second.1."),
    ]


RULES: list[Rule] = [
    (r"dpt\.embeddings\.patch_embeddings\.projection\.", "backbone.embed."),
    (r"dpt\.embeddings\.cls_token", "backbone.tokens"),
    (r"dpt\.embeddings\.position_embeddings", "backbone.positions"),
    (BLOCK + r"layernorm_before\.", OURS + "norm1."),
    (BLOCK + r"layernorm_after\.", OURS + "norm2."),
    (BLOCK + r"attention\.attention\.(query|key|value)\.", OURS + r"attention.\2."),
    (BLOCK + r"attention\.output\.dense\.", OURS + "attention.project."),
    (BLOCK + r"intermediate\.dense\.", OURS + "feed.0."),
    (BLOCK + r"output\.dense\.", OURS + "feed.2."),
    (REASSEMBLE + r"readout_projects\.(\d)\.0\.", rf"maps.\1.{READOUT}"),
    (REASSEMBLE + r"layers\.(\d)\.projection\.", r"maps.\1.project."),
    (REASSEMBLE + r"layers\.(\d)\.resize\.", r"maps.\1.resize."),
    (r"neck\.convs\.(\d)\.", r"maps.\1.narrow."),
    *(rule for n in range(3) for rule in unit(FUSION + rf"{n + 1}\.residual_layer1\.", f"skips.{n}.")),
    *unit(FUSION + r"(\d)\.residual_layer2\.", r"fuse.\1.0."),
    (FUSION + r"(\d)\.projection\.", r"fuse.\1.2."),
    (r"head\.head\.0\.", "classify.0.0."),
    (r"head\.head\.1\.", "classify.0.1."),
    (r"head\.head\.4\.", "classify.2."),
]
# Nothing uses the last norm, nor the shortcut of the coarsest map.
DROP = [r"auxiliary_head\.", r"dpt\.layernorm\.", FUSION + r"0\.residual_layer1\."]


def adopt(state: State) -> Adopted:
    """Names, and readouts taken apart. A folder's preprocessor_config.json knows the input better."""
    own = with_readouts(renamed(state, RULES, drop=DROP))
    shape = vit_arguments(own)
    every = shape["depth"] // 4
    return Adopted(
        variant=variant_from_state(own, resize="bilinear", eps=EPSILON),
        classes=rows(own, "classify.2.weight"),
        state=own,
        input=InputSpec(384, 384, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        align_corners=True,
        config={
            "num_attention_heads": shape["heads"],
            "layer_norm_eps": EPSILON,
            "hidden_act": "gelu",
            "readout_type": "project",
            "reassemble_factors": [4, 2, 1, 0.5],
            "backbone_out_indices": [every * (n + 1) - 1 for n in range(4)],
        },
    )


FORMAT = CheckpointFormat(
    name="Hugging Face DPT",
    family="dpt",
    signature=(
        "dpt.embeddings.patch_embeddings.projection.weight",
        "dpt.encoder.layer.0.attention.attention.query.weight",
        "neck.reassemble_stage.readout_projects.0.0.weight",
        "neck.fusion_stage.layers.0.residual_layer2.batch_norm1.weight",
        "head.head.4.weight",
    ),
    adopt=adopt,
    source="files written by transformers 5.23; preprocessing as DPTImageProcessor has it by default",
)
