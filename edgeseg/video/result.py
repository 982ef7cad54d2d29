"""What flows from inference to sinks and callbacks: a frame with what the model says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

from edgeseg.predictions.prediction import Prediction
from edgeseg.video.frame import Frame, Pixels


@dataclass(frozen=True, eq=False)
class Result:
    """A frame, its prediction, and what was measured on the way.

    milliseconds: by stage, "total" from submission to the prediction in host memory. stale: the prediction is that of
    an earlier frame. overlay: (H, W, 3) uint8 rgb, the prediction over the frame; None until it is rendered.
    """

    frame: Frame
    prediction: Prediction
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    stale: bool = False
    overlay: Pixels | None = None


def rendered(opacity: float) -> Callable[[Iterator[Result]], Generator[Result, None, None]]:
    """The stage that draws each prediction over its frame, unless a device has drawn it."""

    def stage(results: Iterator[Result]) -> Generator[Result, None, None]:
        for result in results:
            if result.overlay is not None:
                yield result
                continue
            overlay = result.prediction.render(result.frame.rgb(), opacity=opacity)
            yield dataclasses.replace(result, overlay=overlay)

    return stage
