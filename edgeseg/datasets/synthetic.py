"""Frames of the synthetic street with their exact ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from edgeseg.datasets.dataset import Bytes, Dataset, DatasetKind
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import DataError
from edgeseg.spec import size_from_text
from edgeseg.synthetic import StreetCamera
from edgeseg.uri import integer_option


@lru_cache(maxsize=4)
def rendered(camera: StreetCamera, index: int) -> tuple[Bytes, Bytes]:
    """Image and labels of one frame; the latest frames are cached, because both are requested in turn."""
    rgb, labels = camera.render(index)
    return rgb, labels


@dataclass(frozen=True)
class StreetSample:
    """One frame of a camera."""

    camera: StreetCamera
    index: int

    @property
    def name(self) -> str:
        """Seed and frame number."""
        return f"{self.camera.seed}-{self.index:05d}"

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8, a new array."""
        return rendered(self.camera, self.index)[0].copy()

    def labels(self) -> Bytes:
        """(H, W) uint8, a new array."""
        return rendered(self.camera, self.index)[1].copy()


def open_street(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """`frames` frames of each seed, every `stride`-th one."""
    if path:
        raise DataError(f"the synthetic street has no path: {path}", hint="write street:?seed=100&frames=40")
    width, height = size_from_text(options["size"])
    frames, stride, fps = (integer_option(options, key, 25) for key in ("frames", "stride", "fps"))
    cameras = [StreetCamera(seed, width, height, fps) for seed in seeds_of(options)]
    samples = [StreetSample(camera, stride * i) for camera in cameras for i in range(frames)]
    return Dataset(name=name, labels=CAMVID_LABELS, samples=samples)


def seeds_of(options: Mapping[str, str]) -> range:
    """The seeds of seed=100..107, or of seed=100&scenes=8."""
    first, dots, last = options["seed"].partition("..")
    start = integer_option({"seed": first}, "seed", 100, least=0)
    if not dots:
        return range(start, start + (integer_option(options, "scenes", 1) if options["scenes"] else 1))
    if options["scenes"]:
        message = f"seed={options['seed']} and scenes={options['scenes']} exclude each other"
        raise DataError(message, hint=f"write seed={options['seed']} alone", code="ES-MISMATCH-OPTIONS")
    return range(start, integer_option({"seed": last}, "seed", start, least=start) + 1)


KIND = DatasetKind(
    name="street",
    options={"seed": "100", "scenes": "", "frames": "40", "size": "1024x512", "stride": "25", "fps": "25"},
    open=open_street,
    synthetic=True,
)
