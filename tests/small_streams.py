"""A source that draws and a sink that keeps, for tests of streams."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import numpy as np

from edgeseg.video.frame import Frame
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import FrameSource, SourceInfo


class Drawn(FrameSource):
    """Frames of flat patches, each with colours of its own, and what is to happen to frame number `at`.

    fails: raised by the source in place of it. torn: raised by the frame when its pixels are asked for.
    """

    def __init__(
        self, frames: int = 1000, *, fails: BaseException | None = None, torn: Exception | None = None, at: int = 5
    ) -> None:
        super().__init__(SourceInfo(64, 32, Fraction(25), frames, False, "drawn"))
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
        super().__init__("kept", None)
        self.frames: list[Frame] = []
        self.enough = enough

    def _write(self, frame: Frame) -> bool:
        self.frames.append(frame)
        return len(self.frames) != self.enough
