"""Compare masks with ground truth over a data set, through the same path that is timed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import match_classes
from edgeseg.measure.recorder import Summary
from edgeseg.metrics import open_metric
from edgeseg.metrics.metric import Metric
from edgeseg.metrics.motion import TrackedFlicker
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter
from edgeseg.video.frame import Frame


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    metrics: by their names in METRICS. latency: of the same run, by stage. names: the data set's classes.
    extra_pixels: the number of labelled pixels that the model gave to each class that only the model has.
    labelled_pixels: of all images. frame_pairs: how many pairs of neighbouring frames there were, for metrics of video.
    """

    images: int
    metrics: dict[str, Metric]
    latency: dict[str, Summary]
    names: tuple[str, ...]
    extra_pixels: dict[str, int] = field(default_factory=dict)
    labelled_pixels: int = 0
    frame_pairs: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data; every value is a fraction over the whole data set."""
        record: dict[str, Any] = {"images": self.images, "frame_pairs": self.frame_pairs}
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
    set. A metric of video gets the pairs of `neighbours`.
    """
    match = match_classes(segmenter.spec.labels, dataset, segmenter.spec.name)
    names, ignore = dataset.labels.names, dataset.labels.ignore
    updated = {metric: open_metric(metric)(len(names), ignore, len(match.extra)) for metric in metrics}
    extra, labelled, pairs = np.zeros(256, np.int64), 0, 0
    pair_starts = neighbours([sample.name for sample in dataset])
    before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    segmenter.clear_latency()
    for count, sample in enumerate(dataset, 1):
        truth = sample.labels()
        labels = match(segmenter.segment(sample.rgb(), (truth.shape[0], truth.shape[1])).labels)
        is_pair = count - 2 in pair_starts and before is not None and before[1].shape == truth.shape
        for metric in updated.values():
            if metric.frames == 1:
                metric.update(labels, truth)
            elif is_pair and before is not None:
                metric.update(np.stack([before[0], labels]), np.stack([before[1], truth]))
        pairs += is_pair
        before = labels, truth
        labelled += int(np.count_nonzero(truth != ignore))
        if match.extra:
            extra += np.bincount(labels[truth != ignore], minlength=256)
        progress("evaluate", count, len(dataset))
    extra_pixels = {name: int(extra[id_]) for id_, name in enumerate(match.extra, len(names))}
    return Evaluation(len(dataset), updated, segmenter.latency(), names, extra_pixels, labelled, pairs)


def video_flicker(segmenter: Segmenter, frames: Iterable[Frame], progress: Progress = silent) -> TrackedFlicker:
    """The flicker of a video without ground truth: of `frames` in their order."""
    flicker = TrackedFlicker()
    for count, frame in enumerate(frames, 1):
        rgb = frame.rgb()
        flicker.update(rgb, segmenter.segment(rgb).labels)
        progress("evaluate", count, None)
    return flicker


def neighbours(names: Sequence[str]) -> set[int]:
    """The places of the first of two neighbouring frames, which follow each other in `names`.

    Their names are equal up to a last number, as in "0001TP_006690", and the numbers differ by as much as the nearest
    ones of all `names`: a gap in a sequence makes no pair.
    """
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    steps = {
        place: int(second[2]) - int(first[2])
        for place, (first, second) in enumerate(itertools.pairwise(parts))
        if first and second and first[1] == second[1] and int(second[2]) > int(first[2])
    }
    return {place for place, step in steps.items() if step == min(steps.values())}
