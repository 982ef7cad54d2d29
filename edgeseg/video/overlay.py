"""Overlays of results: the prediction over the frame, a legend, and a banner where the result is stale."""

from __future__ import annotations

import dataclasses
import threading

from edgeseg.pixels.banner import draw_banner
from edgeseg.pixels.legend import Legend
from edgeseg.video.result import Result


class OverlayRenderer:
    """Renders overlays. Threads may share it."""

    def __init__(self, opacity: float, legend: Legend | None = None) -> None:
        self._opacity, self._legend = opacity, legend
        self._legend_lock = threading.Lock()  # it keeps its panel from one frame to the next

    def rendered(self, result: Result, *, planes: bool = False) -> Result:
        """The result with its overlay. planes: as `overlay_planes`, if the frame has planes and no text is drawn."""
        if planes and self._legend is None and not result.stale and result.overlay is None:
            decoded = result.frame.planes()
            drawn = None if decoded is None else result.prediction.render_planes(decoded, opacity=self._opacity)
            if drawn is not None:
                return dataclasses.replace(result, overlay_planes=drawn)
        overlay = result.overlay
        if overlay is None:
            overlay = result.prediction.render(result.frame.rgb(), opacity=self._opacity)
        if self._legend is not None:
            with self._legend_lock:
                self._legend.draw(overlay)
        if result.stale:
            draw_banner(overlay, "NO SIGNAL")
        return dataclasses.replace(result, overlay=overlay)
