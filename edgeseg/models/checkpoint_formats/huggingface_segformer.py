"""Hugging Face transformers, SegformerForSemanticSegmentation, by the names that `save_pretrained` writes.

Live modules have other names since transformers 5.0; their `state_dict()` saved by hand is refused as unknown.
"""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State, renamed
from edgeseg.models.segformer import variant_from_state
from edgeseg.spec import InputSpec


def adopt(state: State) -> Adopted:
    """Names, and linear layers as 1x1 convolutions. A folder's preprocessor_config.json knows the input better."""
    own = renamed(state, RULES)
    for key, value in own.items():
        if value.ndim == 2 and (".feed." in key or key.startswith("decoder.")):
            own[key] = value[..., None, None]
    return Adopted(
        variant=variant_from_state(own),
        classes=len(own["decoder.classify.weight"]),
        state=own,
        input=InputSpec(512, 512),
        align_corners=False,
        config={"num_attention_heads": [1, 2, 5, 8], "strides": [4, 2, 2, 2], "hidden_act": "gelu"},
    )


ENCODER = r"segformer\.encoder\."
BLOCK, OURS = ENCODER + r"block\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."
RULES = [
    (ENCODER + r"patch_embeddings\.(\d)\.proj", r"stages.\1.embed"),
    (ENCODER + r"patch_embeddings\.(\d)\.layer_norm", r"stages.\1.embed_norm"),
    (ENCODER + r"layer_norm\.(\d)", r"stages.\1.norm"),
    (BLOCK + r"layer_norm_([12])", OURS + r"norm\3"),
    (BLOCK + r"attention\.self\.(query|key|value)", OURS + r"attention.\3"),
    (BLOCK + r"attention\.self\.sr", OURS + "attention.reduce"),
    (BLOCK + r"attention\.self\.layer_norm", OURS + "attention.norm"),
    (BLOCK + r"attention\.output\.dense", OURS + "attention.project"),
    (BLOCK + r"mlp\.dense1", OURS + "feed.0"),
    (BLOCK + r"mlp\.dwconv\.dwconv", OURS + "feed.1"),
    (BLOCK + r"mlp\.dense2", OURS + "feed.3"),
    (r"decode_head\.linear_c\.(\d)\.proj", r"decoder.levels.\1"),
    (r"decode_head\.linear_fuse", "decoder.fuse.0"),
    (r"decode_head\.batch_norm", "decoder.fuse.1"),
    (r"decode_head\.classifier", "decoder.classify"),
]

FORMAT = CheckpointFormat(
    name="Hugging Face SegFormer",
    family="segformer",
    signature=(
        "segformer.encoder.patch_embeddings.0.proj.weight",
        "segformer.encoder.block.0.0.attention.self.query.weight",
        "decode_head.linear_c.0.proj.weight",
        "decode_head.linear_fuse.weight",
        "decode_head.classifier.weight",
    ),
    adopt=adopt,
    source="files written by transformers 5.23 and 4.46; preprocessing as SegformerImageProcessor has it by default",
)
