"""What the two formats of CGNet share: the names inside a block, and the shapes of its gates."""

from __future__ import annotations

from torch import Tensor

from edgeseg.models.cgnet import FAMILY
from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, Rule, State, rows
from edgeseg.models.checkpoint_formats.light import blocks, undivided_input
from edgeseg.models.variant import text_from_arguments

MEAN = (72.39239876, 82.90891754, 73.15835921)  # of R, G, B, both codes say; they are Cityscapes' of B, G, R


def block_rules(prefix: str) -> list[Rule]:
    """Rules for the parts of a block whose name matches `prefix`, behind light.LAYERS."""
    return [
        (rf"({prefix})conv1x1\.", r"\g<1>first."),
        (rf"({prefix})[Ff]_loc\.(?:0\.)?", r"\g<1>local."),
        (rf"({prefix})[Ff]_sur\.(?:0\.)?", r"\g<1>context."),
        (rf"({prefix})1\.", r"\g<1>join.0."),
        (rf"({prefix})2\.", r"\g<1>join.1."),
        (rf"({prefix})(?:reduce\.0|bottleneck)\.", r"\g<1>narrow."),
        (rf"({prefix})[Ff]_glo\.fc\.0\.", r"\g<1>gate.narrow."),
        (rf"({prefix})[Ff]_glo\.fc\.2\.", r"\g<1>gate.widen."),
        ("", ""),
    ]


def adopted(own: State) -> Adopted:
    """The network, from a state with the family's names whose gates are linear layers."""
    state: dict[str, Tensor] = {
        key: value[:, :, None, None] if ".gate." in key and value.ndim == 2 else value for key, value in own.items()
    }
    classes = rows(state, "classify.weight")
    counts = tuple(1 + blocks(state, f"stages.{stage}.") for stage in (0, 1))
    arguments = {"width": rows(state, "stem.0.0.weight"), "blocks": counts}
    return Adopted(
        variant=text_from_arguments("m3n21", arguments, FAMILY.variants),
        classes=classes,
        state=state,
        input=undivided_input(MEAN, classes),
        align_corners=False,
    )
