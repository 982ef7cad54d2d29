"""mmsegmentation's U-Net with the head of FCN."""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, rows
from edgeseg.models.checkpoint_formats.inputs import mmseg_input
from edgeseg.models.checkpoint_formats.mmseg import mmseg_state
from edgeseg.models.unet import FAMILY
from edgeseg.models.unet_trunk import CONVOLUTIONS
from edgeseg.models.variant import text_from_arguments


def adopt(state: State) -> Adopted:
    """Rename; its decoder counts from the finest map, and concatenates the encoder's map first."""
    steps = sum(f"backbone.decoder.{n}.upsample.interp_upsample.1.conv.weight" in state for n in range(9))
    rules: list[Rule] = [(r"backbone\.encoder\.(\d)\.[01]\.convs\.", r"backbone.stages.\1.")]
    for n in range(steps):
        rules.append((rf"backbone\.decoder\.{n}\.conv_block\.convs\.", f"convs.{steps - 1 - n}."))
        rules.append((rf"backbone\.decoder\.{n}\.upsample\.interp_upsample\.", f"ups.{steps - 1 - n}."))
    own = mmseg_state(
        state, [*rules, (r"decode_head\.convs\.0\.", "classify.0."), (r"decode_head\.conv_seg\.", "classify.2.")]
    )
    for n in range(steps):
        key = f"convs.{n}.0.0.weight"
        own[key] = torch.cat(own[key].chunk(2, 1)[::-1], 1)
    classes = rows(own, "classify.2.weight")
    arguments = {
        "encoder": CONVOLUTIONS,
        "width": rows(own, "backbone.stages.0.0.0.weight"),
        "decoder": tuple(rows(own, f"convs.{n}.1.0.weight") for n in range(steps)),
        "port": "mmseg",
    }
    return Adopted(
        variant=text_from_arguments("mmseg", arguments, FAMILY.variants),
        classes=classes,
        state=own,
        input=mmseg_input(classes),
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="mmsegmentation U-Net",
    family="unet",
    signature=(
        "backbone.encoder.0.0.convs.0.conv.weight",
        "backbone.decoder.0.conv_block.convs.0.conv.weight",
        "backbone.decoder.0.upsample.interp_upsample.1.conv.weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.conv_seg.weight",
    ),
    adopt=adopt,
    source="mmsegmentation 1.2.2: mmseg/models/backbones/unet.py, configs/_base_/models/fcn_unet_s5-d16.py",
)
