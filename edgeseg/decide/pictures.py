"""Which pictures decide: labelled ones where there are any, and never those that the ranges came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from edgeseg.calib.images import images_from
from edgeseg.datasets import open_dataset
from edgeseg.datasets.pick import drawn
from edgeseg.decide.judge import Picture, Rgb, pictures_from_dataset, pictures_from_frames
from edgeseg.engines.backend import Array
from edgeseg.errors import DataError
from edgeseg.pixels.resize import resize_rgb
from edgeseg.spec import ModelSpec
from edgeseg.street import StreetCamera

JUDGED = 200  # labelled pictures at most
UNLABELLED = 64
SEARCHED = 16
LEAST = 8
STREET_SEED = 5000


@dataclass(frozen=True)
class Panel:
    """The pictures of one decision, as in `Question`. source: where the judged ones are from, for the record."""

    judged: Sequence[Picture]
    counted: tuple[int, int] | None
    search: Array
    source: str


def panel_from_options(spec: ModelSpec, data: str | None, images: str | Path | None, limit: int) -> Panel:
    """The pictures for a model: labelled ones of `data`, else those that calibration leaves of `images`, else drawn.

    images, limit: as calibration takes them. DataError where fewer than eight are left to judge on.
    """
    if images is None and data is None:
        frames = street_frames(spec, SEARCHED + UNLABELLED)
        judged = pictures_from_frames(list(frames[SEARCHED:]))
        return Panel(judged, None, frames[:SEARCHED], f"street:?seed={STREET_SEED}")
    if data is None:
        assert images is not None
        search, seen = calibrated_on(images, spec, limit)
        others = (rgb for rgb in images_from(images, spec, limit + UNLABELLED, seed=1) if digest(rgb) not in seen)
        judged = pictures_from_frames(list(islice(others, UNLABELLED)))
        return Panel(enough(judged, f"{images}, beside the {limit} for calibration"), None, search, str(images))
    dataset = open_dataset(data)
    dataset.check_labels(spec.labels.names, spec.name)
    counted = (len(spec.labels), dataset.labels.ignore)
    pictures = drawn(pictures_from_dataset(dataset), JUDGED + SEARCHED)
    size = (spec.input.height, spec.input.width)
    if images is None:
        step = max(2, len(pictures) // SEARCHED)
        apart = pictures[::step][:SEARCHED]
        search = np.stack([resize_rgb(picture.rgb(), size) for picture in apart])
        judged = [picture for picture in pictures if picture not in apart]
    else:
        search, seen = calibrated_on(images, spec, limit)
        judged = [picture for picture in pictures if digest(resize_rgb(picture.rgb(), size)) not in seen]
    return Panel(enough(judged[:JUDGED], dataset.name), counted, search, dataset.name)


def enough(pictures: list[Picture], source: str) -> list[Picture]:
    """`pictures`. DataError where they are too few to judge on."""
    if len(pictures) < LEAST:
        raise DataError(
            f"{len(pictures)} pictures are left to judge on in {source}; {LEAST} are needed",
            hint="name others with --data URI or --images DIR, or calibrate on fewer: --limit",
        )
    return pictures


def street_frames(spec: ModelSpec, count: int) -> Array:
    """Frames (N, H, W, 3) of the drawn street, each of another drive."""
    size = {"width": spec.input.width, "height": spec.input.height}
    return np.stack([StreetCamera(seed=STREET_SEED + number, **size).render(0)[0] for number in range(count)])


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
