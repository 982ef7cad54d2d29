"""The authors' OCRNet on HRNet, whose configurations leave the corners aligned as their default says."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.hrnet import (
    AUTHORS,
    authors_input,
    hrnet_adopted,
    without_bias,
)
from edgeseg.models.ocrnet import FAMILY

BLOCK = r"ocr_distri_head\.object_context_block\."
PARTS = {"f_pixel": "query", "f_object": "key", "f_down": "value", "f_up": "out"}
RULES: list[Rule] = [
    AUTHORS,
    (r"aux_head\.([01])\.", r"coarse.0.\1."),
    (r"aux_head\.3\.", "coarse.1."),
    (r"conv3x3_ocr\.", "pixels."),
    (r"ocr_distri_head\.conv_bn_dropout\.0\.", "join.0."),
    (r"ocr_distri_head\.conv_bn_dropout\.1\.0\.", "join.1."),
    (r"cls_head\.", "classify."),
]
for theirs, ours in PARTS.items():
    if ours in ("query", "key"):  # two convolutions
        RULES += [(rf"{BLOCK}{theirs}\.{2 * n}\.", f"attention.{ours}.{n}.0.") for n in (0, 1)]
        RULES += [(rf"{BLOCK}{theirs}\.{2 * n + 1}\.0\.", f"attention.{ours}.{n}.1.") for n in (0, 1)]
    else:
        RULES += [(rf"{BLOCK}{theirs}\.0\.", f"attention.{ours}.0.")]
        RULES += [(rf"{BLOCK}{theirs}\.1\.0\.", f"attention.{ours}.1.")]


def adopt(state: State) -> Adopted:
    """Rename, and read the widths."""
    own = without_bias(renamed(state, RULES), "coarse.0", "pixels")
    return hrnet_adopted(
        own,
        FAMILY,
        authors_input,
        classifier="classify",
        align_corners=True,
        channels=rows(own, "pixels.0.weight"),
        keys=rows(own, "attention.value.0.weight"),
        upsample="corners",
    )


FORMAT = CheckpointFormat(
    name="HRNet-Semantic-Segmentation OCRNet",
    family="ocrnet",
    signature=(
        "stage4.0.fuse_layers.3.2.0.0.weight",
        "conv3x3_ocr.0.weight",
        "ocr_distri_head.object_context_block.f_pixel.0.weight",
        "cls_head.weight",
        "aux_head.3.weight",
    ),
    adopt=adopt,
    source="HRNet/HRNet-Semantic-Segmentation, branch HRNet-OCR: lib/models/seg_hrnet_ocr.py, lib/config/default.py",
    licence="MIT",
)
