"""A stand-in for a runner: streams of the synthetic street that a test moves on by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.live.status import StreamStatus
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.synthetic import StreetCamera
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result

LABELS = CAMVID_LABELS


class FakeView:
    """A `LiveView` whose answers a test sets; `move` gives a stream its next frame."""

    labels = LABELS
    engine = "bisenetv2-camvid, OpenVINO INT8"

    def __init__(self, *names: str, size: tuple[int, int] = (320, 180)) -> None:
        self.status = {
            name: StreamStatus(name, f"rtsp://{name}.example/main", StreamState.CONNECTING) for name in names
        }
        self.results: dict[str, Result] = {}
        self.event_log: list[StreamEvent] = []
        self.times: list[tuple[str, float]] = []
        self._cameras = {name: StreetCamera(7 * index + 2, *size) for index, name in enumerate(names)}

    def statuses(self) -> Sequence[StreamStatus]:
        return list(self.status.values())

    def latest(self, name: str) -> Result | None:
        return self.results.get(name)

    def events(self) -> Sequence[StreamEvent]:
        return list(self.event_log)

    def engine_seconds(self) -> Sequence[tuple[str, float]]:
        times, self.times = self.times, []
        return times

    def set(self, name: str, **changes: Any) -> None:
        """Change fields of the status of a stream."""
        self.status[name] = dataclasses.replace(self.status[name], **changes)

    def move(self, name: str, index: int, *, stale: bool = False) -> Result:
        """Frame `index` of a stream, live."""
        rgb, labels = self._cameras[name].render(index)
        mask = SemanticMask(labels, LABELS)
        result = Result(Frame.from_rgb(index, index / 25, rgb, captured_at=100.0 + index), mask, {"total": 41.0}, stale)
        self.results[name] = result
        self.times.append((name, 0.041))
        self.set(
            name,
            state=StreamState.LIVE,
            width=rgb.shape[1],
            height=rgb.shape[0],
            frames=self.status[name].frames + 1,
            fps=14.8,
            source_fps=15.0,
            age_seconds=0.084,
            milliseconds={"decode": 3.1, "preprocess": 2.2, "engine": 31.5, "postprocess": 4.2, "total": 41.0},
            shares=mask.shares(),
        )
        return result

    def lose(self, name: str, *, retry_seconds: float = 8.0) -> None:
        """A stream whose camera refuses the connection."""
        event = StreamEvent(
            name,
            "state",
            "the host refused the connection",
            StreamState.LOST,
            "ES-SOURCE-REFUSED",
            "check the port, and that the camera's RTSP server is on",
            retry_seconds,
        )
        self.event_log.append(event)
        self.set(name, state=StreamState.LOST, fps=0.0, source_fps=0.0, since=12.0, age_seconds=12.4, event=event)
