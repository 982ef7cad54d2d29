"""Label sets from names, from a count, or from a text file with one class per line and optional colours.

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

INVALID = "ES-FORMAT-LABELS"
Color = tuple[int, int, int]
COLORED = re.compile(r"(?P<name>.+?)[\s,;:]+(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})")


def labels_from_file(path: str | Path) -> LabelSet:
    """The label set of a text file. Empty lines and comments (#) are skipped; missing colours come from the palette."""
    path = existing_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        hint = "write one class name per line, as UTF-8"
        raise FormatError(f"not a text file: {path}", hint=hint, code=INVALID) from problem
    lines = [line for line in (line.partition("#")[0].strip() for line in text.splitlines()) if line]
    names, colors = [], []
    for line in lines:
        match = COLORED.fullmatch(line)
        names.append(match["name"] if match else line)
        colors.append((int(match["r"]), int(match["g"]), int(match["b"])) if match else None)
    if not names or len(set(names)) != len(names):
        message = f"{path} names {len(names)} classes, {len(set(names))} of them different"
        raise FormatError(message, hint="write each class once, one per line", code=INVALID)
    for color in colors:
        if color and max(color) > 255:
            hint = "write a colour as three numbers from 0 to 255"
            raise FormatError(f"{path}: {color} is not a colour", hint=hint, code=INVALID)
    return labels_from_names(names, colors)


def labels_from_names(names: Sequence[str], colors: Sequence[Color | None] | None = None) -> LabelSet:
    """A label set of these names; a missing colour is that of `default_palette`."""
    defaults = default_palette(len(names)).tolist()
    palette = [color or tuple(default) for color, default in zip(colors or [None] * len(names), defaults)]
    return LabelSet(names=tuple(names), palette=tuple(palette))


def unnamed_labels(classes: int) -> LabelSet:
    """ "class 0", "class 1", ...: for a model whose class names are not known."""
    return labels_from_names([f"class {i}" for i in range(classes)])


def default_palette(n: int) -> NDArray[np.uint8]:
    """`n` distinct colours (at most 256), (n, 3) rgb; the first is black.

    The colour map of the PASCAL VOC development kit (`VOClabelcolormap`): bits 0, 1, 2 of the id become the top bit
    of red, green and blue, bits 3, 4, 5 the next lower, bits 6 and 7 the next.
    """
    ids = np.arange(n)
    palette = np.zeros((n, 3), np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= (((ids >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette
