"""What the origins of BiSeNetV2 share: a variant read off the shapes."""

from __future__ import annotations

from typing import Any

from edgeseg.models.bisenetv2 import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, rows
from edgeseg.models.variant import text_from_arguments

# `conv` and `bn` inside a module are two layers of a sequence here; all other names stay for the next rules.
CONV_BN: list[Rule] = [(r"(.*)\.conv\.(\w+)$", r"\1.0.\2"), (r"(.*)\.bn\.(\w+)$", r"\1.1.\2"), ("", "")]


def variant_from_state(state: State, **dialect: Any) -> str:
    """The variant whose head, width and depth are those of `state`, under the family's own names."""
    layers = {key.split(".")[1] for key in state if key.startswith("stage3.")}
    found = {
        "head": rows(state, "head.0.0.weight"),
        "width": rows(state, "detail.0.0.weight") / 64,
        "depth": len(layers) // 2,
    }
    return text_from_arguments("base", {**FAMILY.variants["base"], **found, **dialect}, FAMILY.variants)
