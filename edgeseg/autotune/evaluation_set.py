"""The images that candidates are scored on: labelled ones if possible, and never calibration images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from edgeseg.autotune.scoring import EvaluationImage, Rgb, images_from_dataset, images_from_frames
from edgeseg.calib.images import images_from
from edgeseg.check_images import check_images
from edgeseg.datasets import open_dataset
from edgeseg.datasets.matching import ClassMatch, match_classes
from edgeseg.datasets.pairs import random_subset
from edgeseg.engines.backend import Array
from edgeseg.errors import DataError
from edgeseg.pixels.resize import input_from_rgb
from edgeseg.spec import ModelSpec

MAX_LABELLED = 200
MAX_UNLABELLED = 64
SEARCH_IMAGES = 16
MIN_IMAGES = 8
SHORT_IMAGES = 16
STREET_SEED = 5000


@dataclass(frozen=True)
class EvaluationSet:
    """The images of one decision.

    images: candidates are scored on these. search: frames (N, H, W, 3) that blocks are ranked on. source: origin of
    the images, for the record. advice: how to get better images; "" for good ones.
    classes: (number of classes, ignored id) of the labels; None without labels. names, match: the classes of the
    labels, and the mapping from the model's classes.
    """

    images: Sequence[EvaluationImage]
    classes: tuple[int, int] | None
    search: Array
    source: str
    advice: str = ""
    names: tuple[str, ...] = ()
    match: ClassMatch | None = None


def evaluation_set_from_options(
    spec: ModelSpec, data: str | None, images: str | Path | None, limit: int
) -> EvaluationSet:
    """The images for a model: labelled ones of `data`, else those of `images` without calibration's, else synthetic.

    images, limit: as for calibration. DataError where fewer than MIN_IMAGES remain.
    """
    if data is not None:
        return labelled_evaluation_set(spec, data, images, limit)
    if images is None:
        check = check_images(spec, count=SEARCH_IMAGES + MAX_UNLABELLED, seed=STREET_SEED)
        search, frames = check.frames[:SEARCH_IMAGES], check.frames[SEARCH_IMAGES:]
        return EvaluationSet(images_from_frames(frames), None, search, check.source, check.advice)
    search, digests = calibration_images(images, spec, limit)
    others = (rgb for rgb in images_from(images, spec, limit + MAX_UNLABELLED, seed=1) if digest(rgb) not in digests)
    unlabelled = images_from_frames(islice(others, MAX_UNLABELLED))
    check_enough(unlabelled, f"{images} besides the {limit} for calibration")
    return EvaluationSet(unlabelled, None, search, str(images))


def short_evaluation_set(spec: ModelSpec, data: str | None, images: str | Path | None, taken: int) -> EvaluationSet:
    """The images for a short search: fewer, and calibration's where there are no others.

    taken: how many of `images` are for calibration.
    """
    if data is not None:
        return labelled_evaluation_set(spec, data, images, taken)
    check = check_images(spec, images, calibrated_on=taken, count=SHORT_IMAGES, seed=STREET_SEED)
    return EvaluationSet(images_from_frames(check.frames), None, check.frames, check.source, check.advice)


def labelled_evaluation_set(spec: ModelSpec, data: str, images: str | Path | None, limit: int) -> EvaluationSet:
    """The images of a data set without calibration's, which are `limit` of `images`; 0 for none."""
    dataset = open_dataset(data)
    match = match_classes(spec.labels, dataset, spec.name)
    classes = (len(dataset.labels), dataset.labels.ignore)
    labelled = random_subset(images_from_dataset(dataset), MAX_LABELLED + SEARCH_IMAGES)
    if images is None or limit == 0:
        step = max(2, len(labelled) // SEARCH_IMAGES)
        apart = labelled[::step][:SEARCH_IMAGES]
        search = np.stack([input_from_rgb(image.rgb(), spec.input) for image in apart])
        labelled = [image for image in labelled if image not in apart]
    else:
        search, digests = calibration_images(images, spec, limit)
        labelled = [image for image in labelled if digest(input_from_rgb(image.rgb(), spec.input)) not in digests]
    check_enough(labelled, dataset.name)
    return EvaluationSet(
        labelled[:MAX_LABELLED], classes, search, dataset.name, names=dataset.labels.names, match=match
    )


def check_enough(images: Sequence[EvaluationImage], source: str) -> None:
    """Raise DataError where there are fewer than MIN_IMAGES `images`."""
    if len(images) < MIN_IMAGES:
        raise DataError(
            f"{len(images)} images remain for evaluation in {source}; {MIN_IMAGES} are needed",
            hint="name others with --data URI or --images DIR, or calibrate on fewer: --limit",
            code="ES-DATA-FEW",
        )


def calibration_images(images: str | Path, spec: ModelSpec, limit: int) -> tuple[Array, set[str]]:
    """The first SEARCH_IMAGES calibration images, (N, H, W, 3), and the digests of all of them."""
    search: list[Rgb] = []
    digests = set()
    for rgb in images_from(images, spec, limit):
        digests.add(digest(rgb))
        if len(search) < SEARCH_IMAGES:
            search.append(rgb)
    return np.stack(search), digests


def digest(rgb: Rgb) -> str:
    """The SHA-256 of the pixels."""
    return hashlib.sha256(np.ascontiguousarray(rgb).data).hexdigest()
