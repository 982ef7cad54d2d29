"""Batches by step, made ahead in threads where the device would wait for them, and their normalisation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from edgeseg.spec import InputSpec

Batch = tuple[Tensor, Tensor]


class Batches:
    """`batches(step)` returns `make(step)`, whichever thread made it.

    workers: how many batches are made ahead, each in a thread; 0: each is made on request.
    """

    def __init__(self, make: Callable[[int], Batch], workers: int = 0) -> None:
        self._make, self._workers = make, workers
        self._pool = ThreadPoolExecutor(workers, "batches") if workers else None
        self._ahead: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of `step`; raises what `make` raised."""
        if self._pool is None:
            return self._make(step)
        for later in range(step, step + self._workers + 1):
            if later not in self._ahead:
                self._ahead[later] = self._pool.submit(self._make, later)
        return self._ahead.pop(step).result()

    def close(self) -> None:
        """Discard the batches that were made ahead."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._ahead.clear()


class Normalise:
    """Pixels (N, 3, H, W) of 0 to 255, rgb, as the input of a network."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        self.swap_channels = spec.color == "bgr"
        self.mean = torch.tensor(spec.mean, device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(spec.std, device=device).view(1, 3, 1, 1) * 255

    def __call__(self, images: Tensor) -> Tensor:  # noqa: D102 - the class says it
        return ((images.flip(1) if self.swap_channels else images) - self.mean) / self.std
