"""How far a build is, read off the builder's verbose log: for releases before 10.0, which have no IProgressMonitor.

What 8.x says, in this order: how many layers are left after each optimisation ("After concat removal: 46 layers"),
"Graph optimization time: ...", a heading before it times a layer ("=============== Computing costs for NAME", in the
older ones without the name), "Formats and tactics selection completed in ...", "Engine generation completed in ...".

That is an estimate: every layer counts as much as any other, though one with more formats and kernels takes longer, and
some layers have nothing to time, so that the end may come early. What follows the timing is taken for 3% of the build;
in published logs it was 1% to 3%. Where the log tells no count, only its length moves, and no end is named.
"""

from __future__ import annotations

import re

from edgeseg.engines.tensorrt.monitor import STEPS
from edgeseg.progress import Progress

LEFT = re.compile(r"After [\w -]+: (\d+) layers")
OPTIMISED = re.compile(r"Graph .*optimization (time|completed)")
COSTS = re.compile(r"=+ Computing costs for")
# A layer that only changes type or format stands under another heading; the optimiser's own reformats are no layers.
REFORMAT = re.compile(r"-+ Timing Runner: (?!Optimizer Reformat)(.+) \(Reformat\b")
CHOSEN, DONE = "Formats and tactics selection completed", "Engine generation completed"
AS_CHOSEN = 0.97
QUIET_LINES = 100  # of a log that tells no count: how many pass before it moves


class Tuning:
    """The log of one build, line by line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines = self._layers = self._timed = self._shown = 0
        self._reformats: set[str] = set()
        self._is_optimised = self._is_chosen = False

    def hear(self, message: str) -> None:
        """A message of TensorRT's, which may hold several lines."""
        for line in message.splitlines():
            self._read(line)
            self._lines += 1
            self._tell(line)

    def fraction(self) -> float:
        """How much of the whole is done, 0 to 1, about; 0 where the log does not tell."""
        if self._is_chosen:
            return AS_CHOSEN
        begun = self._timed + len(self._reformats)
        return AS_CHOSEN * min(1.0, max(0, begun - 1) / self._layers) if self._layers else 0.0

    def _read(self, line: str) -> None:
        """Note what a line says of the layers."""
        if (left := LEFT.search(line)) and not self._is_optimised:  # later it is said of parts of the graph
            self._layers = int(left[1])
        elif COSTS.search(line):
            self._timed += 1
        elif reformat := REFORMAT.search(line):
            self._reformats.add(reformat[1])
        self._is_optimised = self._is_optimised or self._timed > 0 or OPTIMISED.search(line) is not None
        self._is_chosen = self._is_chosen or CHOSEN in line

    def _tell(self, line: str) -> None:
        """Pass on where it stands, in thousandths that never go back, where that has changed."""
        steps = STEPS if DONE in line else int(STEPS * self.fraction())
        if steps > self._shown:
            self._shown = steps
            self._progress("build", steps, STEPS)
        elif not self._shown and self._lines % QUIET_LINES == 0:
            self._progress("build", self._lines, None)
