"""What both video peers note about their loop, in the same way."""

from __future__ import annotations

import json
import time
from typing import Any

from edgeseg.measure.load import LoadMeter
from edgeseg.measure.recorder import summary_from_samples


class VideoRun:
    """Begins when made: before the source is opened, and after the model is loaded and warm."""

    def __init__(self) -> None:
        self._meter = LoadMeter()
        self._times = [time.perf_counter()]

    def frame(self) -> None:
        """One more frame was written."""
        self._times.append(time.perf_counter())

    def finish(self, **more: Any) -> None:
        """Print the figures as JSON; to be called when the video file is closed.

        frame_ms: from one written frame to the next, which is what a viewer sees.
        """
        load = self._meter.load()
        intervals = [(after - before) * 1e3 for before, after in zip(self._times, self._times[1:])]
        found = {
            "frames": len(intervals),
            "seconds": load.wall_seconds,
            "fps": len(intervals) / load.wall_seconds,
            "cpu_ms_per_frame": load.cpu_seconds * 1e3 / max(1, len(intervals)),
            "foreign_cores": load.foreign_cores,
            "frame_ms": summary_from_samples(intervals).to_dict() if intervals else None,
            **more,
        }
        print(json.dumps(found))
