"""Decode images with cv2, and label files to the ids in the file."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from edgeseg.datasets.dataset import Bytes
from edgeseg.errors import FormatError
from edgeseg.files import existing_file

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
GREY, PALETTE = 0, 3
HEADER_END = 33  # signature and header chunk, which the PNG specification puts first


def rgb_from_path(path: Path) -> Bytes:
    """(H, W, 3) uint8. EXIF orientation is ignored, because label files have none."""
    bgr = decoded(existing_file(path).read_bytes(), path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def ids_from_path(path: Path) -> Bytes:
    """(H, W) uint8: grey levels or palette indices of 1 to 8 bits. FormatError for any other file."""
    data = existing_file(path).read_bytes()
    ids = decoded(indices_as_grey(data), path, cv2.IMREAD_UNCHANGED)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        shape = f"{1 if ids.ndim == 2 else ids.shape[2]} channels of {ids.dtype}"
        raise FormatError(
            f"not a label file: {path} has {shape}",
            hint="save class ids as PNG with one 8-bit channel, or list the colours in a dataset.toml",
        )
    spread = 255 // (2 ** png_depth(data) - 1)  # cv2 scales grey levels of few bits to 0..255
    return ids if spread == 1 else ids // np.uint8(spread)


def decoded(data: bytes, path: Path, flags: int) -> Bytes:
    """`data` as cv2 decodes it. FormatError, naming `path`, where it is not an image or is truncated."""
    image = None
    if is_complete(data):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            image = None
    if image is None:
        raise FormatError(f"unreadable image: {path}", hint="replace the file with a complete JPEG or PNG")
    return np.asarray(image)


def is_complete(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end: some versions of cv2 fill in what is missing."""
    if data.startswith(JPEG):
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")  # end of image after the last start of scan
    return b"IEND" in data if data.startswith(PNG) else bool(data)


def png_depth(data: bytes) -> int:
    """Bits per sample of a grey or palette PNG; 8 for other files."""
    return data[24] if is_indexed(data) else 8


def is_indexed(data: bytes) -> bool:
    """Whether this is a PNG of grey levels or palette indices of at most 8 bits."""
    return data.startswith(PNG) and len(data) > HEADER_END and data[25] in (GREY, PALETTE) and 1 <= data[24] <= 8


def indices_as_grey(data: bytes) -> bytes:
    """A palette PNG as a grey one with the same pixel data, because cv2 reads no indices; other files unchanged."""
    if not is_indexed(data):
        return data
    header = b"IHDR" + data[16:25] + bytes([GREY]) + data[26:29]
    parts = [data[:12], header, zlib.crc32(header).to_bytes(4, "big")]
    start = HEADER_END
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] in (b"IDAT", b"IEND"):
            parts.append(data[start:end])
        start = end
    return b"".join(parts)
