"""The progress of a build, from IProgressMonitor of TensorRT 10.0 and later."""

from __future__ import annotations

from typing import Any

from edgeseg.engines.tensorrt.log import Log
from edgeseg.interrupt import Hold
from edgeseg.progress import Progress

STEPS = 1000  # TensorRT counts in nested phases; we report thousandths of the build


class Phases:
    """Nested phases as one fraction: a phase takes one step of its parent."""

    def __init__(self) -> None:
        self._parent: dict[str, str | None] = {}
        self._steps: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._best = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins."""
        self._parent[name], self._steps[name], self._done[name] = parent, max(1, steps), 0

    def step(self, name: str, number: int) -> None:
        """Step `number`, counted from 0, of a phase is done."""
        self._done[name] = number + 1

    def finish(self, name: str) -> None:
        """A phase is over."""
        for values in (self._parent, self._steps, self._done):
            values.pop(name, None)

    def fraction(self) -> float:
        """The share of the build that is done, 0 to 1; it never decreases."""
        reached = max((self._reached(name) for name in self._steps), default=0.0)
        self._best = max(self._best, min(1.0, reached))
        return self._best

    def _reached(self, name: str) -> float:
        """The share of the build that is done when the phase `name` is where it is now."""
        within = min(1.0, self._done[name] / self._steps[name])
        parent = self._parent[name]
        while parent is not None and parent in self._steps:
            within = min(1.0, (self._done[parent] + within) / self._steps[parent])
            parent = self._parent[parent]
        return within


def monitor_for(base: Any, progress: Progress, log: Log, hold: Hold) -> Any:
    """An object of the class `base`, IProgressMonitor, that reports to `progress` and stops the build at Ctrl-C."""

    class Monitor(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self.phases = Phases()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            log.safely(self.phases.start, phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            log.safely(self.step, phase_name, step)
            return not (log.is_interrupted or hold.is_pending)

        def step(self, name: str, number: int) -> None:
            self.phases.step(name, number)
            progress("build", round(STEPS * self.phases.fraction()), STEPS)

        def phase_finish(self, phase_name: str) -> None:
            log.safely(self.phases.finish, phase_name)

    return Monitor()
