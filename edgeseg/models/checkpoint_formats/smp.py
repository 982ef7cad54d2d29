"""What the formats of segmentation_models_pytorch share: names of layers, and the input.

Its encoders are torchvision's ResNets, normalised by ImageNet's statistics; no file tells the size of its images.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, renamed
from edgeseg.spec import InputSpec

INPUT = InputSpec(512, 512)
ENCODER: Rule = (r"encoder\.", "backbone.")


def decoder_rules(block: str, own: str) -> list[Rule]:
    """The two convolutions of a block of its decoders, `double_conv` here. block: a pattern."""
    return [(rf"decoder\.blocks\.{block}\.conv{n + 1}\.", f"{own}.{n}.") for n in (0, 1)]


def smp_state(state: State, rules: Sequence[Rule], *, head: str) -> dict[str, Tensor]:
    """`state` with the family's own names. rules: for the decoder. head: the classifier, "classify"."""
    return renamed(state, [ENCODER, *rules, (r"segmentation_head\.0\.", f"{head}.")], drop=[r"classification_head\."])
