"""Batches by step: the next ones are made in the background where the device would wait for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

Batch = tuple[Tensor, Tensor]


class Batches:
    """`batches(step)` is `make(step)`: which thread made it, and when, changes nothing.

    workers: how many batches are made ahead, each in a thread; 0 makes each when it is asked for.
    """

    def __init__(self, make: Callable[[int], Batch], workers: int = 0) -> None:
        self._make, self._workers = make, workers
        self._pool = ThreadPoolExecutor(workers, "batches") if workers else None
        self._ahead: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of `step`; what raised while it was made is raised here."""
        if self._pool is None:
            return self._make(step)
        for later in range(step, step + self._workers + 1):
            if later not in self._ahead:
                self._ahead[later] = self._pool.submit(self._make, later)
        return self._ahead.pop(step).result()

    def close(self) -> None:
        """Forget what nobody asked for."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()
