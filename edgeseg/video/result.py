"""The data that sinks and callbacks receive: a frame with its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeseg.pixels.planes import Planes
from edgeseg.predictions.prediction import Prediction
from edgeseg.video.frame import Frame, Pixels


@dataclass(frozen=True, eq=False)
class Result:
    """A frame, its prediction and the times of the stages.

    milliseconds: by stage, "total" from submission to the prediction in host memory. stale: the prediction is that of
    an earlier frame. overlay: (H, W, 3) uint8 rgb, the prediction over the frame; None until it is rendered.
    overlay_planes: the overlay as YUV instead, for sinks that want "video".
    """

    frame: Frame
    prediction: Prediction
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    stale: bool = False
    overlay: Pixels | None = None
    overlay_planes: Planes | None = None

    def overlay_for_video(self) -> Pixels | Planes:
        """The overlay in the form in which it was rendered."""
        image = self.overlay if self.overlay_planes is None else self.overlay_planes
        assert image is not None  # `FrameSink.wants` asks for it
        return image
