"""BiSeNetV1 of mmsegmentation, with ResNet18 and ResNet50.

Its fusion has a ReLU before the gate's sigmoid, and it resizes by nearest neighbour inside.
"""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.bisenetv1 import conv_bn_rules, variant_from_state
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input

RULES: list[Rule] = [
    (r"backbone\.context_path\.backbone\.", "context.backbone."),
    *conv_bn_rules(r"backbone\.context_path\.gap_conv\.1", "context.mean"),
    *conv_bn_rules(r"backbone\.context_path\.arm(16|32)\.conv_layer", r"context.refine\1.conv"),
    *conv_bn_rules(r"backbone\.context_path\.arm(16|32)\.atten_conv_layer\.1", r"context.refine\1.gate"),
    *conv_bn_rules(r"backbone\.context_path\.conv_head(16|32)", r"context.last\1"),
    *(rule for n in range(4) for rule in conv_bn_rules(rf"backbone\.spatial_path\.layer{n + 1}", f"spatial.{n}")),
    *conv_bn_rules(r"backbone\.ffm\.conv1", "fusion.conv"),
    *conv_bn_rules(r"backbone\.ffm\.conv_atten\.0", "fusion.gate"),
    *conv_bn_rules(r"decode_head\.convs\.0", "head.0"),
    (r"decode_head\.conv_seg\.", "head.1."),
]


def adopt(state: State) -> Adopted:
    """Rename, and read the widths. Its statistics are ImageNet's, 0..255 in the configs."""
    own = renamed(state, RULES, drop=(r"auxiliary_head\.",))
    classes = rows(own, "head.1.weight")
    return Adopted(
        variant=variant_from_state(own, upsample="nearest", gate_relu=True),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation BiSeNetV1",
    family="bisenetv1",
    signature=(
        "backbone.context_path.backbone.conv1.weight",
        "backbone.spatial_path.layer1.conv.weight",
        "backbone.ffm.conv_atten.0.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2, mmseg/models/backbones/bisenetv1.py and configs/_base_",
)
