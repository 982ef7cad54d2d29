"""What every prediction offers, whatever the task: sinks, callbacks and users rely on this alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Prediction(ABC):
    """What a model says of one image. It owns its memory: later images do not change it."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """(H, W)."""

    @abstractmethod
    def render(self, rgb: NDArray[np.uint8], *, opacity: float = 0.5) -> NDArray[np.uint8]:
        """Draw the prediction over `rgb` (H, W, 3) uint8 of any size; a new array of the same shape.

        opacity: 0 (the image alone) to 1 (the colours alone); DataError outside of that.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: `task`, `size` as [H, W], and what the task has to say."""

    @abstractmethod
    def save(self, path: str | Path) -> Path:
        """Write the prediction as a lossless label image, whole or not at all; the path."""
