"""The authors' PIDNet (XuJiacong/PIDNet)."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.dual_resolution import (
    blocks_of,
    state_from_authors,
    text_from_nearest,
    widths_from_state,
)
from edgeseg.models.checkpoint_formats.inputs import road_input
from edgeseg.models.pidnet import FAMILY

RULES: list[Rule] = [
    *((rf"layer{n + 3}\.", f"integral.{n}.") for n in range(3)),
    *((rf"layer{n + 3}_\.", f"proportional.{n}.") for n in range(3)),
    *((rf"layer{n + 3}_d\.(?:0\.)?", f"derivative.{n}.") for n in range(3)),
    *((rf"diff{n + 3}\.", f"differ.{n}.") for n in range(2)),
    *((rf"pag{n + 3}\.f_x\.", f"attend.{n}.detail.") for n in range(2)),
    *((rf"pag{n + 3}\.f_y\.", f"attend.{n}.context.") for n in range(2)),
    (r"dfm\.conv_p\.", "fuse.convs.0."),
    (r"dfm\.conv_i\.", "fuse.convs.1."),
    (r"dfm\.conv\.", "fuse.convs.0."),
]


def adopt(state: State) -> Adopted:
    """The network; the heads for training are left out."""
    own = state_from_authors(state, RULES)
    classes = rows(own, "head.3.weight")
    return Adopted(
        variant=variant_from_state(own),
        classes=classes,
        state=own,
        input=road_input(classes),
        align_corners=True,  # for the logits alone
    )


def variant_from_state(state: State) -> str:
    """The variant, read off the shapes of the family's own names."""
    deeper = {"context_depth": blocks_of(state, "integral.0"), "light": "fuse.convs.1.0.weight" in state}
    return text_from_nearest(widths_from_state(state) | deeper, FAMILY)


FORMAT = CheckpointFormat(
    name="XuJiacong/PIDNet",
    family="pidnet",
    signature=(
        "conv1.0.bias",
        "layer3_d.conv1.weight",
        "pag3.f_x.0.weight",
        "spp.scale0.2.weight",
        "final_layer.conv2.weight",
    ),
    adopt=adopt,
    source="XuJiacong/PIDNet 4c158cf: models/{pidnet,model_utils}.py, tools/custom.py",
    licence="MIT",
)
