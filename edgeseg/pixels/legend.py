"""The colours of the classes with their names: below a contact sheet, or in a corner of each video frame."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
Color = tuple[int, int, int]

BACKGROUND = 32  # dark grey: on black, the border of a night scene or a mask would not show
TEXT: Color = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LINES_PER_FRAME = 26  # height of a frame / height of a line: 27 pixels at 720p, 83 at 2160p
LEAST_LINE = 16  # pixels; below that the letters cannot be read
WIDEST = 0.4  # share of a frame's width that the legend may cover
COVER = 0.7  # opacity of the legend's background on a frame


def legend_strip(colors: Mapping[str, Color], width: int, line: int = 26) -> Rgb:
    """The entries from left to right on a strip `width` pixels wide, in as many lines of `line` pixels as they need."""
    canvas = np.full((line * max(len(colors), 1), width, 3), BACKGROUND, np.uint8)
    left = top = 0
    for name, color in colors.items():
        entry_width = _entry_width(name, line)
        if left and left + entry_width > width:
            left, top = 0, top + line
        _draw_entry(canvas, name, color, left, top, line)
        left += entry_width
    return canvas[: top + line]


class Legend:
    """A panel in the upper left corner of frames. It is drawn once per frame size, and then blended in.

    Where not all classes fit, the last line says how many are left out.
    """

    def __init__(self, colors: Mapping[str, Color]) -> None:
        self._colors = colors
        self._size: tuple[int, ...] = ()
        self._keep = self._tint = np.zeros((0, 0, 3), np.uint8)

    def draw(self, rgb: Rgb) -> None:
        """Blend the panel into `rgb` (H, W, 3), in place."""
        if rgb.shape != self._size:
            self._size = rgb.shape
            self._keep, self._tint = _blend_images(self._panel(rgb.shape[0], rgb.shape[1]))
        height, width = self._keep.shape[:2]
        corner = rgb[:height, :width]
        if corner.size:
            corner[:] = cv2.add(cv2.multiply(corner, self._keep, scale=1 / 255), self._tint)

    def _panel(self, height: int, width: int) -> Rgb:
        """The opaque panel for frames of that size; empty where there is no room for one class."""
        line = max(LEAST_LINE, height // LINES_PER_FRAME)
        rows = height // line
        column = max((_entry_width(name, line) for name in self._colors), default=0)
        columns = int(width * WIDEST) // column if column else 0
        if rows * columns == 0:
            return np.zeros((0, 0, 3), np.uint8)
        shown = len(self._colors) if len(self._colors) <= rows * columns else rows * columns - 1
        entries = list(self._colors.items())[:shown]
        cells = shown + (shown < len(self._colors))
        columns = -(-cells // rows)
        rows = -(-cells // columns)
        panel = np.full((rows * line, columns * column, 3), BACKGROUND, np.uint8)
        for index, (name, color) in enumerate(entries):
            _draw_entry(panel, name, color, index // rows * column, index % rows * line, line)
        if cells > shown:
            left_out = f"+ {len(self._colors) - shown}"
            _draw_text(panel, left_out, shown // rows * column + line // 2, shown % rows * line, line)
        return panel


def _blend_images(panel: Rgb) -> tuple[Rgb, Rgb]:
    """What `panel` leaves of the frame, in 1/255, and what it adds: its background is translucent, the rest opaque."""
    contrast = np.abs(panel.astype(np.int16) - BACKGROUND).max(2, keepdims=True, initial=0)
    opacity = np.where(contrast > 0, 1.0, COVER)
    keep = np.repeat(np.round(255 * (1 - opacity)), 3, axis=2).astype(np.uint8)
    return keep, np.round(panel * opacity).astype(np.uint8)


def _scale(line: int) -> float:
    """The scale of the font whose capitals are half a line high."""
    return line / 2 / 21


def _ascii(name: str) -> str:
    """`name` in the characters that cv2 can draw: accents are dropped, others become "?"."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).encode("ascii", "replace").decode()


def _thickness(line: int) -> int:
    return max(1, line // 20)


def _entry_width(name: str, line: int) -> int:
    """The width of a swatch, its name and the space around them."""
    (width, _), _ = cv2.getTextSize(_ascii(name), FONT, _scale(line), _thickness(line))
    return int(width) + 2 * line


def _draw_entry(canvas: Rgb, name: str, color: Color, left: int, top: int, line: int) -> None:
    """A swatch with a light border, which shows dark colours, too, and the name right of it."""
    inset = line // 5
    corners = (left + line // 2, top + inset), (left + line // 2 + line - 2 * inset, top + line - inset - 1)
    cv2.rectangle(canvas, *corners, tuple(map(int, color)), cv2.FILLED)
    cv2.rectangle(canvas, *corners, TEXT, max(1, line // 30))
    _draw_text(canvas, _ascii(name), left + line // 2 + line, top, line)


def _draw_text(canvas: Rgb, text: str, left: int, top: int, line: int) -> None:
    cv2.putText(canvas, text, (left, top + line * 3 // 4), FONT, _scale(line), TEXT, _thickness(line), cv2.LINE_AA)
