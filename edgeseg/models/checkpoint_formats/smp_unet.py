"""The U-Net of segmentation_models_pytorch, on a ResNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State, rows
from edgeseg.models.checkpoint_formats.resnet import depth_from_state
from edgeseg.models.checkpoint_formats.smp import INPUT, decoder_rules, smp_state
from edgeseg.models.unet import FAMILY
from edgeseg.models.variant import text_from_arguments


def adopt(state: State) -> Adopted:
    """Rename, and read depth and widths."""
    own = smp_state(state, decoder_rules(r"(\d)", r"convs.\1"), head="classify")
    arguments = {
        "encoder": f"resnet{depth_from_state(own)}",
        "width": rows(own, "backbone.conv1.weight"),
        "decoder": tuple(rows(own, f"convs.{n}.1.0.weight") for n in range(5)),
        "port": "smp",
    }
    return Adopted(
        variant=text_from_arguments("resnet34", arguments, FAMILY.variants),
        classes=rows(own, "classify.weight"),
        state=own,
        input=INPUT,
        align_corners=False,
    )


FORMAT = CheckpointFormat(
    name="segmentation_models_pytorch U-Net",
    family="unet",
    signature=(
        "encoder.conv1.weight",
        "encoder.layer1.0.conv1.weight",
        "decoder.blocks.0.conv1.0.weight",
        "segmentation_head.0.weight",
    ),
    adopt=adopt,
    source="segmentation-models-pytorch 0.6.0: decoders/unet/decoder.py, encoders/resnet.py, base/heads.py",
)
