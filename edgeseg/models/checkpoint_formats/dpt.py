"""What the formats of DPT share: the variant, and the layers of the readout taken apart."""

from __future__ import annotations

from torch import Tensor

from edgeseg.models.checkpoint_formats.checkpoint_format import State, rows
from edgeseg.models.checkpoint_formats.vit import vit_arguments
from edgeseg.models.dpt import FAMILY
from edgeseg.models.variant import text_from_arguments

READOUT = "readout."  # in a name of `with_readouts`: the layer that reads a patch joined with the token of the class


def with_readouts(state: State) -> dict[str, Tensor]:
    """`state`; a layer of 2C channels as two of C, one for the patches, and one with the bias for the token."""
    own: dict[str, Tensor] = {}
    for key, value in state.items():
        if f"{READOUT}weight" in key:
            for part, half in zip(("patches.", "token."), value.chunk(2, 1)):
                own[key.replace(READOUT, part)] = half.contiguous()
        else:
            own[key.replace(READOUT, "token.")] = value
    return own


def variant_from_state(state: State, *, resize: str, eps: float) -> str:
    """Widths, depth and positions, read off the shapes of the family's own names."""
    arguments = {
        **vit_arguments(state),
        "resize": resize,
        "eps": eps,
        "middles": tuple(rows(state, f"maps.{n}.project.weight") for n in range(4)),
        "width": rows(state, "classify.0.0.weight"),
    }
    same = [name for name, each in FAMILY.variants.items() if each["channels"] == arguments["channels"]]
    name = same[0] if same else "vit-b16"
    return text_from_arguments(name, arguments, FAMILY.variants)
