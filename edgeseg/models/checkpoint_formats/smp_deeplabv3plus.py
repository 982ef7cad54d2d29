"""DeepLab v3+ of segmentation_models_pytorch on a ResNet, at its default output stride of 16."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import SMP
from edgeseg.models.checkpoint_formats.resnet import mean_first, resnet_adopted
from edgeseg.models.deeplabv3plus import FAMILY


def separable_rules(theirs: str, norm: str, ours: str) -> list[Rule]:
    """Rules for a depthwise and a 1x1 convolution in one sequence, and a norm behind it."""
    return [(rf"{theirs}\.0\.", f"{ours}.0."), (rf"{theirs}\.1\.", f"{ours}.1.0."), (rf"{norm}\.", f"{ours}.1.1.")]


ASPP = r"decoder\.aspp\.0\.convs\."
RULES: list[Rule] = [
    (r"encoder\.", "backbone."),
    (rf"{ASPP}0\.", "head.pyramid.branches.0."),
    *separable_rules(rf"{ASPP}([123])\.0", rf"{ASPP}([123])\.1", r"head.pyramid.branches.\1"),
    (rf"{ASPP}4\.1\.", "head.pyramid.mean.0."),
    (rf"{ASPP}4\.2\.", "head.pyramid.mean.1."),
    (r"decoder\.aspp\.0\.project\.", "head.narrow.0."),
    *separable_rules(r"decoder\.aspp\.1", r"decoder\.aspp\.2", "head.narrow.2"),
    (r"decoder\.block1\.", "head.low."),
    *separable_rules(r"decoder\.block2\.0", r"decoder\.block2\.1", "head.refine.0"),
    (r"segmentation_head\.0\.", "head.classify.1."),
]


def adopt(state: State) -> Adopted:
    """Rename, and put the mean first in the pyramid."""
    own = mean_first(renamed(state, RULES), "head.narrow.0.0.weight")
    return resnet_adopted(
        own,
        FAMILY.variants,
        classes=rows(own, "head.classify.1.weight"),
        input=SMP,
        align_corners=True,
        details="output stride 16, which no weight shows",
        channels=rows(own, "head.narrow.0.0.weight"),
        low=rows(own, "head.low.0.weight"),
        trunk="smp",
        port="smp",
    )


FORMAT = CheckpointFormat(
    name="segmentation_models_pytorch DeepLab v3+",
    family="deeplabv3plus",
    signature=(
        "encoder.conv1.weight",
        "encoder.layer4.0.conv1.weight",
        "decoder.aspp.0.convs.1.0.0.weight",
        "decoder.block2.0.0.weight",
        "segmentation_head.0.weight",
    ),
    adopt=adopt,
    source="segmentation_models_pytorch 0.6.0: decoders/deeplabv3/decoder.py",
)
