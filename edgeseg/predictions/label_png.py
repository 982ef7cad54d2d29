"""Label maps as PNG with a palette: 8-bit ids that every viewer shows in the classes' colours."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray


def png_from_labels(labels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """The file's bytes. labels: (H, W) uint8. palette: (K, 3) uint8 rgb; ids from K on are black."""
    argb = np.zeros((256, 4), np.uint8)
    argb[:, 0] = 255
    argb[: len(palette), 1:] = palette
    frame = av.VideoFrame.from_ndarray((np.ascontiguousarray(labels), argb), format="pal8")
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = labels.shape
    encoder.pix_fmt, encoder.time_base = "pal8", Fraction(1, 25)
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
