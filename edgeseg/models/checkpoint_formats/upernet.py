"""What the formats of UPerNet share: the names of the head, and the variant on a Swin Transformer."""

from __future__ import annotations

import math

from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, rows
from edgeseg.models.upernet import FAMILY, SWIN
from edgeseg.models.variant import text_from_arguments

# For names whose layers are renamed already: a convolution is 0, its batch norm 1.
HEAD: list[Rule] = [
    (r"decode_head\.psp_modules\.(\d)\.1\.", r"head.pools.\1."),
    (r"decode_head\.bottleneck\.", "head.pyramid."),
    (r"decode_head\.lateral_convs\.(\d)\.", r"head.laterals.\1."),
    (r"decode_head\.fpn_convs\.(\d)\.", r"head.smooth.\1."),
    (r"decode_head\.fpn_bottleneck\.", "head.fuse."),
    (r"decode_head\.(conv_seg|classifier)\.", "head.classify."),
]


def variant_from_state(state: State) -> str:
    """Widths, depths, heads and window, read off the shapes of the family's own names."""
    bias = "backbone.stages.{}.{}.bias"
    stages = range(sum(bias.format(n, 0) in state for n in range(9)))
    table = rows(state, bias.format(0, 0))
    arguments = {
        "backbone": SWIN,
        "embed": rows(state, "backbone.embed.weight"),
        "depths": tuple(sum(bias.format(stage, n) in state for n in range(99)) for stage in stages),
        "heads": tuple(state[bias.format(stage, 0)].shape[1] for stage in stages),
        "window": (math.isqrt(table) + 1) // 2,
        "width": rows(state, "head.fuse.0.weight"),
    }
    same = [name for name, variant in FAMILY.variants.items() if dict(variant) == arguments]
    return text_from_arguments(same[0] if same else "swin-t", arguments, FAMILY.variants)
