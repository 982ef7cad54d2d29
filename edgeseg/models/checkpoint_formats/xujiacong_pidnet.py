"""The authors' PIDNet (XuJiacong/PIDNet)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.dual_resolution import blocks_of, dual_resolution_adopted, state_from_authors
from edgeseg.models.checkpoint_formats.inputs import road_input
from edgeseg.models.pidnet import FAMILY
from edgeseg.spec import InputSpec

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
    return pidnet_adopted(state_from_authors(state, RULES), road_input)


def pidnet_adopted(own: dict[str, Tensor], input: Callable[[int], InputSpec]) -> Adopted:
    """The network. own: with the family's names. input: for so many classes."""
    others = {"context_depth": blocks_of(own, "integral.0"), "light": "fuse.convs.1.0.weight" in own}
    return dual_resolution_adopted(own, FAMILY, input, align_corners=True, **others)  # aligned for the logits alone


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
