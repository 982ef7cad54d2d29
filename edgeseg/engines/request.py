"""One image through a device that resizes, infers and labels by itself: the request and its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.planes import Planes


class Pixels(Protocol):
    """An image in host memory, such as `edgeseg.video.frame.Frame`, which makes RGB on demand."""

    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""

    def planes(self) -> Planes | None:
        """The same image as its decoder gave it; None if it was not decoded to planes."""


@dataclass(frozen=True)
class InferenceRequest:
    """The labels to make of an image. size: (H, W). align_corners: of the upsampling."""

    size: tuple[int, int]
    align_corners: bool


@dataclass(frozen=True)
class OverlayStyle:
    """How to draw an overlay. palette: rgb by class. opacity: of its colours over the image, 0 to 1."""

    palette: tuple[tuple[int, int, int], ...]
    opacity: float


@dataclass(frozen=True)
class InferenceResult:
    """The result of one image, in arrays of its own.

    labels: (H, W) uint8 of the requested size. overlay: (H, W, 3) uint8 rgb of the image's own size; None without a
    style. milliseconds: from `begin` until the labels are in host memory; the time until somebody asks for them does
    not count.
    """

    labels: NDArray[np.uint8]
    overlay: NDArray[np.uint8] | None
    milliseconds: float


class InferenceFuture:
    """The result of an image under way. Threads may share it. collect: waits for the device, and is called once."""

    def __init__(self, collect: Callable[[], InferenceResult]) -> None:
        self._collect, self._lock = collect, threading.Lock()
        self._result: InferenceResult | None = None

    def result(self) -> InferenceResult:
        """Wait for the result; every call gives the same."""
        with self._lock:
            if self._result is None:
                self._result = self._collect()
            return self._result


class FusedRunner(Protocol):
    """Resize, network, upsampling, argmax and overlay in one piece on a device.

    One thread at a time begins images; any thread may wait for a result meanwhile.
    """

    @property
    def slots(self) -> int:
        """The number of images that may be under way; at least 1."""

    def begin(self, pixels: Pixels, request: InferenceRequest, style: OverlayStyle | None = None) -> InferenceFuture:
        """Queue one image of any size on the device. style: draw an overlay, too."""
