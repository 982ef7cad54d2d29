"""A class that stays in a zone of the image for some time: an event when it begins and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.capture.state import StreamEvent
from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.spec import LabelSet
from edgeseg.video.result import Result

GRID = 320  # pixels: the longer side of the grid on which pixels are counted
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class TriggerConfig:
    """What to watch for: `label` covers at least `share` of the zone for `seconds`.

    zone: corners of a polygon as (x, y), each from 0 (left, top) to 1 (right, bottom) of the image.
    """

    label: str
    share: float = 0.01
    seconds: float = 2.0
    zone: Sequence[tuple[float, float]] = WHOLE

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.seconds < 0:
            message = f"a trigger of {self.label} has share {self.share} and seconds {self.seconds}"
            raise FormatError(message, hint="write share = 0.01 and seconds = 2.0", code="ES-FORMAT-TRIGGER")
        if len(self.zone) < 3 or not all(0 <= each <= 1 for corner in self.zone for each in corner):
            message = f"the zone of the trigger of {self.label} is not a polygon within the image"
            hint = "write at least three corners, such as zone = [[0, 0.5], [1, 0.5], [1, 1]]"
            raise FormatError(message, hint=hint, code="ES-FORMAT-TRIGGER")


class Trigger:
    """A trigger of one stream. It changes only after `seconds` in the other state, so that a flicker is no event."""

    def __init__(self, config: TriggerConfig, labels: LabelSet) -> None:
        if config.label not in labels.names:
            raise UnknownNameError.among("class", config.label, labels.names)
        self.config, self._id = config, labels.names.index(config.label)
        self.is_on = False
        self._since: float | None = None  # since when it is in the other state
        self._inside: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)

    def update(self, stream: str, result: Result, now: float) -> StreamEvent | None:
        """The event that the result of `now` causes, if any. now: seconds of a clock that does not step."""
        mask = result.prediction
        if not isinstance(mask, SemanticMask):
            return None
        share = self.share_of(mask.labels)
        if (share >= self.config.share) == self.is_on:
            self._since = None
            return None
        self._since = now if self._since is None else self._since
        if now - self._since < self.config.seconds:
            return None
        self.is_on, self._since = not self.is_on, None
        message = f"{self.config.label} {'in' if self.is_on else 'left'} the zone"
        data = {"class": self.config.label, "on": self.is_on, "share": share, "pts_seconds": result.frame.pts_seconds}
        return StreamEvent(stream, "trigger", message, data=data)

    def share_of(self, labels: NDArray[np.uint8]) -> float:
        """The share of the zone that the class covers. labels: (H, W)."""
        step = max(1, max(labels.shape) // GRID)
        grid = labels[::step, ::step]
        if self._inside.shape != grid.shape:
            self._inside = zone_mask(self.config.zone, (grid.shape[0], grid.shape[1]))
        pixels = int(self._inside.sum())
        return float((grid[self._inside] == self._id).sum()) / pixels if pixels else 0.0


def zone_mask(zone: Sequence[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W): the pixels in the polygon, with its border."""
    height, width = size
    corners = np.array([[x * (width - 1), y * (height - 1)] for x, y in zone])
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], 1)
    return canvas.astype(np.bool_)
