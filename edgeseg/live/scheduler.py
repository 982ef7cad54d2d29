"""Which stream has the engine next: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996).

It shares as deficit round robin does, and needs no estimate of what the next image will cost.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

LEAST_COST = 1e-9  # an image that costs nothing must not be served for ever
NEWEST_SHARE = 0.1  # of the newest image in the mean cost


class MeanCosts:
    """What images of a kind cost on the average, whichever stream they came from.

    A stream is charged this and not the time of its own image: what other processes take from the machine would lower
    the share of the stream that happened to be served then.
    """

    def __init__(self) -> None:
        self._means: dict[Hashable, float] = {}

    def add(self, kind: Hashable, cost: float) -> float:
        """Note the cost of an image; returns the mean of its kind (an exponential one)."""
        before = self._means.get(kind, cost)
        self._means[kind] = before + NEWEST_SHARE * (cost - before)
        return self._means[kind]


class FairScheduler:
    """Shares the time of the engine between streams by their weights, whatever one image of each costs.

    Each stream has a virtual time, which its images advance by cost / weight; the ready stream that is furthest behind
    is next. A stream with nothing to compute does not fall behind: it saves no credit, and a camera that comes back
    gets its share and no more.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        if not weights or not all(weight > 0 for weight in weights):
            raise ValueError("every stream needs a weight above 0")
        self._weights = list(weights)
        self._times = [0.0] * len(weights)
        self._now = 0.0  # the virtual time of the stream that was chosen last

    def next(self, ready: Sequence[bool]) -> int:
        """The index of the stream to serve among the `ready` ones. ValueError where none is."""
        if not any(ready):
            raise ValueError("no stream is ready")
        self._times = [time if here else max(time, self._now) for time, here in zip(self._times, ready)]
        index = min((index for index, here in enumerate(ready) if here), key=self._times.__getitem__)
        self._now = max(self._now, self._times[index])
        return index

    def served(self, index: int, cost: float) -> None:
        """Charge a stream for an image that took `cost` of the engine's time, in any unit."""
        self._times[index] += max(cost, LEAST_COST) / self._weights[index]
