"""The sinks of a recording, of which one that fails stops alone."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.errors import EdgeSegError
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, StopStream, has_output
from edgeseg.video.source import Loss


class WorkingSinks:
    """Those of `sinks` that work, and why the others stopped. The sinks stay open."""

    def __init__(self, sinks: Sequence[FrameSink]) -> None:
        self._working = list(sinks)
        self._stopped: list[Loss] = []

    def write(self, result: Result) -> bool:
        """Write a result to each sink; False ends the stream. The error of a sink is raised where no output is left."""
        wants_more = True
        for sink in tuple(self._working):
            try:
                sink.write(result)
            except StopStream:
                wants_more = False
            except (EdgeSegError, OSError) as problem:
                self._working.remove(sink)
                if not has_output(self._working):
                    raise
                self._stopped.append(stopped(sink, problem))
        return wants_more

    def failures(self) -> tuple[Loss, ...]:
        """Why sinks stopped, and why others drop frames at the moment."""
        problems = [sink.problem for sink in self._working if sink.problem is not None]
        return (*self._stopped, *(Loss(problem.code, problem.message) for problem in problems))


def stopped(sink: FrameSink, problem: Exception) -> Loss:
    """The failure of a sink."""
    error = EdgeSegError.of(problem, "ES-SINK")
    return Loss(error.code, f"{sink.name} stopped: {error.message}")
