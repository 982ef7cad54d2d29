"""What the formats of BiSeNetV1 share: names of a convolution with its norm, and the variant from tensor shapes."""

from __future__ import annotations

from edgeseg.errors import MismatchError
from edgeseg.models.bisenetv1 import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import Rule, State, rows
from edgeseg.models.variant import text_from_arguments

# (bottlenecks, blocks of the third stage) -> name
BACKBONES = {(False, 2): "resnet18", (True, 6): "resnet50"}


def conv_bn_rules(theirs: str, ours: str) -> list[Rule]:
    """Rules for a module with `conv` and `bn`, which is two layers of a sequence here."""
    return [(rf"{theirs}\.conv\.", f"{ours}.0."), (rf"{theirs}\.bn\.", f"{ours}.1.")]


def variant_from_state(state: State, *, upsample: str, gate_relu: bool = False, shuffle: bool = False) -> str:
    """The variant with the widths of `state`, which has the family's own names, and the other arguments."""
    backbone = backbone_from_state(state)
    name = backbone if backbone in FAMILY.variants else "resnet18"
    arguments = {
        "backbone": backbone,
        "spatial": tuple(rows(state, f"spatial.{n}.0.weight") for n in range(4)),
        "context": rows(state, "context.last16.0.weight"),
        "fused": rows(state, "fusion.conv.0.weight"),
        "gate": rows(state, "fusion.gate.0.weight") if "fusion.gate.2.weight" in state else 0,
        "gate_relu": gate_relu,
        "head": rows(state, "head.0.0.weight"),
        "upsample": upsample,
        "shuffle": shuffle,
    }
    return text_from_arguments(name, {**FAMILY.variants[name], **arguments}, FAMILY.variants)


def backbone_from_state(state: State) -> str:
    """The backbone's name, by the blocks that it has. MismatchError for one that the family lacks."""
    prefix = "context.backbone."
    if f"{prefix}stages.0.0.body.0.0.weight" in state:
        return "xception39"
    blocks = {key.split(".")[3] for key in state if key.startswith(f"{prefix}layer3.")}
    bottleneck = f"{prefix}layer1.0.conv3.weight" in state
    if (bottleneck, len(blocks)) not in BACKBONES:
        kind = "bottleneck" if bottleneck else "basic"
        raise MismatchError(
            f"a BiSeNetV1 whose backbone has {len(blocks)} {kind} blocks in its third stage",
            hint=f"edgeseg knows {', '.join(['xception39', *BACKBONES.values()])}; export others with their own code",
        )
    return BACKBONES[bottleneck, len(blocks)]
