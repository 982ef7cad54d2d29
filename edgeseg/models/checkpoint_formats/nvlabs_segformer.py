"""NVlabs/SegFormer, and sithu31296/semantic-segmentation, which uses the same names.

The two differ in the epsilon of layer norm. Only NVlabs' files have `decode_head.conv_seg`, which nothing uses.
"""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State, renamed
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.segformer import variant_from_state

BLOCK = r"backbone\.block{0}\.(\d+)\."
UNUSED = r"decode_head\.conv_seg\."


def adopt(state: State) -> Adopted:
    """Rename, and split the joined keys and values."""
    own = renamed(with_keys_and_values(state), renaming_rules(), drop=[UNUSED])
    for key in [key for key in own if key.endswith(("feed.0.weight", "feed.3.weight"))]:
        own[key] = own[key][..., None, None]
    for key in [key for key in own if key.startswith("decoder.levels.") and key.endswith(".weight")]:
        own[key] = own[key][..., None, None]
    original = "decode_head.conv_seg.weight" in state
    classes = len(own["decoder.classify.weight"])
    return Adopted(
        variant=variant_from_state(own, norm_eps=1e-6 if original else 1e-5),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
        details="" if original else "of sithu31296/semantic-segmentation: epsilon 1e-5",
    )


def with_keys_and_values(state: State) -> State:
    """`attn.kv` (2C, ...) as `attn.k` and `attn.v` (C, ...)."""
    result = {}
    for key, value in state.items():
        if ".attn.kv." in key:
            result[key.replace(".kv.", ".k.")], result[key.replace(".kv.", ".v.")] = value.chunk(2)
        else:
            result[key] = value
    return result


def renaming_rules() -> list[tuple[str, str]]:
    """Patterns of the checkpoint's names, with stages from 1, and their replacements."""
    rules = []
    for i in range(4):
        block, ours = BLOCK.format(i + 1), rf"stages.{i}.blocks.\1."
        rules += [
            (rf"backbone\.patch_embed{i + 1}\.proj", f"stages.{i}.embed"),
            (rf"backbone\.patch_embed{i + 1}\.norm", f"stages.{i}.embed_norm"),
            (rf"backbone\.norm{i + 1}", f"stages.{i}.norm"),
            (rf"{block}(norm[12])", rf"{ours}\2"),
            (rf"decode_head\.linear_c{i + 1}\.proj", f"decoder.levels.{i}"),
        ]
        rules += [(block + theirs, ours + mine) for theirs, mine in PARTS]
    return rules + HEAD


PARTS = [
    (r"attn\.q\b", "attention.query"),
    (r"attn\.k\b", "attention.key"),
    (r"attn\.v\b", "attention.value"),
    (r"attn\.proj", "attention.project"),
    (r"attn\.sr", "attention.reduce"),
    (r"attn\.norm", "attention.norm"),
    (r"mlp\.fc1", "feed.0"),
    (r"mlp\.dwconv\.dwconv", "feed.1"),
    (r"mlp\.fc2", "feed.3"),
]
HEAD = [
    (r"decode_head\.linear_fuse\.conv", "decoder.fuse.0"),
    (r"decode_head\.linear_fuse\.bn", "decoder.fuse.1"),
    (r"decode_head\.linear_pred", "decoder.classify"),
]

FORMAT = CheckpointFormat(
    name="NVlabs SegFormer",
    family="segformer",
    signature=(
        "backbone.patch_embed1.proj.weight",
        "backbone.block1.0.attn.kv.weight",
        "decode_head.linear_c1.proj.weight",
        "decode_head.linear_fuse.conv.weight",
        "decode_head.linear_pred.weight",
    ),
    adopt=adopt,
    licence="LicenseRef-NVIDIA-non-commercial",
    source="mmseg/models/{backbones/mix_transformer,decode_heads/segformer_head}.py, local_configs/_base_/datasets; "
    "the licence of the code holds for its weights",
)
