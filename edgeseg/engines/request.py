"""One image through a device that resizes, infers and labels by itself: what is asked for, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.planes import Planes


class Pixels(Protocol):
    """An image in host memory, as `edgeseg.video.frame.Frame` is one: RGB is made when it is asked for."""

    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    def planes(self) -> Planes | None:
        """The same image as it was decoded, where it was."""


@dataclass(frozen=True)
class InferenceRequest:
    """The labels to make of an image. size: (H, W). align_corners: of the upsampling."""

    size: tuple[int, int]
    align_corners: bool


@dataclass(frozen=True)
class OverlayStyle:
    """How an overlay is drawn. palette: rgb by class. opacity: of its colours over the image, 0 to 1."""

    palette: tuple[tuple[int, int, int], ...]
    opacity: float


@dataclass(frozen=True)
class InferenceResult:
    """What a device made of an image, in arrays of its own.

    labels: (H, W) uint8 of the size that was asked for. overlay: (H, W, 3) uint8 rgb of the image's own size; None
    where no style was given. milliseconds: from `begin` to the labels in host memory; how long they lay there
    afterwards does not count.
    """

    labels: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None
    milliseconds: float


InferenceFuture: TypeAlias = Callable[[], InferenceResult]
"""Waits for the result of one image; the same result each time."""


class FusedRunner(Protocol):
    """Resize, network, upsampling, argmax and overlay in one piece on a device. Used by one thread at a time."""

    @property
    def slots(self) -> int:
        """How many images may be under way; at least 1."""

    def begin(self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None = None) -> InferenceFuture:
        """Queue one image of any size on the device. style: draw an overlay, too."""
