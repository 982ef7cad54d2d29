"""Hugging Face transformers, UperNetForSemanticSegmentation on a Swin, by the names that `save_pretrained` writes."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.upernet import HEAD, variant_from_state
from edgeseg.spec import InputSpec

LAYERS: list[Rule] = [
    (r"(.+\.)conv\.", r"\g<1>0."),
    (r"(.+\.)batch_norm\.", r"\g<1>1."),
    ("", ""),
]
STAGE = r"backbone\.encoder\.layers\.(\d)\."
BLOCK, OURS = STAGE + r"blocks\.(\d+)\.", r"backbone.stages.\1.\2."
RULES: list[Rule] = [
    (r"backbone\.embeddings\.patch_embeddings\.projection\.", "backbone.embed."),
    (r"backbone\.embeddings\.norm\.", "backbone.embed_norm."),
    (BLOCK + r"layernorm_before\.", OURS + "norm1."),
    (BLOCK + r"layernorm_after\.", OURS + "norm2."),
    (BLOCK + r"attention\.self\.relative_position_bias_table", OURS + "bias"),
    (BLOCK + r"attention\.self\.(query|key|value)\.", OURS + r"attention.\3."),
    (BLOCK + r"attention\.output\.dense\.", OURS + "attention.project."),
    (BLOCK + r"intermediate\.dense\.", OURS + "feed.0."),
    (BLOCK + r"output\.dense\.", OURS + "feed.2."),
    (STAGE + r"downsample\.norm\.", r"backbone.merges.\1.norm."),
    (STAGE + r"downsample\.reduction\.", r"backbone.merges.\1.reduce."),
    *((rf"backbone\.hidden_states_norms\.stage{n + 1}\.", f"backbone.norms.{n}.") for n in range(4)),
    *HEAD,
]
# Files of transformers 5 have a last norm that nothing uses.
DROP = [r"auxiliary_head\.", r".+relative_position_index$", r"backbone\.(swin\.)?layernorm\."]


def adopt(state: State) -> Adopted:
    """Names alone. A folder's preprocessor_config.json knows the input better."""
    own = renamed(renamed(state, LAYERS), RULES, drop=DROP)
    return Adopted(
        variant=variant_from_state(own),
        classes=rows(own, "head.classify.weight"),
        state=own,
        input=InputSpec(512, 512),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="Hugging Face UPerNet on Swin",
    family="upernet",
    signature=(
        "backbone.embeddings.patch_embeddings.projection.weight",
        "backbone.encoder.layers.0.blocks.0.attention.self.query.weight",
        "backbone.hidden_states_norms.stage1.weight",
        "decode_head.psp_modules.0.1.batch_norm.weight",
        "decode_head.classifier.weight",
    ),
    adopt=adopt,
    source="files written by transformers 5.23; preprocessing as SegformerImageProcessor has it by default",
)
