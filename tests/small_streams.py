"""A source that draws, a sink that keeps, and results without a model, for tests of streams."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from fractions import Fraction

import numpy as np

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.predictions import SemanticMask
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, StopStream
from edgeseg.video.source import FrameSource, SourceInfo


class Drawn(FrameSource):
    """Frames of flat patches, each with colours of its own, and what is to happen to frame number `at`.

    fails: raised by the source in place of it. torn: raised by the frame when its pixels are asked for.
    """

    def __init__(
        self, frames: int = 1000, *, fails: BaseException | None = None, torn: Exception | None = None, at: int = 5
    ) -> None:
        super().__init__(SourceInfo(64, 32, Fraction(25), frames, "drawn"))
        self.fails, self.torn, self.at, self.made = fails, torn, at, 0

    @staticmethod
    def picture(index: int = 0) -> np.ndarray:
        """(32, 64, 3)."""
        patches = np.random.default_rng(index).integers(0, 256, (4, 8, 3), np.uint8)
        return patches.repeat(8, 0).repeat(8, 1)

    def _frames(self) -> Generator[Frame, None, None]:
        for index in range(self.info.frames or 0):
            if self.fails is not None and index == self.at:
                raise self.fails
            self.made = index + 1
            if self.torn is not None and index == self.at:
                yield Frame(index, index / 25, 64, 32, rgb=self._tear)
            else:
                yield Frame.from_rgb(index, index / 25, self.picture(index))

    def _tear(self) -> np.ndarray:
        assert self.torn is not None
        raise self.torn


class Kept(FrameSink):
    """Keeps what it is given; wants no more after `enough` frames."""

    def __init__(self, enough: int | None = None) -> None:
        super().__init__("kept")
        self.results: list[Result] = []
        self.enough = enough

    @property
    def frames(self) -> list[Frame]:
        """The frames of the results."""
        return [result.frame for result in self.results]

    @property
    def overlays(self) -> list[np.ndarray]:
        """The overlays of the results."""
        return [result.overlay for result in self.results if result.overlay is not None]

    def _write(self, result: Result) -> bool:
        self.results.append(result)
        return len(self.results) != self.enough


class Judging(Kept):
    """A sink that only measures the results."""

    is_output = False


def result_of(frame: Frame, label: int = 0) -> Result:
    """A result whose overlay is the frame itself, and whose mask is of one class."""
    mask = SemanticMask(np.full(frame.size, label, np.uint8), CAMVID_LABELS)
    return Result(frame, mask, {"total": 1.5}, overlay=frame.rgb())


def write_frames(sink: FrameSink, frames: Iterable[Frame]) -> int:
    """Write the frames as results until the sink wants no more; how many it has written."""
    with contextlib.suppress(StopStream):
        for frame in frames:
            sink.write(result_of(frame))
    return sink.frames_written
