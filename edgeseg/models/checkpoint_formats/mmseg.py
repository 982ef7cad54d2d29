"""What the formats of mmsegmentation share: the names of its layers, and what its heads are called."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, renamed

# A module of convolution, norm and activation, and a separable one of two such, are sequences here.
LAYERS: list[Rule] = [
    (r"(.+\.)depthwise_conv\.conv\.", r"\g<1>0.0."),
    (r"(.+\.)depthwise_conv\.bn\.", r"\g<1>0.1."),
    (r"(.+\.)pointwise_conv\.conv\.", r"\g<1>1.0."),
    (r"(.+\.)pointwise_conv\.bn\.", r"\g<1>1.1."),
    (r"(.+\.)conv\.", r"\g<1>0."),
    (r"(.+\.)bn\.", r"\g<1>1."),
    ("", ""),
]
# The names of `dilated.DilatedNet` with a `dilated.ContextHead`.
CONTEXT_HEAD: list[Rule] = [
    (r"backbone\.", "backbone."),
    (r"decode_head\.convs\.0\.", "head.first."),
    (r"decode_head\.convs\.1\.", "head.last."),
    (r"decode_head\.conv_cat\.", "head.join."),
    (r"decode_head\.conv_seg\.", "head.classify."),
]


def mmseg_state(state: State, rules: Sequence[Rule], *, drop: Sequence[str] = ()) -> dict[str, Tensor]:
    """`state` with the family's own names. rules: for names whose layers are renamed already, by LAYERS.

    drop: patterns of keys that only training needs, beside those of the auxiliary heads.
    """
    return renamed(renamed(state, LAYERS), rules, drop=[r"auxiliary_head\.", *drop])


def trunk_from_state(state: State) -> str:
    """Which backbone mmsegmentation built: its own, with the deep stem, or torchvision's (configurations r50b)."""
    return "mmseg" if "backbone.stem.0.weight" in state else "torchvision"
