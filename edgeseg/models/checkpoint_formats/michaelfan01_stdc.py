"""The authors' STDC-Seg (MichaelFan01/STDC-Seg).

Batch norms outside the backbone are their InPlaceABN, which scales by |weight| + 1e-5 and counts no batches. A file
holds each tensor of the backbone twice, and ImageNet's classifier.
"""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.bisenetv1 import conv_bn_rules
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inplace_abn import with_batch_norms
from edgeseg.models.checkpoint_formats.stdc import MAX_BLOCKS, variant_from_state
from edgeseg.spec import InputSpec

DROP = (r"cp\.backbone\.(x\d+|conv_last|fc|bn|linear)\.", r"conv_out(16|32|_sp\d+)\.")
RULES: list[Rule] = [
    *conv_bn_rules(r"cp\.backbone\.features\.([01])", r"context.backbone.stem.\1"),
    *conv_bn_rules(r"cp\.conv_avg", "context.mean"),
    *conv_bn_rules(r"cp\.arm(16|32)\.conv", r"context.refine\1.conv"),
    (r"cp\.arm(16|32)\.conv_atten\.", r"context.refine\1.gate.0."),
    (r"cp\.arm(16|32)\.bn_atten\.", r"context.refine\1.gate.1."),
    *conv_bn_rules(r"cp\.conv_head(16|32)", r"context.last\1"),
    *conv_bn_rules(r"ffm\.convblk", "fusion.conv"),
    (r"ffm\.conv1\.", "fusion.gate.0."),
    (r"ffm\.conv2\.", "fusion.gate.2."),
    *conv_bn_rules(r"conv_out\.conv", "head.0"),
    (r"conv_out\.conv_out\.", "head.1."),
]


def adopt(state: State) -> Adopted:
    """The network; the heads for training are left out."""
    own = renamed(state, [*RULES, *block_rules(state)], drop=DROP)
    classes = rows(own, "head.1.weight")
    own["head.1.bias"] = torch.zeros(classes)
    return Adopted(
        variant=variant_from_state(own),
        classes=classes,
        state=with_batch_norms(own, but="context.backbone."),
        input=InputSpec(1024, 512),
        align_corners=True,  # for the logits alone
    )


def block_rules(state: State) -> list[Rule]:
    """Rules for the blocks, which are numbered throughout: the first of each stage is the one with a stride."""
    rules: list[Rule] = []
    stage = block = -1
    for number in range(2, MAX_BLOCKS):
        theirs = rf"cp\.backbone\.features\.{number}"
        if f"cp.backbone.features.{number}.avd_layer.0.weight" in state:
            stage, block = stage + 1, -1
        block += 1
        own = f"context.backbone.stages.{stage}.{block}"
        rules += conv_bn_rules(rf"{theirs}\.conv_list\.0", f"{own}.first")
        rules += [rule for n in range(3) for rule in conv_bn_rules(rf"{theirs}\.conv_list\.{n + 1}", f"{own}.rest.{n}")]
        rules.append((rf"{theirs}\.avd_layer\.", f"{own}.down."))
    return rules


FORMAT = CheckpointFormat(
    name="MichaelFan01/STDC-Seg",
    family="stdc",
    signature=(
        "cp.backbone.features.0.conv.weight",
        "cp.arm16.conv_atten.weight",
        "ffm.conv1.weight",
        "conv_out.conv_out.weight",
    ),
    adopt=adopt,
    source="MichaelFan01/STDC-Seg 59ff37f: models/model_stages.py, nets/stdcnet.py, modules/, evaluation.py",
    licence="MIT",
)
