"""How far two masks say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError


def label_agreement(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> float:
    """The share of pixels, 0 to 1, that have the same label in `a` and `b`."""
    if a.shape != b.shape or a.size == 0:
        raise SizeError(
            f"masks of shape {a.shape} and {b.shape} cannot be held against each other",
            hint="bring both to one size with labels_nearest",
        )
    return float(np.count_nonzero(a == b) / a.size)
