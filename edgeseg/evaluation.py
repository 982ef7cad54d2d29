"""Compare masks with ground truth over a data set, through the same path that is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import match_classes
from edgeseg.measure.recorder import Summary
from edgeseg.metrics import open_metric
from edgeseg.metrics.metric import Metric
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    metrics: by their names in METRICS. latency: of the same run, by stage. names: the data set's classes.
    extra_pixels: the number of labelled pixels that the model gave to each class that only the model has.
    """

    images: int
    metrics: dict[str, Metric]
    latency: dict[str, Summary]
    names: tuple[str, ...]
    extra_pixels: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; every value is a fraction over the whole data set."""
        record: dict[str, Any] = {"images": self.images}
        for metric in self.metrics.values():
            record.update(metric.result().to_dict(self.names))
        latency = {stage: summary.to_dict() for stage, summary in self.latency.items()}
        return {**record, "extra_pixels": dict(self.extra_pixels), "latency": latency}


def evaluate(
    segmenter: Segmenter, dataset: Dataset, *, metrics: Sequence[str] = ("miou",), progress: Progress = silent
) -> Evaluation:
    """Segment every image of `dataset` at the size of its label image, and update each of `metrics`.

    Low-resolution logits are upsampled bilinearly to the label's size before argmax; the mask of a mask engine is
    resized by nearest neighbour. Classes are matched by name. MismatchError where the model lacks classes of the data
    set.
    """
    match = match_classes(segmenter.spec.labels, dataset, segmenter.spec.name)
    names, ignore = dataset.labels.names, dataset.labels.ignore
    updated = {metric: open_metric(metric)(len(names), ignore, len(match.extra)) for metric in metrics}
    extra = np.zeros(256, np.int64)
    segmenter.clear_latency()
    count = 0
    for sample in dataset:
        truth = sample.labels()
        labels = match(segmenter.segment(sample.rgb(), (truth.shape[0], truth.shape[1])).labels)
        for metric in updated.values():
            metric.update(labels, truth)
        if match.extra:
            extra += np.bincount(labels[truth != ignore], minlength=256)
        count += 1
        progress("evaluate", count, len(dataset))
    extra_pixels = {name: int(extra[id_]) for id_, name in enumerate(match.extra, len(names))}
    return Evaluation(count, updated, segmenter.latency(), names, extra_pixels)
