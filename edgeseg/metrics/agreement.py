"""How far two label maps say the same, and how far they must."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError

# The least share of equal labels, by what is held against the float model that it comes from.
LEAST_LABELS = {
    "export": 0.999,  # float against float, one arithmetic: only near-ties may differ
    "adoption": 0.999,  # as above
    # bf16 keeps 8 bits of each activation, which moves labels only where two logits all but tie.
    "float engine": 0.98,
    # Less is a loss that people see. A range table of another model labels far fewer.
    "int8 engine": 0.95,
    # Where nobody asked for int8 it must not be noticed.
    "int8 by choice": 0.99,
}


def label_agreement(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> float:
    """The share of pixels, 0 to 1, that have the same label in `a` and `b`."""
    if a.shape != b.shape or a.size == 0:
        raise SizeError(
            f"masks of shape {a.shape} and {b.shape} cannot be held against each other",
            hint="bring both to one size with labels_nearest",
        )
    return float(np.count_nonzero(a == b) / a.size)


def labels_from_output(output: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Labels (N, h, w) of logits (N, C, h, w), or of a mask as it is."""
    return output.argmax(1) if output.ndim == 4 else output
