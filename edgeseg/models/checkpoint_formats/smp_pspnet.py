"""PSPNet of segmentation_models_pytorch on a ResNet, which it uses to 1/8 of the size: stages 3 and 4 are left out."""

from __future__ import annotations

import torch

from edgeseg.models.checkpoint_formats.checkpoint_format import Adopted, CheckpointFormat, Rule, State, renamed, rows
from edgeseg.models.checkpoint_formats.inputs import SMP
from edgeseg.models.checkpoint_formats.resnet import depth_from_state, resnet_adopted
from edgeseg.models.pspnet import FAMILY

RULES: list[Rule] = [
    (r"encoder\.", "backbone."),
    (r"decoder\.psp\.blocks\.(\d)\.pool\.1\.", r"head.pools.\1."),
    (r"decoder\.conv\.", "head.classify.0."),
    (r"segmentation_head\.0\.", "head.classify.2."),
]


def adopt(state: State) -> Adopted:
    """Rename, and put the map first and its pooled versions behind it, as our network joins them."""
    own = renamed(state, RULES)
    depth = depth_from_state(own)
    own = {key: value for key, value in own.items() if not key.startswith(("backbone.layer3.", "backbone.layer4."))}
    fuse = "head.classify.0.0.weight"
    channels = rows(own, fuse)
    own[fuse] = torch.roll(own[fuse], own[fuse].shape[1] // 2, 1)
    return resnet_adopted(
        own,
        FAMILY.variants,
        depth=depth,
        classes=rows(own, "head.classify.2.weight"),
        input=SMP,
        align_corners=True,
        channels=channels,
        trunk="smp",
        port="smp",
    )


FORMAT = CheckpointFormat(
    name="segmentation_models_pytorch PSPNet",
    family="pspnet",
    signature=(
        "encoder.conv1.weight",
        "encoder.layer1.0.conv1.weight",
        "decoder.psp.blocks.0.pool.1.0.weight",
        "segmentation_head.0.weight",
    ),
    adopt=adopt,
    source="segmentation_models_pytorch 0.6.0: decoders/pspnet/decoder.py",
)
