"""The mIoU of a network during training, measured as `edgeseg eval` measures an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeseg.datasets.dataset import Dataset, Sample
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import labels_from_logits
from edgeseg.progress import Progress, silent
from edgeseg.spec import ModelSpec
from edgeseg.train.batches import Normalise

Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Predictor:
    """Labels of whole images in float32: resize to the input size, upsample the logits to the label size, argmax.

    network: in evaluation mode.
    """

    network: nn.Module
    spec: ModelSpec
    device: torch.device

    @torch.inference_mode()
    def __call__(self, rgb: Array, size: tuple[int, int]) -> Array:
        """(H, W, 3) to (height, width) of `size`."""
        frame = np.ascontiguousarray(resize_rgb(rgb, (self.spec.input.height, self.spec.input.width)))
        image = torch.from_numpy(frame).to(self.device).permute(2, 0, 1)[None].float()
        logits = self.network(Normalise(self.spec.input, self.device)(image))[0].float().cpu().numpy()
        return labels_from_logits(np.ascontiguousarray(logits), size, align_corners=self.spec.align_corners)


def validate(
    predict: Callable[[Array, tuple[int, int]], Array], dataset: Dataset, *, progress: Progress = silent
) -> ConfusionMatrix:
    """All images of `dataset`, each at the size of its label image."""
    confusion = ConfusionMatrix(len(dataset.labels), dataset.labels.ignore)
    for count, sample in enumerate(dataset, 1):
        truth = sample.labels()
        confusion.update(predict(sample.rgb(), (truth.shape[0], truth.shape[1])), truth)
        progress("validate", count, len(dataset))
    return confusion


def spread(dataset: Dataset, count: int) -> list[Sample]:
    """`count` samples at equal distances from the first to the last; all where there are fewer."""
    places = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    return [dataset[int(place)] for place in places]
