"""mmsegmentation's ICNet: a network of its own, which the family builds with `port=mmseg`."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.checkpoint_formats.resnet import depth_from_state
from edgeseg.models.icnet import FAMILY
from edgeseg.models.variant import text_from_arguments

RULES: list[Rule] = [
    (r"backbone\.backbone\.", "backbone."),
    (r"backbone\.psp_modules\.(\d)\.1\.", r"pools.\1."),
    (r"backbone\.psp_bottleneck\.", "pyramid.0."),
    (r"backbone\.conv_sub4\.", "pyramid.1."),
    (r"backbone\.conv_sub2\.", "fuse_quarter.fine.0."),
    (r"backbone\.conv_sub1\.", "detail."),
    (r"neck\.cff_24\.conv_low\.", "fuse_quarter.deep."),
    (r"neck\.cff_24\.conv_high\.", "fuse_quarter.fine.1."),
    (r"neck\.cff_12\.conv_low\.", "fuse_half.deep."),
    (r"neck\.cff_12\.conv_high\.", "fuse_half.fine."),
    (r"decode_head\.convs\.0\.", "classify.0."),
    (r"decode_head\.conv_seg\.", "classify.2."),
]


def adopt(state: State) -> Adopted:
    """The decode head's network; the auxiliary heads are left out."""
    own = mmseg_state(state, RULES)
    classes = rows(own, "classify.2.weight")
    return Adopted(
        variant=variant_from_state(own),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


def variant_from_state(state: State) -> str:
    """Depth and widths, read off the shapes of the family's own names."""
    depth = depth_from_state(state)
    arguments = {
        "depth": depth,
        "divisor": 64 // rows(state, "backbone.layer1.0.conv1.weight"),
        "pyramid": rows(state, "pyramid.0.0.weight"),
        "port": "mmseg",
    }
    name = f"resnet{depth}"
    return text_from_arguments(name if name in FAMILY.variants else "resnet50", arguments, FAMILY.variants)


FORMAT = CheckpointFormat(
    name="mmsegmentation ICNet",
    family="icnet",
    signature=(
        "backbone.backbone.stem.0.weight",
        "backbone.backbone.layer1.0.conv1.weight",
        "backbone.psp_bottleneck.conv.weight",
        "neck.cff_24.conv_low.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/icnet.py, configs/_base_/models/icnet_r50-d8.py",
)
