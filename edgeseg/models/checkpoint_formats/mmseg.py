"""How mmsegmentation and NVlabs, which took its pipeline, normalise: ImageNet's statistics, as InputSpec has them."""

from __future__ import annotations

from edgeseg.spec import InputSpec

CITYSCAPES_CLASSES = 19


def input_of(classes: int) -> InputSpec:
    """2048x1024 for Cityscapes, 512x512 for all else."""
    return InputSpec(2048, 1024) if classes == CITYSCAPES_CLASSES else InputSpec(512, 512)
