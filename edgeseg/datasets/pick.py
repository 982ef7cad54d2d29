"""Some of a data set's pairs, drawn by chance and yet always the same ones: `?limit=50&seed=1`."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from edgeseg.datasets.dataset import counted
from edgeseg.errors import DataError

T = TypeVar("T")
PICK = {"limit": "", "seed": ""}


def picked(items: Sequence[T], options: Mapping[str, str]) -> list[T]:
    """All of `items`, or the options' `limit` of them, drawn by `seed` (0)."""
    limit, seed = options["limit"], options["seed"]
    if seed and not limit:
        raise DataError(f"seed={seed} draws nothing without limit", hint=f"write limit=50&seed={seed}")
    return drawn(items, counted("limit", limit) if limit else None, counted("seed", seed or "0", least=0))


def drawn(items: Sequence[T], limit: int | None, seed: int = 0) -> list[T]:
    """`limit` of `items` in their own order; all of them where there are no more, or for None."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[index] for index in sorted(random.Random(seed).sample(range(len(items)), limit))]
