"""Read images from files, arrays and PIL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, FormatError, SizeError
from edgeseg.files import bytes_from_file

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def rgb_from_file(path: Path) -> NDArray[np.uint8]:
    """The image at `path`, (H, W, 3) uint8, rotated by its EXIF orientation; transparency is ignored.

    FormatError where it cannot be decoded; SizeError where its header states more than OpenCV's 2^30 pixels, before
    memory is allocated.
    """
    bgr = _bgr_from_bytes(bytes_from_file(path), path)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), np.uint8)


def _bgr_from_bytes(data: bytes, path: Path) -> NDArray[np.uint8]:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as problem:
        if problem.func == "validateInputImageSize":
            raise SizeError(f"image too large: {path}", hint="remove it, or split it into tiles") from problem
        bgr = None
    if bgr is None:
        raise FormatError(f"cannot read image: {path}", hint="remove it, or save it again as PNG")
    return np.asarray(bgr, np.uint8)


class PilImage(Protocol):
    """The needed part of `PIL.Image.Image`, so that Pillow is optional."""

    def convert(self, mode: str) -> Any:
        """The image in another mode, such as "RGB"."""


ImageLike: TypeAlias = NDArray[np.uint8] | PilImage | Sequence[Any] | str | Path


def rgb_from_image(image: ImageLike) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an rgb array or nested lists, of a PIL image in any mode, or of the file at a path.

    An array is not copied. SizeError for another shape or type of values, DataError for anything else.
    """
    if isinstance(image, (str, Path)):
        return rgb_from_file(Path(image))
    if hasattr(image, "convert"):
        return rgb_from_pil(image)
    array = array_from(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise SizeError(
            f"an image must be (H, W, 3) uint8 rgb, not {array.shape} {array.dtype}", hint="pass one rgb image"
        )
    return array


def rgb_from_pil(image: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a PIL image, rotated by its EXIF orientation. FormatError where it cannot be decoded."""
    from PIL import ImageOps

    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except OSError as problem:
        raise FormatError(f"cannot read image: {problem}", hint="open the file again, or save it again") from None


def array_from(values: Any) -> NDArray[Any]:
    """`values` as an array; lists of integers from 0 to 255 become uint8. DataError where it is not an array."""
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype == object or array.ndim == 0:
        kind = type(values).__name__
        raise DataError(f"not an image: {kind}", hint="pass an rgb array, a PIL image or the path of a file")
    if (
        isinstance(values, Sequence)
        and array.dtype.kind in "iu"
        and array.size
        and 0 <= array.min() <= array.max() <= 255
    ):
        return array.astype(np.uint8)
    return array
