"""What the formats of segmentation_models_pytorch share: names of layers, and the input.

Its encoders are torchvision's ResNets, normalised by ImageNet's statistics; no file tells the size of its images.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.resnet import depth_from_state
from edgeseg.models.family import Family
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import InputSpec

INPUT = InputSpec(512, 512)
ENCODER: Rule = (r"encoder\.", "backbone.")


def decoder_rules(block: str, own: str) -> list[Rule]:
    """The two convolutions of a block of its decoders, `double_conv` here. block: a pattern."""
    return [(rf"decoder\.blocks\.{block}\.conv{n + 1}\.", f"{own}.{n}.") for n in (0, 1)]


def smp_state(state: State, rules: Sequence[Rule], *, head: str) -> dict[str, Tensor]:
    """`state` with the family's own names. rules: for the decoder. head: the classifier, "classify"."""
    return renamed(state, [ENCODER, *rules, (r"segmentation_head\.0\.", f"{head}.")], drop=[r"classification_head\."])


def unet_adopted(own: dict[str, Tensor], family: Family, lasts: Sequence[str]) -> Adopted:
    """A U-Net on a ResNet. own: with the family's names. lasts: the last convolution of each decoder step."""
    arguments = {
        "encoder": f"resnet{depth_from_state(own)}",
        "width": rows(own, "backbone.conv1.weight"),
        "decoder": tuple(rows(own, f"{name}.1.0.weight") for name in lasts),
        "port": "smp",
    }
    variant = text_from_arguments("resnet34", arguments, family.variants)
    return Adopted(variant, rows(own, "classify.weight"), own, INPUT, align_corners=False)
