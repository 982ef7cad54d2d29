"""The authors' DDRNet (ydhongHIT/DDRNet)."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.dual_resolution import dual_resolution_adopted, state_from_authors
from edgeseg.models.checkpoint_formats.inputs import road_input
from edgeseg.models.ddrnet import FAMILY

RULES: list[Rule] = [
    *((rf"layer{n + 3}\.", f"context.{n}.") for n in range(3)),
    *((rf"layer{n + 3}_\.", f"detail.{n}.") for n in range(3)),
    (r"down3\.", "down.0."),
    (r"down4\.([01])\.", r"down.1.0.\1."),
    (r"down4\.3\.", "down.1.1.0."),
    (r"down4\.4\.", "down.1.1.1."),
]


def adopt(state: State) -> Adopted:
    """The network; the auxiliary head is left out."""
    own = state_from_authors(state, RULES)
    return dual_resolution_adopted(own, FAMILY, road_input, align_corners=False)


FORMAT = CheckpointFormat(
    name="ydhongHIT/DDRNet",
    family="ddrnet",
    signature=(
        "conv1.0.bias",
        "layer3_.0.conv1.weight",
        "down4.3.weight",
        "spp.process1.2.weight",
        "final_layer.conv2.weight",
    ),
    adopt=adopt,
    source="ydhongHIT/DDRNet de0db31: segmentation/DDRNet_23_slim.py, README.md",
    licence="MIT",
)
