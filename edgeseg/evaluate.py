"""Masks against ground truth over a data set, through the very path that is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.datasets.dataset import Dataset
from edgeseg.measure.recorder import Summary
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found. latency: of the same run, by stage."""

    images: int
    confusion: ConfusionMatrix
    latency: dict[str, Summary]
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `miou` is a fraction over the whole data set."""
        return {
            "images": self.images,
            **self.confusion.to_dict(self.names),
            "latency": {stage: summary.to_dict() for stage, summary in self.latency.items()},
        }


def evaluate(segmenter: Segmenter, dataset: Dataset, *, progress: Progress = silent) -> Evaluation:
    """Segment every picture of `dataset`, at the size of its label image, and count.

    Low-resolution logits are upsampled bilinearly to the label's size, then argmax; a mask engine's mask is taken to
    it by nearest neighbour. MismatchError where the classes are not the model's.
    """
    names = segmenter.spec.labels.names
    dataset.check_labels(names, segmenter.spec.name)
    confusion = ConfusionMatrix(len(names), dataset.labels.ignore)
    segmenter.clear_latency()
    count = 0
    for sample in dataset:
        truth = sample.labels()
        confusion.update(segmenter.segment(sample.rgb(), (truth.shape[0], truth.shape[1])).labels, truth)
        count += 1
        progress("evaluate", count, len(dataset))
    return Evaluation(count, confusion, segmenter.latency(), names)
