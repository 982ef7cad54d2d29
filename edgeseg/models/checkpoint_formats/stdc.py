"""What the formats of STDC-Seg share: the variant from tensor shapes."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import State, rows
from edgeseg.models.stdc import FAMILY
from edgeseg.models.variant import text_from_arguments

MAX_BLOCKS = 99


def variant_from_state(state: State) -> str:
    """The variant of `state`, which has the family's own names."""
    stages = (f"context.backbone.stages.{n}" for n in range(3))
    arguments = {
        "depths": tuple(sum(f"{stage}.{n}.first.0.weight" in state for n in range(MAX_BLOCKS)) for stage in stages),
        "width": rows(state, "context.backbone.stem.1.0.weight"),
        "context": rows(state, "context.last16.0.weight"),
        "fused": rows(state, "fusion.conv.0.weight"),
        "head": rows(state, "head.0.0.weight"),
    }
    published = FAMILY.published_variants
    name = next((each for each in published if FAMILY.variants[each]["depths"] == arguments["depths"]), published[0])
    return text_from_arguments(name, {**FAMILY.variants[name], **arguments}, FAMILY.variants)
