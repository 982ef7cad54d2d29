"""A result as bytes for the browser: the original as JPEG, and the labels compressed, both of the same small size.

A message is the length of its head (uint32, little-endian), the head as JSON, the JPEG and the labels. The head has
`stream`, `sequence`, `stale`, `width`, `height`, and the lengths `jpeg` and `labels` in bytes. The labels are zlib of
width x height bytes, a class id each: the browser colours them. They are not a PNG, because some browsers add noise to
the pixels that a script reads back from an image. A prediction without labels has `labels` 0, and the JPEG is its
overlay.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.predictions.semantic import SemanticMask
from edgeseg.video.result import Result

WIDTHS = (320, 480, 640, 960, 1280, 1920)  # few, so that clients share what is encoded
WIDTH = 640
QUALITY = 80
SNAPSHOT_QUALITY = 90
OPACITY = 0.5

Rgb = NDArray[np.uint8]
Key = tuple[int, float, float | None, bool]


def key_of(result: Result) -> Key:
    """Equal for two results exactly if they are of the same frame and the same kind."""
    frame = result.frame
    return frame.sequence, frame.pts_seconds, frame.captured_at, result.stale


def nearest_width(width: float) -> int:
    """The smallest of WIDTHS that is at least `width`, or the largest."""
    return next((each for each in WIDTHS if each >= width), WIDTHS[-1])


@dataclass(frozen=True)
class Size:
    """Of an encoded image."""

    width: int
    height: int

    @classmethod
    def within(cls, width: int, frame_width: int, frame_height: int) -> Size:
        """`width` wide with the proportions of the frame, and never larger than the frame."""
        width = min(width, frame_width)
        return cls(width, max(1, round(width * frame_height / frame_width)))


def message_from_result(stream: str, result: Result, width: int) -> bytes:
    """The message for the browser. width: of the image, at most that of the frame."""
    size = Size.within(width, result.frame.width, result.frame.height)
    prediction = result.prediction
    if isinstance(prediction, SemanticMask):
        image = result.frame.rgb()
        labels = zlib.compress(_scaled(prediction.labels, size, cv2.INTER_NEAREST).tobytes(), 1)
    else:
        image, labels = overlay_of(result), b""
    jpeg = jpeg_from_rgb(_scaled(image, size, cv2.INTER_AREA), QUALITY)
    head = {"stream": stream, "sequence": result.frame.sequence, "stale": result.stale}
    return _packed(head | {"width": size.width, "height": size.height}, jpeg, labels)


def overlay_of(result: Result) -> Rgb:
    """The prediction over the frame, (H, W, 3) rgb; rendered here where nobody has done so."""
    if result.overlay is not None:
        return result.overlay
    return result.prediction.render(result.frame.rgb(), opacity=OPACITY)


def jpeg_from_rgb(rgb: Rgb, quality: int) -> bytes:
    """(H, W, 3) rgb as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of {rgb.shape}")
    return bytes(data)


def snapshot_from_result(result: Result) -> bytes:
    """The overlay as JPEG, as large as the frame."""
    return jpeg_from_rgb(overlay_of(result), SNAPSHOT_QUALITY)


def _packed(head: dict[str, Any], jpeg: bytes, labels: bytes) -> bytes:
    text = json.dumps(head | {"jpeg": len(jpeg), "labels": len(labels)}).encode()
    return struct.pack("<I", len(text)) + text + jpeg + labels


def _scaled(image: NDArray[np.uint8], size: Size, method: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (size.height, size.width):
        return image
    return np.asarray(cv2.resize(image, (size.width, size.height), interpolation=method), np.uint8)
