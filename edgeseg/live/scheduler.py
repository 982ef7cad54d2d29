"""Which stream has the engine next: deficit round robin (Shreedhar and Varghese, SIGCOMM 1995)."""

from __future__ import annotations

from collections.abc import Sequence

SMOOTHING = 0.2


class DeficitRoundRobin:
    """Shares the time of the engine between streams by their weights, whatever one image of each costs.

    A stream that has nothing to compute saves no credit, so that a camera that comes back gets its share and no more.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        if not weights or min(weights) <= 0:
            raise ValueError("every stream needs a weight above 0")
        self._weights = list(weights)
        self._credit = [0.0] * len(weights)
        self._cost = [0.0] * len(weights)
        self._at = 0
        self._fresh = True  # whether the stream at `_at` still gets its credit of this round

    def next(self, ready: Sequence[bool]) -> int:
        """The index of the stream to serve among the `ready` ones. ValueError where none is."""
        if not any(ready):
            raise ValueError("no stream is ready")
        for index, is_ready in enumerate(ready):
            if not is_ready:
                self._credit[index] = min(0.0, self._credit[index])
        quantum = max((cost for cost, is_ready in zip(self._cost, ready) if is_ready), default=0.0) or 1.0
        while True:
            at = self._at
            if ready[at]:
                if self._fresh:
                    self._credit[at] += quantum * self._weights[at]
                    self._fresh = False
                if self._credit[at] >= self._cost[at]:
                    return at
            self._at, self._fresh = (at + 1) % len(ready), True

    def served(self, index: int, cost: float) -> None:
        """Charge a stream for an image that took `cost` of the engine's time, in any unit."""
        self._credit[index] -= cost
        known = self._cost[index]
        self._cost[index] = known + SMOOTHING * (cost - known) if known else cost
