"""The interface of predictions of all tasks, for sinks, callbacks and users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.planes import Planes


class Prediction(ABC):
    """The prediction of a model for one image. It owns its memory: later images do not change it."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """(H, W)."""

    @abstractmethod
    def render(self, rgb: NDArray[np.uint8], *, opacity: float = 0.5) -> NDArray[np.uint8]:
        """Draw the prediction over `rgb` (H, W, 3) uint8 of any size; a new array of the same shape.

        opacity: 0 (image only) to 1 (colours only); DataError outside that range.
        """

    def render_planes(self, planes: Planes, *, opacity: float = 0.5) -> Planes | None:
        """`render` for a video encoder, as contiguous I420; None where the task has no such rendering."""
        return None

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: `task`, `size` as [H, W], and the fields of the task."""

    @abstractmethod
    def save(self, path: str | Path) -> Path:
        """Write the prediction as a lossless label image, atomically; returns the path."""
