"""Pictures in files: which endings they have, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError
from edgeseg.files import existing_file

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def rgb_from_file(path: Path) -> NDArray[np.uint8]:
    """The picture at `path`, (H, W, 3) uint8, turned as its EXIF says. FormatError where it cannot be decoded."""
    data = np.frombuffer(existing_file(path).read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise FormatError(f"this image cannot be read: {path}", hint="remove it, or write it again as PNG")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)
