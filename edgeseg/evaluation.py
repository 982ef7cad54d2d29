"""Compare masks with ground truth over a data set, through the same path that is timed."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import match_classes
from edgeseg.measure.estimate import Estimate, bootstrap
from edgeseg.measure.recorder import Summary
from edgeseg.metrics import open_metric
from edgeseg.metrics.metric import Counts, Metric
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
    sums: by metric (N, R, K) int64, `Metric.sums` of each image, or of each pair of frames for a metric of video.
    """

    images: int
    metrics: dict[str, Metric]
    latency: dict[str, Summary]
    names: tuple[str, ...]
    extra_pixels: dict[str, int] = field(default_factory=dict)
    labelled_pixels: int = 0
    frame_pairs: int = 0
    sums: dict[str, Counts] = field(default_factory=dict)

    def merge(self, *following: Evaluation) -> Evaluation:
        """The evaluation of the images of all, without latency. `following` have the same metrics, and later images.

        DataError where the classes differ.
        """
        parts = (self, *following)
        return Evaluation(
            sum(part.images for part in parts),
            {
                name: functools.reduce(lambda a, b: a.merge(b), [p.metrics[name] for p in parts])
                for name in self.metrics
            },
            {},
            self.names,
            {name: sum(part.extra_pixels[name] for part in parts) for name in self.extra_pixels},
            sum(part.labelled_pixels for part in parts),
            sum(part.frame_pairs for part in parts),
            {name: np.concatenate([part.sums[name] for part in parts]) for name in self.sums},
        )

    def intervals(self) -> dict[str, Estimate]:
        """The main figure of each metric with its interval, by resampling the images, or the pairs of frames.

        Without those figures that are undefined, or have fewer than two images.
        """
        estimates = {}
        for name, metric in self.metrics.items():
            key, value = next(iter(metric.result().overall.items()))
            sums = self.sums[name].astype(np.float64)  # exact: sums of pixels are below 2**53, in any order
            if len(sums) >= 2 and not math.isnan(value):
                estimate = bootstrap(functools.partial(resampled_figures, metric, sums), len(sums))
                estimates[key] = Estimate(value, estimate.low, estimate.high)
        return estimates

    def to_dict(self) -> dict[str, Any]:
        """Plain data; every value is a fraction over the whole data set."""
        record: dict[str, Any] = {"images": self.images, "frame_pairs": self.frame_pairs}
        for metric in self.metrics.values():
            record.update(metric.result().to_dict(self.names))
        record["intervals"] = {key: {"low": each.low, "high": each.high} for key, each in self.intervals().items()}
        latency = {stage: summary.to_dict() for stage, summary in self.latency.items()}
        return {**record, "extra_pixels": dict(self.extra_pixels), "latency": latency}


def resampled_figures(metric: Metric, sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The main figure (draws,) of images with `sums` (N, R, K) where each counts as often as `weights` (draws, N)."""
    return metric.main_figure(np.tensordot(weights, sums, 1))


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    *,
    metrics: Sequence[str] = ("miou",),
    places: range | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Segment every image of `dataset` at the size of its label image, and update each of `metrics`.

    Low-resolution logits are upsampled bilinearly to the label's size before argmax; the mask of a mask engine is
    resized by nearest neighbour. Classes are matched by name. MismatchError where the model lacks classes of the data
    set. A metric of video gets the pairs of `neighbours`.
    places: the part of `dataset` to evaluate, with step 1; all unless given. A pair of frames is in the part of its
    second one, so that the evaluations of adjacent parts merge into that of the whole.
    """
    match = match_classes(segmenter.spec.labels, dataset, segmenter.spec.name)
    names, ignore = dataset.labels.names, dataset.labels.ignore
    updated = {metric: open_metric(metric)(len(names), ignore, len(match.extra)) for metric in metrics}
    sums: dict[str, list[Counts]] = {metric: [] for metric in metrics}
    extra, labelled, pairs = np.zeros(256, np.int64), 0, 0
    places = range(len(dataset)) if places is None else places
    pair_starts = neighbours([sample.name for sample in dataset])

    def labels_and_truth(place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        sample = dataset[place]
        truth = sample.labels()
        return match(segmenter.segment(sample.rgb(), (truth.shape[0], truth.shape[1])).labels), truth

    before = labels_and_truth(places.start - 1) if places and places.start - 1 in pair_starts else None
    segmenter.clear_latency()
    for count, place in enumerate(places, 1):
        labels, truth = labels_and_truth(place)
        is_pair = place - 1 in pair_starts and before is not None and before[1].shape == truth.shape
        for name, metric in updated.items():
            earlier = metric.sums()
            if metric.frames == 1:
                metric.update(labels, truth)
            elif is_pair and before is not None:
                metric.update(np.stack([before[0], labels]), np.stack([before[1], truth]))
            if metric.frames == 1 or is_pair:
                sums[name].append(metric.sums() - earlier)
        pairs += is_pair
        before = labels, truth
        labelled += int(np.count_nonzero(truth != ignore))
        if match.extra:
            extra += np.bincount(labels[truth != ignore], minlength=256)
        progress("evaluate", count, len(places))
    extra_pixels = {name: int(extra[id_]) for id_, name in enumerate(match.extra, len(names))}
    rows = {name: np.stack([np.zeros_like(updated[name].sums()), *each])[1:] for name, each in sums.items()}
    return Evaluation(len(places), updated, segmenter.latency(), names, extra_pixels, labelled, pairs, rows)


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
