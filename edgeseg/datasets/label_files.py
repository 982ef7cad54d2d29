"""Read label files of ids or colours as class ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Bytes
from edgeseg.datasets.decode import ids_from_path, rgb_from_path
from edgeseg.datasets.problems import COLORS, IDS, ContentError

LabelReader = Callable[[Path], Bytes]
"""A label file to (H, W) uint8 of class ids and 255. ContentError for an id or colour without a class."""

Color = tuple[int, int, int]
IGNORE = 255
UNKNOWN = -1
MAX_LISTED = 8  # ids or colours in one message


@dataclass(frozen=True)
class IndexReader:
    """Label files of ids. classes: id in the file -> class id or 255. others_ignored: other ids are 255."""

    classes: Mapping[int, int]
    others_ignored: bool = False

    def __call__(self, path: Path) -> Bytes:
        """The class ids of one file."""
        ids = ids_from_path(path)
        present = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
        unknown = [str(i) for i in present if self._table[i] == UNKNOWN]
        if unknown:
            listed = ", ".join(unknown[:MAX_LISTED])
            raise ContentError(
                f"{path} has unknown label ids: {listed}", hint=self._hint(), heading=IDS, detail=f"ids {listed}"
            )
        return self._table.astype(np.uint8)[ids]

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        table = np.full(256, IGNORE if self.others_ignored else UNKNOWN, np.int16)
        table[list(self.classes)] = list(self.classes.values())
        return table

    def _hint(self) -> str:
        used = spans(i for i, label in self.classes.items() if label != IGNORE)
        ignored = [i for i, label in self.classes.items() if label == IGNORE]
        if not ignored:
            return f"use {used}"
        return f"use {used}, and {IGNORE if IGNORE in ignored else min(ignored)} for ignored pixels"


@dataclass(frozen=True)
class ColorReader:
    """Label files of colours. classes: rgb -> class id or 255. others_ignored: other colours are 255."""

    classes: Mapping[Color, int]
    others_ignored: bool = False

    def __call__(self, path: Path) -> Bytes:
        """The class ids of one file."""
        codes = color_codes(rgb_from_path(path))
        labels = self._table.take(codes)
        if labels.min() == UNKNOWN:
            listed = most_frequent(codes[labels == UNKNOWN])
            raise ContentError(
                f"{path} has unknown colours: {listed}",
                hint='add them to classes or ignore, or write ignore = "others"',
                heading=COLORS,
                detail=listed,
            )
        return labels.astype(np.uint8)

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        """One entry per colour, 32 MiB: five times as fast as a search in the sorted colours of the classes."""
        table = np.full(1 << 24, IGNORE if self.others_ignored else UNKNOWN, np.int16)
        colors = np.array(list(self.classes), np.uint8).reshape(1, -1, 3)
        table[color_codes(colors)[0]] = list(self.classes.values())
        return table


def color_codes(rgb: Bytes) -> NDArray[np.uint32]:
    """(H, W) of 0xRRGGBB."""
    words = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA).view("<u4")[..., 0]  # b, g, r, 255 in memory
    return np.asarray(words & 0xFFFFFF, np.uint32)


def most_frequent(codes: NDArray[np.uint32]) -> str:
    """The most frequent colours with their pixel counts, and the number of others, as text."""
    values, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    listed = [
        f"[{code >> 16}, {code >> 8 & 255}, {code & 255}] {count} px"
        for code, count in ((int(values[i]), int(counts[i])) for i in order[:MAX_LISTED])
    ]
    more = len(values) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def spans(ids: Iterable[int]) -> str:
    """Ids as ranges: "0..10, 12"."""
    runs: list[list[int]] = []
    for i in sorted(ids):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(first) if first == last else f"{first}..{last}" for first, last in runs)
