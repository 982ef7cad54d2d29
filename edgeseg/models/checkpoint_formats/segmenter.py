"""What the formats of Segmenter share: the variant, and the size that it was trained at."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, State, rows
from edgeseg.models.checkpoint_formats.vit import vit_arguments
from edgeseg.models.segmenter import FAMILY
from edgeseg.models.variant import text_from_arguments
from edgeseg.models.vit import PATCH
from edgeseg.spec import InputSpec

HALF = (0.5, 0.5, 0.5)  # mean and std of the ViTs that Google trained


def segmenter_adopted(state: State, *, resize: str, eps: float, details: str = "") -> Adopted:
    """`state` with the family's own names, at the size of its positions."""
    shape, first = vit_arguments(state), rows(state, "backbone.tokens", 1)
    arguments = {**shape, "resize": resize, "eps": eps, "first": first}
    same = [name for name, each in FAMILY.variants.items() if each["channels"] == shape["channels"]]
    side = PATCH * shape["grid"]
    return Adopted(
        variant=text_from_arguments(same[0] if same else "t-mask", arguments, FAMILY.variants),
        classes=rows(state, "head.mask_norm.weight"),
        state=dict(state),
        # DeiT, which has a second token, was trained with the statistics of ImageNet.
        input=InputSpec(side, side) if first > 1 else InputSpec(side, side, mean=HALF, std=HALF),
        align_corners=False,
        details=details,
    )
