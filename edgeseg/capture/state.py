"""The states of a live source, and the events that it reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from edgeseg.errors import EdgeSegError


class StreamState(Enum):
    """connecting: no frame yet. live: frames arrive. stalled: silent for too long; the reader is restarted. lost: the
    connection failed; the next attempt waits. ended: no further frame will come.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True)
class StreamEvent:
    """Something that happened to a stream or one of its sinks.

    kind: "state" (`state` is the new one), "frame-size", "sink" (a sink failed or recovered), "trigger" (a class was
    in a zone), "error". code: of the error (`errors.CODES`), or "". message: one line, without a password.
    hint: what to do. retry_seconds: when the next attempt starts. time: seconds since the epoch. data: plain data.
    """

    stream: str
    kind: str
    message: str
    state: StreamState | None = None
    code: str = ""
    hint: str = ""
    retry_seconds: float | None = None
    time: float = field(default_factory=time.time)
    data: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of_error(
        stream: str,
        kind: str,
        problem: BaseException,
        code: str = "",
        *,
        prefix: str = "",
        state: StreamState | None = None,
    ) -> StreamEvent:
        """The event of an exception. code: where it has none of its own. prefix: before its message."""
        error = EdgeSegError.of(problem, code)
        return StreamEvent(stream, kind, prefix + error.message, state, error.code, error.hint)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without empty fields."""
        fields = {**asdict(self), "state": self.state.value if self.state else None}
        return {key: value for key, value in fields.items() if value not in (None, "", {})}


OnEvent: TypeAlias = Callable[[StreamEvent], None]
