"""Pictures in files: which endings they have, and how they are read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError, SizeError
from edgeseg.files import bytes_from_file

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def rgb_from_file(path: Path) -> NDArray[np.uint8]:
    """The image at `path`, (H, W, 3) uint8, turned as its EXIF says; transparency is ignored.

    FormatError where it cannot be decoded; SizeError where it states more than OpenCV's 2^30 pixels, before memory is
    allocated.
    """
    bgr = _bgr_from_bytes(bytes_from_file(path), path)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def _bgr_from_bytes(data: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as problem:
        if problem.func == "validateInputImageSize":
            raise SizeError(
                f"this image states a size that is too large: {path}", hint="remove it, or cut it into tiles"
            ) from problem
        bgr = None
    if bgr is None:
        raise FormatError(f"this image cannot be read: {path}", hint="remove it, or write it again as PNG")
    return np.asarray(bgr, np.uint8)
