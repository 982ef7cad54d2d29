"""The images that check a conversion: the user's own, a synthetic street for its classes, otherwise noise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.images import images_from, other_images
from edgeseg.engines.agreement import CheckImages
from edgeseg.spec import ModelSpec
from edgeseg.synthetic.camera import SMALLEST, STREET_LABELS, StreetCamera

COUNT = 4
COARSEST = 4  # pixels along the shorter side of the coarsest octave of noise
ADVICE = (
    "compared on noise, which is unlike the model's training images: give images of the camera with --images FOLDER"
)
STREETS, NOISE = "synthetic street images", "noise"
Rgb = NDArray[np.uint8]


def check_images(
    spec: ModelSpec, images: str | Path | None = None, *, calibrated_on: int = 0, count: int = COUNT, seed: int = 0
) -> CheckImages:
    """`count` frames for the model `spec`, with their source.

    images: a folder, glob or data set's URI; `calibrated_on` of them were used for calibration, and the others come
    first. Without images the frames are a synthetic street if the model has its classes, otherwise noise, on which the
    share of equal labels decides nothing.
    """
    if images is not None:
        return user_images(spec, images, calibrated_on, count)
    if knows_street(spec):
        return CheckImages(street_frames(spec.input.width, spec.input.height, count, seed), STREETS)
    return CheckImages(noise_frames(spec, count, seed), NOISE, ADVICE, is_noise=True)


def user_images(spec: ModelSpec, images: str | Path, calibrated_on: int, count: int) -> CheckImages:
    """`count` of `images`: first those that calibration did not use, then calibration's own."""
    if not calibrated_on:
        return CheckImages(np.stack(list(images_from(images, spec, count))), str(images))
    others = list(other_images(images, spec, calibrated_on, count))
    used = list(islice(images_from(images, spec, calibrated_on), count - len(others)))
    if not used:
        note = "calibration did not use these"
    elif not others:
        note = "calibration used these as well: there are no others"
    else:
        note = f"calibration used {len(used)} of these {len(used) + len(others)}: there are no others"
    return CheckImages(np.stack([*others, *used]), f"{images} ({note})")


@dataclass(frozen=True, eq=False)
class BenchImages:
    """The frames on which a model is timed, each (H, W, 3) uint8 rgb of any size. source: their origin, for people."""

    frames: tuple[Rgb, ...]
    source: str


def bench_images(
    spec: ModelSpec, images: str | Path | None, count: int, size: tuple[int, int] | None = None
) -> BenchImages:
    """`count` frames to time a model on: of `images`, of a synthetic street for its classes, or uniform grey.

    `images` have their own sizes. size: (width, height) of the others, that of the model's input unless given.
    """
    if images is not None:
        return BenchImages(tuple(read() for read in images_from(images, spec, count).readers), str(images))
    width, height = size or (spec.input.width, spec.input.height)
    if knows_street(spec):
        return BenchImages(tuple(street_frames(width, height, count)), STREETS)
    return BenchImages(tuple(np.full((count, height, width, 3), 128, np.uint8)), "grey images")


def knows_street(spec: ModelSpec) -> bool:
    """Whether the model has all classes of the synthetic street, and an input that is large enough for it."""
    return set(STREET_LABELS) <= set(spec.labels.names) and min(spec.input.width, spec.input.height) >= SMALLEST


def street_frames(width: int, height: int, count: int, seed: int = 0) -> Rgb:
    """Frames (N, H, W, 3) of the synthetic street, each with another seed."""
    return np.stack([StreetCamera(seed + number, width, height).render(0)[0] for number in range(count)])


def noise_frames(spec: ModelSpec, count: int, seed: int = 0) -> Rgb:
    """Frames (N, H, W, 3) of noise whose amplitude falls with its frequency, as in photographs."""
    rng = np.random.default_rng(seed)
    return np.stack([noise(rng, spec.input.height, spec.input.width) for _ in range(count)])


def noise(rng: np.random.Generator, height: int, width: int) -> Rgb:
    """(H, W, 3): octaves of random colours, each with twice the frequency and half the amplitude of the last."""
    total = np.zeros((height, width, 3), np.float32)
    side, amplitude = COARSEST, 1.0
    while side < min(height, width):
        coarse = rng.normal(0, amplitude, (side, max(1, side * width // height), 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        side, amplitude = 2 * side, amplitude / 2
    scaled: Rgb = np.clip(128 + 50 * total, 0, 255).astype(np.uint8)
    return scaled
