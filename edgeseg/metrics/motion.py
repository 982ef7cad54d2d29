"""Flicker of a video without truth: labels that change along the path of what they belong to.

Optical flow says where each pixel of a frame was in the frame before. Its label is compared with the label there. Only
pixels count whose flow is believed: back and forth it leads to the same place (Sundaram, Brox, Keutzer, "Dense point
trajectories by GPU-accelerated large displacement optical flow", ECCV 2010, equation 5), inside the image. So neither
the motion of camera and objects counts, nor what appears and vanishes. What flow does not see, such as a lamp that is
switched on, does; and at the outlines of objects, where flow is least exact, some changes are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.metrics.metric import check_shapes

LONGEST_SIDE = 512  # pixels at which motion is estimated and labels are compared
CONSISTENT = (0.01, 0.5)  # the paper's: share of the squared motion, and squared pixels
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass
class TrackedFlicker:
    """Changes of the label over the frames of one video, given in order.

    compared: pixels of all frames but the first. tracked: those with a believed flow; changed: those of them whose
    label changes; changed_in_place: pixels of all compared ones whose label differs from that at the same place.
    """

    compared: int = 0
    tracked: int = 0
    changed: int = 0
    changed_in_place: int = 0
    pairs: int = 0

    def __post_init__(self) -> None:
        self._before: tuple[Bytes, Bytes] | None = None

    def update(self, rgb: Bytes, labels: NDArray[np.integer[Any]]) -> None:
        """Add the next frame (H, W, 3) and its labels (H, W). SizeError where they differ in size."""
        if rgb.shape[:2] != labels.shape:
            raise SizeError(
                f"labels of {labels.shape} for a frame of {rgb.shape[:2]}", hint="resize the labels to the frame's size"
            )
        now = grey_at(rgb, LONGEST_SIDE), labels_at(labels, LONGEST_SIDE)
        if self._before is not None and self._before[0].shape == now[0].shape:
            self._add(self._before, now)
        self._before = now

    def to_dict(self) -> dict[str, float | None]:
        """Plain data: fractions, None where nothing counts."""
        return {
            "pairs": self.pairs,
            "flicker": self.changed / self.tracked if self.tracked else None,
            "tracked": self.tracked / self.compared if self.compared else None,
            "label_changes": self.changed_in_place / self.compared if self.compared else None,
        }

    def _add(self, before: tuple[Bytes, Bytes], now: tuple[Bytes, Bytes]) -> None:
        places, believed = tracked_places(before[0], now[0])
        rows, columns = places
        check_shapes(before[1], now[1])
        moved = before[1][rows, columns] != now[1]
        self.pairs += 1
        self.compared += now[1].size
        self.tracked += int(np.count_nonzero(believed))
        self.changed += int(np.count_nonzero(believed & moved))
        self.changed_in_place += int(np.count_nonzero(before[1] != now[1]))


def tracked_places(before: Bytes, now: Bytes) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]:
    """Row and column (H, W) in `before` of each pixel of `now`, both (H, W) grey, and whether that is believed."""
    back, forth = flow(now, before), flow(before, now)
    height, width = now.shape
    rows, columns = np.indices(now.shape, dtype=np.float32)
    x, y = columns + back[..., 0], rows + back[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    returned: Floats = np.asarray(cv2.remap(forth, x, y, cv2.INTER_LINEAR), np.float32)
    gap = np.square(back + returned).sum(-1)
    motion = np.square(back).sum(-1) + np.square(returned).sum(-1)
    believed = inside & (gap <= CONSISTENT[0] * motion + CONSISTENT[1])
    places = (np.rint(y).clip(0, height - 1).astype(np.int64), np.rint(x).clip(0, width - 1).astype(np.int64))
    return places, believed


def flow(start: Bytes, end: Bytes) -> Floats:
    """(H, W, 2): how far each pixel of `start` moves in x and y until `end`, both (H, W) grey.

    Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
    """
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(estimator.calc(start, end, None), np.float32)


def grey_at(rgb: Bytes, side: int) -> Bytes:
    """`rgb` in grey, its longer side reduced to `side` where it is longer."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size_at(grey.shape, side), interpolation=cv2.INTER_AREA), np.uint8)


def labels_at(labels: NDArray[np.integer[Any]], side: int) -> Bytes:
    """`labels` at the same size, by nearest neighbour."""
    small = cv2.resize(labels.astype(np.uint8), size_at(labels.shape, side), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(small, np.uint8)


def size_at(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """(width, height) of an image (H, W) whose longer side is at most `side`."""
    scale = min(1.0, side / max(shape[:2]))
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
