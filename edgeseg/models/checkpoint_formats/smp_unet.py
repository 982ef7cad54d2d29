"""The U-Net of segmentation_models_pytorch, on a ResNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, State
from edgeseg.models.checkpoint_formats.smp import decoder_rules, smp_state, unet_adopted
from edgeseg.models.unet import FAMILY


def adopt(state: State) -> Adopted:
    """Rename, and read depth and widths."""
    own = smp_state(state, decoder_rules(r"(\d)", r"convs.\1"), head="classify")
    return unet_adopted(own, FAMILY, [f"convs.{n}" for n in range(5)])


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
