"""One picture through a backend: its pixels, what is wished for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.planes import Planes


class Pixels(Protocol):
    """A picture in host memory, as `edgeseg.video.frame.Frame` is one: RGB is made when it is asked for."""

    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    def planes(self) -> Planes | None:
        """The same picture as it was decoded, where it was."""


@dataclass(frozen=True)
class Wish:
    """What is to come of a picture.

    size: (H, W) of its labels. align_corners: of the upsampling. palette: rgb by class. opacity: of its colours over
    the picture; None where nobody will look at that.
    """

    size: tuple[int, int]
    align_corners: bool
    palette: tuple[tuple[int, int, int], ...]
    opacity: float | None = None


@dataclass(frozen=True)
class Done:
    """What became of a picture, in arrays of its own.

    labels: (H, W) uint8 of the size that was wished for. overlay: (H, W, 3) uint8 rgb of the picture's own size; None
    where it was not wished for. milliseconds: from `begin` to the labels in host memory; how long they then lay there
    does not count.
    """

    labels: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None
    milliseconds: float
