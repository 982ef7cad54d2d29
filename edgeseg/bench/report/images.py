"""Images beside records: where INT8 and float label most differently."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.bench.report.section import Entry
from edgeseg.errors import EdgeSegError
from edgeseg.files import exists

LOG = logging.getLogger(__name__)
WIDTH, QUALITY = 960, 82


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI."""

    entry: Entry
    uri: str
    width: int
    height: int


def embedded_images(entries: Sequence[Entry]) -> list[EmbeddedImage]:
    """The images that exist; one that cannot be read is left out, with a line in the log."""
    images = []
    for entry in entries:
        path = image_path(entry.stored.path)
        if exists(path):
            try:
                images.append(_embedded(entry, path))
            except EdgeSegError as problem:
                LOG.warning("%s is left out: %s", path, problem.message)
    return images


def image_path(record: Path) -> Path:
    """Where the image of a record lies: <record stem>.diff.png."""
    return record.with_name(f"{record.stem}.diff.png")


def _embedded(entry: Entry, path: Path) -> EmbeddedImage:
    import cv2

    from edgeseg.image import rgb_from_file

    rgb = rgb_from_file(path)
    height, width = rgb.shape[:2]
    scale = min(1.0, WIDTH / width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    uri = f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
    return EmbeddedImage(entry, uri, width, height)
