"""mmsegmentation's BiSeNetV2: bilinear in the aggregation layer, whose 1x1 convolutions have a bias."""

from __future__ import annotations

from typing import Any

from edgeseg.models.bisenetv2 import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.variant import text_from_arguments

# `conv` and `bn` inside a module are two layers of a sequence here; the next rules handle all other names.
CONV_BN: list[Rule] = [(r"(.*)\.conv\.(\w+)$", r"\1.0.\2"), (r"(.*)\.bn\.(\w+)$", r"\1.1.\2"), ("", "")]
DETAIL = ["0.0", "0.1", "1.0", "1.1", "1.2", "2.0", "2.1", "2.2"]
SEMANTIC = r"backbone\.semantic\."
BGA = r"backbone\.bga\."


def stage_rules(number: int) -> list[Rule]:
    """Stage `number` of the paper, which counts the stem as two."""
    layer, own = SEMANTIC + rf"stage{number - 1}\.(\d+)\.", rf"stage{number}.\1."
    return [
        (layer + r"conv1\.", own + "gather."),
        (layer + r"dwconv\.", own + "expand."),
        (layer + r"conv2\.0\.", own + "project."),
        (layer + r"shortcut\.0\.depthwise_conv\.", own + "shortcut.0."),
        (layer + r"shortcut\.0\.pointwise_conv\.", own + "shortcut.1."),
    ]


RULES: list[Rule] = [
    *((rf"backbone\.detail\.detail_branch\.{theirs}\.", f"detail.{own}.") for own, theirs in enumerate(DETAIL)),
    (SEMANTIC + r"stage1\.conv_first\.", "stem.first."),
    (SEMANTIC + r"stage1\.convs\.", "stem.left."),
    (SEMANTIC + r"stage1\.fuse_last\.", "stem.fuse."),
    *(rule for number in (3, 4, 5) for rule in stage_rules(number)),
    (SEMANTIC + r"stage4_CEBlock\.gap\.1\.", "context.norm."),
    (SEMANTIC + r"stage4_CEBlock\.conv_gap\.", "context.embed."),
    (SEMANTIC + r"stage4_CEBlock\.conv_last\.", "context.last."),
    (BGA + r"(detail|semantic)_dwconv\.0\.depthwise_conv\.", r"aggregate.\1_keep.0."),
    (BGA + r"(detail|semantic)_dwconv\.0\.pointwise_conv\.0\.", r"aggregate.\1_keep.1."),
    (BGA + r"detail_down\.", "aggregate.detail_down."),
    (BGA + r"semantic_conv\.0\.", "aggregate.semantic_up."),
    (BGA + r"conv\.", "aggregate.last."),
    (r"decode_head\.convs\.0\.", "head.0."),
    (r"decode_head\.conv_seg\.", "head.2."),
]


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary heads are left out."""
    own = renamed(renamed(state, CONV_BN), RULES, drop=[r"auxiliary_head\."])
    classes = rows(own, "head.2.weight")
    return Adopted(
        variant=variant_from_state(own, pointwise_bias="aggregate.detail_keep.1.bias" in own),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


def variant_from_state(state: State, **arguments: Any) -> str:
    """The variant with the head, width and depth of `state`, which has the family's own names, and `arguments`."""
    layers = {key.split(".")[1] for key in state if key.startswith("stage3.")}
    shapes = {
        "head": rows(state, "head.0.0.weight"),
        "width": rows(state, "detail.0.0.weight") / 64,
        "depth": len(layers) // 2,
    }
    return text_from_arguments("base", {**FAMILY.variants["base"], **shapes, **arguments}, FAMILY.variants)


FORMAT = CheckpointFormat(
    name="mmsegmentation BiSeNetV2",
    family="bisenetv2",
    signature=(
        "backbone.detail.detail_branch.0.0.conv.weight",
        "backbone.semantic.stage1.conv_first.conv.weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/bisenetv2.py, configs/_base_/models/bisenetv2.py",
)
