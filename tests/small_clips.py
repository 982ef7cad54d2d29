"""Small videos and images that the video tests make for themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import edgeseg.video

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 220)


def quarters(width: int = 160, height: int = 96) -> np.ndarray:
    """Red top left, green top right, blue bottom left, white bottom right."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2], rgb[: height // 2, width // 2 :] = RED, GREEN
    rgb[height // 2 :, : width // 2], rgb[height // 2 :, width // 2 :] = BLUE, WHITE
    return rgb


def corners(rgb: np.ndarray) -> list[str]:
    """The names of the colours in the four quarters: top left, top right, bottom left, bottom right."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    height, width = rgb.shape[:2]
    points = [(y, x) for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]
    return [min(names, key=lambda n: np.abs(rgb[y, x].astype(int) - names[n]).sum()) for y, x in points]


def make_clip(
    path: Path,
    frames: int = 12,
    *,
    rgb: Callable[[int], np.ndarray] = lambda index: quarters(),
    pts: Callable[[int], int] = lambda index: index,
    turn: dict[str, Any] | None = None,
    pixel_aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of 25 fps; pts counts in frames."""
    height, width = rgb(0).shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qmin": "2", "qmax": "2"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if turn:
            stream.set_display_rotation(**turn)
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(rgb(index), format="rgb24")
            picture.pts, picture.time_base = pts(index), Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def noise(index: int) -> np.ndarray:
    """Frames that are all about equally long when encoded."""
    return np.random.default_rng(index).integers(0, 256, (96, 160, 3), dtype=np.uint8)


def make_images(folder: Path, count: int = 4, width: int = 40, height: int = 30) -> Path:
    """img1.png, img2.png, ..., of which number n has the value n everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(1, count + 1):
        cv2.imwrite(str(folder / f"img{n}.png"), np.full((height, width, 3), n, np.uint8))
    return folder


def modules_that_define(function: str) -> set[str]:
    """The modules of edgeseg.video that have a top-level `function`."""
    folder = Path(edgeseg.video.__file__).parent
    found = re.compile(rf"^def {function}\(", re.MULTILINE)
    return {f"edgeseg.video.{path.stem}" for path in folder.glob("*.py") if found.search(path.read_text())}


class FakeCapture:
    """Stands in for cv2.VideoCapture: three frames of 64x48, then silence."""

    works = True
    sizes = ((48, 64),) * 4  # the first one is taken at opening

    def __init__(self, device: int | str) -> None:
        self.device, self.wishes, self.released, self._next = device, {}, False, 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.works

    def set(self, key: int, value: float) -> None:
        self.wishes[key] = value

    def get(self, key: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self._next >= len(self.sizes):
            return False, None
        self._next += 1
        return True, np.full((*self.sizes[self._next - 1], 3), (10, 20, 30), np.uint8)  # BGR

    def release(self) -> None:
        self.released = True
