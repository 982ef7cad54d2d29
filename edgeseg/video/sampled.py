"""Some of the frames of a recording: so many a second."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

from edgeseg.errors import FormatError
from edgeseg.uri import number_from_text
from edgeseg.video.frame import Frame
from edgeseg.video.source import KEY_FRAMES, FrameSource

MOST_PER_SECOND = 1000.0


class SampledSource(FrameSource):
    """The frames of `recording` that come next to the multiples of 1 / `per_second`, from its first frame on.

    They keep their times. Indices count them; `sequence` is that of the recording, all of whose frames are decoded.
    """

    def __init__(self, recording: FrameSource, per_second: float) -> None:
        info = recording.info
        fps = min(info.fps, Fraction(per_second).limit_denominator(1001))
        frames = None if info.frames is None else math.ceil(info.frames * fps / info.fps)
        super().__init__(dataclasses.replace(info, fps=fps, frames=frames))
        self._recording, self._per_second = recording, per_second
        self._tolerance = float(1 / info.fps) / 2  # times are rounded

    def files(self) -> tuple[Path, ...]:
        """The files of the recording."""
        return self._recording.files()

    def close(self) -> None:
        """Close the recording."""
        super().close()
        self._recording.close()

    def _frames(self) -> Generator[Frame, None, None]:
        index, multiple, began = 0, -1, None
        for frame in self._recording:
            began = frame.pts_seconds if began is None else began
            reached = math.floor((frame.pts_seconds - began + self._tolerance) * self._per_second)
            if reached > multiple:
                multiple = reached
                yield frame.numbered(index)
                index += 1
        self.losses[:] = self._recording.losses


def sampled(source: FrameSource, sample: str) -> FrameSource:
    """`source` with at most so many frames a second. FormatError for a live source, or where it is no such number."""
    per_second = rate_from_text(sample)
    if source.kind != "recording" or per_second is None:
        hint = "leave it out: of a live source the newest frame is processed"
        message = f"sample={sample} is an option of files and images"
        raise FormatError(message, hint=hint, code="ES-FORMAT-OPTION")
    return SampledSource(source, per_second)


def rate_from_text(sample: str) -> float | None:
    """The frames a second of a sample; None for key frames. FormatError for any other text."""
    return None if sample == KEY_FRAMES else number_from_text(sample, "sample", MOST_PER_SECOND)
