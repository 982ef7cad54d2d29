"""What the formats of Vision Transformers share: mmsegmentation's names, and the arguments that shapes tell."""

from __future__ import annotations

import math

from edgeseg.errors import MismatchError
from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, rows
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.projections import with_projections

HEAD_CHANNELS = 64  # of each head of attention, in every published configuration; no tensor shows them


def mmseg_block(theirs: str, ours: str) -> list[Rule]:
    """The names of the blocks `theirs`, a pattern, which are `ours`; projections are taken apart already."""
    block, own = theirs + r"\.layers\.(\d+)\.", ours + r".blocks.\1."
    return [
        (block + r"ln([12])\.", own + r"norm\2."),
        (block + r"attn\.attn\.(query|key|value)\.", own + r"attention.\2."),
        (block + r"attn\.attn\.out_proj\.", own + "attention.project."),
        (block + r"ffn\.layers\.0\.0\.", own + "feed.0."),
        (block + r"ffn\.layers\.1\.", own + "feed.2."),
    ]


BACKBONE: list[Rule] = [
    *mmseg_block("backbone", "backbone"),
    (r"backbone\.patch_embed\.projection\.", "backbone.embed."),
    (r"backbone\.cls_token", "backbone.tokens"),
    (r"backbone\.pos_embed", "backbone.positions"),
]


def mmseg_vit_state(state: State, head: list[Rule]) -> State:
    """`state` with our names. head: rules of what is not the backbone."""
    own = mmseg_state(with_projections(state, "in_proj_"), [*BACKBONE, *head])
    channels = rows(own, "backbone.embed.weight")
    # Its 1.x leaves out the bias of the patches unless asked for it.
    own.setdefault("backbone.embed.bias", own["backbone.embed.weight"].new_zeros(channels))
    return own


def vit_arguments(state: State) -> dict[str, int]:
    """channels, depth, heads and grid, read off the shapes of the families' own names."""
    channels = rows(state, "backbone.embed.weight")
    places = rows(state, "backbone.positions", 1) - rows(state, "backbone.tokens", 1)
    grid = math.isqrt(places)
    if grid**2 != places:
        raise MismatchError(
            f"the {places} positions of this checkpoint are no square",
            hint="export it to ONNX with its own code, then: edgeseg adopt model.onnx",
        )
    depth = sum(f"backbone.blocks.{n}.norm1.weight" in state for n in range(99))
    return {"channels": channels, "depth": depth, "heads": channels // HEAD_CHANNELS, "grid": grid}
