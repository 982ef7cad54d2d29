"""What a running stream says of itself, for the page, the metrics, the health check and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.spec import LabelSet
from edgeseg.video.result import Result


@dataclass(frozen=True)
class StreamStatus:
    """The state of one stream at one moment.

    uri: without a password. width, height: of the newest frame; 0 before the first. fps: results per second, over the
    last 5 s; source_fps: frames that arrived. age_seconds: of the newest result, from capture to now; None before the
    first, and of a recording. milliseconds: medians of the last results, by stage. shares: by class, of a grid of
    pixels of the newest mask. since: seconds in this state. event: the last one with an error code.

    Counts since the start: frames: results; dropped: frames that a newer one replaced; too_old: frames older than the
    limit; stale: repetitions of the last result; unwritten: results that a sink which was too slow did not get;
    reconnects: attempts to connect after a loss; stalls: times that the source was silent for too long.
    """

    name: str
    uri: str
    state: StreamState
    width: int = 0
    height: int = 0
    fps: float = 0.0
    source_fps: float = 0.0
    age_seconds: float | None = None
    frames: int = 0
    dropped: int = 0
    too_old: int = 0
    stale: int = 0
    unwritten: int = 0
    reconnects: int = 0
    stalls: int = 0
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    since: float = 0.0
    event: StreamEvent | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        event = self.event.to_dict() if self.event else None
        return {**asdict(self), "state": self.state.value, "event": event}


class LiveView(Protocol):
    """What observers (page, metrics) may ask a runner for, from any thread."""

    @property
    def labels(self) -> LabelSet:
        """The classes of the model."""

    @property
    def engine(self) -> str:
        """The engine with its precision, for people."""

    def statuses(self) -> Sequence[StreamStatus]:
        """One for each stream, in order."""

    def latest(self, name: str) -> Result | None:
        """The newest result of a stream; None before the first. Its overlay may not be rendered."""

    def events(self) -> Sequence[StreamEvent]:
        """The last 100 events of all streams, oldest first."""

    def engine_seconds(self) -> Sequence[tuple[str, float]]:
        """(stream, seconds of the engine) of the results since the last call, for a histogram."""
