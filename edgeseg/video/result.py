"""The data that sinks and callbacks receive: a frame with its prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

from edgeseg.pixels.legend import Legend
from edgeseg.predictions.prediction import Prediction
from edgeseg.video.frame import Frame, Pixels


@dataclass(frozen=True, eq=False)
class Result:
    """A frame, its prediction and the times of the stages.

    milliseconds: by stage, "total" from submission to the prediction in host memory. stale: the prediction is that of
    an earlier frame. overlay: (H, W, 3) uint8 rgb, the prediction over the frame; None until it is rendered.
    """

    frame: Frame
    prediction: Prediction
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    stale: bool = False
    overlay: Pixels | None = None


def rendered(
    opacity: float, legend: Legend | None = None
) -> Callable[[Iterator[Result]], Generator[Result, None, None]]:
    """The stage that renders each prediction, unless a device has done it, and then the legend."""

    def stage(results: Iterator[Result]) -> Generator[Result, None, None]:
        for result in results:
            overlay = result.overlay
            if overlay is None:
                overlay = result.prediction.render(result.frame.rgb(), opacity=opacity)
            if legend is not None:
                legend.draw(overlay)
            yield dataclasses.replace(result, overlay=overlay)

    return stage
