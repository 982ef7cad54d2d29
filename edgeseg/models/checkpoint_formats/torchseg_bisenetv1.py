"""BiSeNetV1 of its authors: github.com/yu-changqian/TorchSeg, with Xception39 and ResNet18.

It resizes with aligned corners, inside and at the end.
"""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.bisenetv1 import conv_bn_rules, variant_from_state
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.spec import InputSpec


def xception_rules(stage: int) -> list[Rule]:
    """Rules for a stage, counted from 0, of the narrow Xception."""
    theirs, ours = rf"context_path\.layer{stage + 1}\.(\d+)", rf"context.backbone.stages.{stage}.\1"
    body, shortcut = rf"{theirs}\.residual_branch\.(\d)", rf"{theirs}\.proj"
    return [
        (rf"{body}\.conv1\.", rf"{ours}.body.\2.0."),
        *conv_bn_rules(rf"{body}\.point_wise_cbr", rf"{ours}.body.\2.1"),
        (rf"{shortcut}\.conv1\.", rf"{ours}.shortcut.0."),
        *conv_bn_rules(rf"{shortcut}\.point_wise_cbr", rf"{ours}.shortcut.1"),
    ]


def arm_rules(number: int, scale: int) -> list[Rule]:
    """Rules for the attention refinement at 1/scale and the convolution behind it."""
    return [
        *conv_bn_rules(rf"arms\.{number}\.conv_3x3", f"context.refine{scale}.conv"),
        *conv_bn_rules(rf"arms\.{number}\.channel_attention\.1", f"context.refine{scale}.gate"),
        *conv_bn_rules(rf"refines\.{number}", f"context.last{scale}"),
    ]


RULES: list[Rule] = [
    *(rule for stage in range(3) for rule in xception_rules(stage)),
    *conv_bn_rules(r"context_path\.conv1", "context.backbone.stem.0"),
    (r"context_path\.", "context.backbone."),
    *conv_bn_rules(r"global_context\.1", "context.mean"),
    *arm_rules(0, 32),
    *arm_rules(1, 16),
    *conv_bn_rules(r"spatial_path\.conv_7x7", "spatial.0"),
    *conv_bn_rules(r"spatial_path\.conv_3x3_1", "spatial.1"),
    *conv_bn_rules(r"spatial_path\.conv_3x3_2", "spatial.2"),
    *conv_bn_rules(r"spatial_path\.conv_1x1", "spatial.3"),
    *conv_bn_rules(r"ffm\.conv_1x1", "fusion.conv"),
    (r"ffm\.channel_attention\.1\.conv\.", "fusion.gate.0."),
    (r"ffm\.channel_attention\.2\.conv\.", "fusion.gate.2."),
    *conv_bn_rules(r"heads\.2\.conv_3x3", "head.0"),
    (r"heads\.2\.conv_1x1\.", "head.1."),
]
TRAINING = (r"heads\.[01]\.", r"(ohem_)?criterion\.")


def adopt(state: State) -> Adopted:
    """Rename, and read the widths. Its statistics are ImageNet's; it was published for Cityscapes alone."""
    own = renamed(state, RULES, drop=TRAINING)
    return Adopted(
        variant=variant_from_state(own, upsample="corners"),
        classes=rows(own, "head.1.weight"),
        state=own,
        input=InputSpec(2048, 1024),
        align_corners=True,
    )


FORMAT = CheckpointFormat(
    name="TorchSeg BiSeNet",
    family="bisenetv1",
    signature=(
        "spatial_path.conv_7x7.conv.weight",
        "global_context.1.conv.weight",
        "arms.0.conv_3x3.conv.weight",
        "ffm.channel_attention.1.conv.weight",
        "heads.2.conv_1x1.weight",
    ),
    adopt=adopt,
    source="model/bisenet/*/network.py and config.py, furnace/base_model, furnace/seg_opr",
)
