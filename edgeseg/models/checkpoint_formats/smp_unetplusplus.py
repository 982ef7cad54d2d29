"""The U-Net++ of segmentation_models_pytorch, on a ResNet."""

from __future__ import annotations

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State
from edgeseg.models.checkpoint_formats.smp import decoder_rules, smp_state, unet_adopted
from edgeseg.models.unetplusplus import FAMILY

ROWS = 4


def block_rules() -> list[Rule]:
    """Its block x_d_l is in row 3 - l; d counts from the last column. x_0_4 is the step behind the first row."""
    rules = decoder_rules(f"x_0_{ROWS}", "further.0.1")
    for level in range(ROWS):
        for d in range(level + 1):
            rules += decoder_rules(f"x_{d}_{level}", f"nodes.{ROWS - 1 - level}_{level - d + 1}")
    return rules


def adopt(state: State) -> Adopted:
    """Rename, and read depth and widths."""
    own = smp_state(state, block_rules(), head="classify")
    lasts = [f"nodes.{row}_{ROWS - row}" for row in reversed(range(ROWS))]
    return unet_adopted(own, FAMILY, [*lasts, "further.0.1"])


FORMAT = CheckpointFormat(
    name="segmentation_models_pytorch U-Net++",
    family="unetplusplus",
    signature=(
        "encoder.conv1.weight",
        "encoder.layer1.0.conv1.weight",
        "decoder.blocks.x_0_0.conv1.0.weight",
        "segmentation_head.0.weight",
    ),
    adopt=adopt,
    source="segmentation-models-pytorch 0.6.0: decoders/unetplusplus/decoder.py, encoders/resnet.py, base/heads.py",
)
