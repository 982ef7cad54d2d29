"""Frames of the street camera with their ground truth, which is exact: the camera is drawn, not filmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from edgeseg.datasets.dataset import Bytes, Dataset, DatasetKind, counted
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import DataError
from edgeseg.spec import size_from_text
from edgeseg.synthetic import StreetCamera


@lru_cache(maxsize=1)
def drawn(camera: StreetCamera, index: int) -> tuple[Bytes, Bytes]:
    """Picture and labels of one frame; the frame drawn last is kept, since both are asked for in turn."""
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
        """(H, W, 3) uint8, the caller's own."""
        return drawn(self.camera, self.index)[0].copy()

    def labels(self) -> Bytes:
        """(H, W) uint8, the caller's own."""
        return drawn(self.camera, self.index)[1].copy()


def open_street(name: str, path: str, options: Mapping[str, str]) -> Dataset:
    """`frames` frames of each seed, `stride` frames apart, from the first on."""
    if path:
        raise DataError(f"the street camera reads no file: {path}", hint="write street:?seed=100&frames=40")
    width, height = size_from_text(options["size"])
    frames, stride, fps = (counted(key, options[key]) for key in ("frames", "stride", "fps"))
    cameras = [StreetCamera(seed, width, height, fps) for seed in seeds_of(options["seed"], options["scenes"])]
    samples = [StreetSample(camera, stride * i) for camera in cameras for i in range(frames)]
    return Dataset(name=name, labels=CAMVID_LABELS, samples=samples)


def seeds_of(seed: str, scenes: str) -> range:
    """The seeds of "100..107", or those of "100" and `scenes` "8"."""
    first, dots, last = seed.partition("..")
    start = counted("seed", first, least=0)
    if not dots:
        return range(start, start + counted("scenes", scenes or "1"))
    if scenes:
        raise DataError(f"seed={seed} and scenes={scenes} both say how many", hint=f"write seed={seed} alone")
    return range(start, counted("seed", last, least=start) + 1)


KIND = DatasetKind(
    name="street",
    options={"seed": "100", "scenes": "", "frames": "40", "size": "1024x512", "stride": "25", "fps": "25"},
    open=open_street,
    synthetic=True,
)
