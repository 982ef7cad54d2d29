"""Which pictures decide: labelled ones where there are any, and never those that the ranges came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from edgeseg.autotune.judge import Picture, Rgb, pictures_from_dataset, pictures_from_frames
from edgeseg.calib.images import images_from
from edgeseg.check_images import check_images
from edgeseg.datasets import open_dataset
from edgeseg.datasets.matching import ClassMatch, match_classes
from edgeseg.datasets.pick import drawn
from edgeseg.engines.backend import Array
from edgeseg.errors import DataError
from edgeseg.pixels.resize import resize_rgb
from edgeseg.spec import ModelSpec

JUDGED = 200  # labelled pictures at most
UNLABELLED = 64
SEARCHED = 16
LEAST = 8
SHORT = 16
STREET_SEED = 5000


@dataclass(frozen=True)
class EvaluationSet:
    """The pictures of one decision, as in `Question`.

    source: where the judged ones are from, for the record. advice: what to give for better ones; "" for good ones.
    names, match: the classes of the labels, and how the model's become those.
    """

    judged: Sequence[Picture]
    counted: tuple[int, int] | None
    search: Array
    source: str
    advice: str = ""
    names: tuple[str, ...] = ()
    match: ClassMatch | None = None


def evaluation_set_from_options(
    spec: ModelSpec, data: str | None, images: str | Path | None, limit: int
) -> EvaluationSet:
    """The pictures for a model: labelled ones of `data`, else those that calibration leaves of `images`, else drawn.

    images, limit: as calibration takes them. DataError where fewer than eight are left to judge on.
    """
    if data is not None:
        return labelled_evaluation_set(spec, data, images, limit)
    if images is None:
        return synthetic_evaluation_set(spec, SEARCHED, UNLABELLED)
    search, seen = calibrated_on(images, spec, limit)
    others = (rgb for rgb in images_from(images, spec, limit + UNLABELLED, seed=1) if digest(rgb) not in seen)
    judged = pictures_from_frames(list(islice(others, UNLABELLED)))
    return EvaluationSet(enough(judged, f"{images}, beside the {limit} for calibration"), None, search, str(images))


def short_evaluation_set(spec: ModelSpec, data: str | None, images: str | Path | None, taken: int) -> EvaluationSet:
    """The pictures for a short decision: as above, but fewer, and those of the calibration where there are no others.

    taken: how many of `images` calibration takes.
    """
    if data is not None:
        return labelled_evaluation_set(spec, data, images, taken)
    found = check_images(spec, images, calibrated_on=taken, count=SHORT, seed=STREET_SEED)
    return EvaluationSet(pictures_from_frames(list(found.frames)), None, found.frames, found.source, found.advice)


def synthetic_evaluation_set(spec: ModelSpec, searched: int, judged: int) -> EvaluationSet:
    """Pictures that are made up: streets for a model that knows their classes, else noise."""
    found = check_images(spec, count=searched + judged, seed=STREET_SEED)
    return EvaluationSet(
        pictures_from_frames(list(found.frames[searched:])), None, found.frames[:searched], found.source, found.advice
    )


def labelled_evaluation_set(spec: ModelSpec, data: str, images: str | Path | None, limit: int) -> EvaluationSet:
    """The pictures of a data set, without those that calibration takes of `images`: `limit`, 0 for none."""
    dataset = open_dataset(data)
    match = match_classes(spec.labels, dataset, spec.name)
    counted = (len(dataset.labels), dataset.labels.ignore)
    pictures = drawn(pictures_from_dataset(dataset), JUDGED + SEARCHED)
    size = (spec.input.height, spec.input.width)
    if images is None or limit == 0:
        step = max(2, len(pictures) // SEARCHED)
        apart = pictures[::step][:SEARCHED]
        search = np.stack([resize_rgb(picture.rgb(), size) for picture in apart])
        judged = [picture for picture in pictures if picture not in apart]
    else:
        search, seen = calibrated_on(images, spec, limit)
        judged = [picture for picture in pictures if digest(resize_rgb(picture.rgb(), size)) not in seen]
    judged = enough(judged[:JUDGED], dataset.name)
    return EvaluationSet(judged, counted, search, dataset.name, names=dataset.labels.names, match=match)


def enough(pictures: list[Picture], source: str) -> list[Picture]:
    """`pictures`. DataError where they are too few to judge on."""
    if len(pictures) < LEAST:
        raise DataError(
            f"{len(pictures)} pictures are left to judge on in {source}; {LEAST} are needed",
            hint="name others with --data URI or --images DIR, or calibrate on fewer: --limit",
        )
    return pictures


def calibrated_on(images: str | Path, spec: ModelSpec, limit: int) -> tuple[Array, set[str]]:
    """Some of the pictures that calibration takes, (N, H, W, 3), and the hashes of all of them."""
    search: list[Rgb] = []
    seen = set()
    for rgb in images_from(images, spec, limit):
        seen.add(digest(rgb))
        if len(search) < SEARCHED:
            search.append(rgb)
    return np.stack(search), seen


def digest(rgb: Rgb) -> str:
    """A hash of the pixels."""
    return hashlib.sha256(np.ascontiguousarray(rgb).data).hexdigest()
