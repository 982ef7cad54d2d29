"""The teacher of a distillation: a trained network whose logits a smaller one learns from, besides the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeseg.errors import MismatchError
from edgeseg.models import open_family
from edgeseg.spec import LabelSet
from edgeseg.train.batches import Normalise

if TYPE_CHECKING:
    from edgeseg.export.model import Source


class Teacher:
    """A network in evaluation mode.

    It takes the same augmented pixels as the student, normalised by its own spec (Beyer et al., "Knowledge
    distillation: a good teacher is patient and consistent", arXiv 2106.05237).
    """

    def __init__(self, source: Source, device: torch.device) -> None:
        self.network: nn.Module = open_family(source.spec.family).load(source.spec, source.state)
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.normalise = Normalise(source.spec.input, device)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) of 0 to 255, rgb, to logits (N, C, h, w)."""
        logits: Tensor = self.network(self.normalise(images))
        return logits


def check_teacher(source: Source, labels: LabelSet, crop: tuple[int, int]) -> None:
    """MismatchError unless the teacher has the same classes in the same order; SizeError where it takes no such crop.

    crop: (height, width).
    """
    spec = source.spec
    if spec.labels.names != labels.names:
        raise MismatchError(
            f"the teacher {spec.name} has {len(spec.labels)} classes ({spec.labels.names[0]}, ...), and the data "
            f"{len(labels)} ({labels.names[0]}, ...)",
            hint="name a teacher with the same classes in the same order",
        )
    open_family(spec.family).size_rule.check(crop[1], crop[0], model=f"the teacher {spec.name}")
