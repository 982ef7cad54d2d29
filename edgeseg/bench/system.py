"""What a scenario runs: the engine alone, or everything from a frame in memory to its prediction in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

Finish = Callable[[], None]


class System(Protocol):
    """Processes images by number. slots: how many to begin before the first is finished, so that no device waits."""

    slots: int

    def begin(self, index: int) -> Finish:
        """Begin the image `index`, any number from 0; the returned function waits until it is finished."""


class EngineSystem:
    """The engine alone: `Backend.infer` on images that have the size of its input, until the outputs are there."""

    def __init__(self, segmenter: Segmenter, frames: Sequence[NDArray[np.uint8]]) -> None:
        self.slots = 1
        side = (segmenter.spec.input.height, segmenter.spec.input.width)
        self._segmenter = segmenter
        self._inputs = [np.ascontiguousarray(resize_rgb(frame, side)) for frame in frames]

    def begin(self, index: int) -> Finish:
        """Run the engine on the image `index`."""
        self._segmenter.run_engine(self._inputs[index % len(self._inputs)])
        return done


class FrameSystem:
    """From a frame in memory to its prediction in memory: resize, upload, engine, download, upsample and argmax."""

    def __init__(self, segmenter: Segmenter, frames: Sequence[Any]) -> None:
        self.slots = segmenter.slots
        self._segmenter, self._frames = segmenter, frames

    def begin(self, index: int) -> Finish:
        """Submit the frame `index`."""
        future = self._segmenter.submit(self._frames[index % len(self._frames)])

        def finish() -> None:
            future.result()

        return finish


def done() -> None:
    """The image is finished already."""
