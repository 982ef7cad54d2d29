"""A line of text across the bottom of an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LINES_PER_FRAME = 18  # height of a frame / height of the line
LEAST_LINE = 16  # pixels


def draw_banner(rgb: NDArray[np.uint8], text: str) -> None:
    """Draw `text` in white on red across the bottom of `rgb` (H, W, 3), in place."""
    line = max(LEAST_LINE, rgb.shape[0] // LINES_PER_FRAME)
    strip = np.ascontiguousarray(rgb[-line:])
    strip[:] = (176, 0, 32)
    size, at = line / 40, (line // 3, int(0.72 * strip.shape[0]))
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), max(1, line // 16), cv2.LINE_AA)
    rgb[-line:] = strip
