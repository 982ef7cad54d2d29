"""Label sets from names, from a count, or from a text file: one class a line, a colour behind it where one is wanted.

# the order is that of the logits
road       128 64 128
sidewalk   244 35 232
rider
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError
from edgeseg.files import existing_file
from edgeseg.spec import LabelSet

Color = tuple[int, int, int]
COLORED = re.compile(r"(?P<name>.+?)[\s,;:]+(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})")


def labels_from_file(path: str | Path) -> LabelSet:
    """The label set of a text file. Empty lines and what follows # are passed over; missing colours are drawn."""
    path = existing_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise FormatError(f"not a text file: {path}", hint="write one class name a line, as UTF-8") from problem
    lines = [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]
    names, colors = [], []
    for line in lines:
        match = COLORED.fullmatch(line)
        names.append(match["name"] if match else line)
        colors.append((int(match["r"]), int(match["g"]), int(match["b"])) if match else None)
    if not names or len(set(names)) != len(names):
        raise FormatError(
            f"{path} names {len(names)} classes, {len(set(names))} of them different",
            hint="write each class once, one a line",
        )
    for color in colors:
        if color and max(color) > 255:
            raise FormatError(f"{path}: {color} is no colour", hint="write colours as three numbers of 0 to 255")
    return labels_from_names(names, colors)


def labels_from_names(names: Sequence[str], colors: Sequence[Color | None] | None = None) -> LabelSet:
    """A label set of these names; where there is no colour, that of `default_palette`."""
    drawn = default_palette(len(names)).tolist()
    palette = [color or tuple(usual) for color, usual in zip(colors or [None] * len(names), drawn)]
    return LabelSet(names=tuple(names), palette=tuple(palette))


def unnamed_labels(classes: int) -> LabelSet:
    """ "class 0", "class 1", ...: for a model of which nobody said what it tells apart."""
    return labels_from_names([f"class {i}" for i in range(classes)])


def default_palette(n: int) -> NDArray[np.uint8]:
    """`n` colours (at most 256), (n, 3) rgb, that lie far apart; the first is black.

    The colour map of the PASCAL VOC development kit (`VOClabelcolormap`): bits 0, 1, 2 of the id become the top bit
    of red, green and blue, bits 3, 4, 5 the next lower, bits 6 and 7 the next.
    """
    ids = np.arange(n)
    palette = np.zeros((n, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= (((ids >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette
