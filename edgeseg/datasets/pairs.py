"""Pictures and label files in two folders, paired by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from edgeseg.datasets.dataset import Bytes
from edgeseg.errors import DataError, FormatError
from edgeseg.files import existing_file, existing_folder
from edgeseg.spec import LabelSet

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
LABEL_ENDINGS = (".png",)


class FilePair:
    """A picture and its label file, decoded anew at each call.

    renamed: file ids that stand for another id, for example a void class for the label set's ignore id.
    """

    def __init__(self, image: Path, label: Path, labels: LabelSet, renamed: Mapping[int, int]) -> None:
        self.image, self.label = image, label
        self._labels, self._renamed = labels, renamed
        self._size: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The file name without its ending."""
        return self.image.stem

    def rgb(self) -> Bytes:
        """(H, W, 3) uint8. FormatError where the file is no picture."""
        bgr = decoded(self.image, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        self._check_size(bgr)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def labels(self) -> Bytes:
        """(H, W) uint8 of class ids and the ignore id. DataError for any other id, or a size unlike the picture's."""
        ids = decoded(self.label, cv2.IMREAD_UNCHANGED)
        if ids.ndim != 2 or ids.dtype != np.uint8:
            shape = f"{1 if ids.ndim == 2 else ids.shape[2]} channels of {ids.dtype}"
            raise FormatError(
                f"not a label file: {self.label} has {shape}",
                hint="save class ids as PNG with one channel of 8 bits (no palette, no colours)",
            )
        self._check_size(ids)
        return self._known_ids(ids)

    def _known_ids(self, ids: Bytes) -> Bytes:
        table = np.full(256, -1, np.int16)
        kept = [*range(len(self._labels)), self._labels.ignore]
        table[kept] = kept
        for there, here in self._renamed.items():
            table[there] = here
        strange = [int(i) for i in np.flatnonzero(np.bincount(ids.ravel(), minlength=256)) if table[i] < 0]
        if strange:
            raise DataError(
                f"{self.label} has label ids {', '.join(map(str, strange))}",
                hint=f"use 0..{len(self._labels) - 1}, and {self._labels.ignore} for what is not judged",
            )
        return table.astype(np.uint8)[ids]

    def _check_size(self, image: Bytes) -> None:
        """Hold a decoded file against the one decoded before: neither is read for the other's sake."""
        H, W = image.shape[:2]
        if self._size not in (None, (H, W)):
            raise DataError(
                f"picture and label differ in size: {self.image} and {self.label}",
                hint="resize the label with nearest neighbour, or leave the pair out",
            )
        self._size = (H, W)


def decoded(path: Path, flags: int) -> Bytes:
    """The picture in `path` as cv2 decodes it. FormatError, naming the file, where it is none."""
    data = np.fromfile(existing_file(path), np.uint8)
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error:
        image = None
    if image is None:
        raise FormatError(f"not a readable picture: {path}", hint="replace the file by a whole JPEG or PNG")
    return np.asarray(image)


def matched_files(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Picture and label file by file name, sorted. DataError unless each has exactly one partner."""
    pictures, truths = files_by_stem(images, IMAGE_ENDINGS), files_by_stem(labels, LABEL_ENDINGS)
    for some, others, folder in ((pictures, truths, labels), (truths, pictures, images)):
        lonely = sorted(some.keys() - others.keys())
        if lonely:
            raise DataError(
                f"{len(lonely)} files have no partner in {folder}, first: {some[lonely[0]]}",
                hint="give both files of a pair the same name, or remove the lonely ones",
            )
    if not pictures:
        raise DataError(f"no pictures in {images}", hint=f"put files ending in {', '.join(IMAGE_ENDINGS)} there")
    return [(pictures[stem], truths[stem]) for stem in sorted(pictures)]


def files_by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """The folder's files with one of these endings, by name without it; hidden and other files are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(existing_folder(folder).iterdir()):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(f"two pictures of one name: {found[path.stem]} and {path}", hint="remove one of them")
        found[path.stem] = path
    return found
