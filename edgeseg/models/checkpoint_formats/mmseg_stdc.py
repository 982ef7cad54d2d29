"""mmsegmentation's STDC-Seg."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.bisenetv1 import conv_bn_rules
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.stdc import variant_from_state

PARTS = [(r"layers\.0", "first"), ("downsample", "down"), *((rf"layers\.{n + 1}", f"rest.{n}") for n in range(3))]
BLOCK, OWN_BLOCK = r"backbone\.backbone\.stages\.{}\.(\d+)", r"context.backbone.stages.{}.\1"
RULES: list[Rule] = [
    *conv_bn_rules(r"backbone\.backbone\.stages\.([01])", r"context.backbone.stem.\1"),
    *(
        rule
        for stage in range(3)
        for theirs, own in PARTS
        for rule in conv_bn_rules(rf"{BLOCK.format(stage + 2)}\.{theirs}", f"{OWN_BLOCK.format(stage)}.{own}")
    ),
    *conv_bn_rules(r"backbone\.conv_avg", "context.mean"),
    *(
        rule
        for n, scale in enumerate((32, 16))
        for rule in [
            *conv_bn_rules(rf"backbone\.arms\.{n}\.conv_layer", f"context.refine{scale}.conv"),
            *conv_bn_rules(rf"backbone\.arms\.{n}\.atten_conv_layer\.1", f"context.refine{scale}.gate"),
            *conv_bn_rules(rf"backbone\.convs\.{n}", f"context.last{scale}"),
        ]
    ),
    *conv_bn_rules(r"backbone\.ffm\.conv0", "fusion.conv"),
    (r"backbone\.ffm\.attention\.1\.conv\.", "fusion.gate.0."),
    (r"backbone\.ffm\.attention\.2\.conv\.", "fusion.gate.2."),
    *conv_bn_rules(r"decode_head\.convs\.0", "head.0"),
    (r"decode_head\.conv_seg\.", "head.1."),
]


def adopt(state: State) -> Adopted:
    """The network; the auxiliary heads are left out."""
    own = renamed(state, RULES, drop=(r"auxiliary_head\.",))
    classes = rows(own, "head.1.weight")
    return Adopted(
        variant=variant_from_state(own),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=True,  # for the logits alone
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation STDC",
    family="stdc",
    signature=(
        "backbone.backbone.stages.2.0.layers.0.conv.weight",
        "backbone.arms.0.conv_layer.conv.weight",
        "backbone.ffm.attention.2.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/stdc.py, configs/_base_/models/stdc.py",
)
