"""The histogram of one tensor's values, with a fixed number of bins that widen as larger values come.

The bins divide [-limit, limit], where the limit is a power of two: when a larger value comes, pairs of bins merge
exactly. So the histogram of many images does not depend on their order.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import FormatError

BINS = 256
COUNT_BITS = 64
SMALLEST_EXPONENT, LARGEST_EXPONENT = -24, 128  # the finest resolution, and the end of float32
MAKE_AGAIN = "make the range table again with edgeseg calibrate"


class Histogram:
    """Counts (BINS,) of values over [-2**exponent, 2**exponent]."""

    def __init__(self, exponent: int = SMALLEST_EXPONENT, counts: NDArray[np.int64] | None = None) -> None:
        self.exponent = exponent
        self.counts = np.zeros(BINS, np.int64) if counts is None else counts

    @property
    def edges(self) -> NDArray[np.float64]:
        """The BINS + 1 borders of the bins."""
        return np.linspace(-1, 1, BINS + 1) * 2.0**self.exponent

    def add(self, values: NDArray[Any]) -> None:
        """Count `values`, all finite."""
        values = np.asarray(values, np.float32).reshape(-1)
        if values.size:
            self.widen(float(np.abs(values).max()))
            bins = np.floor(values * np.float32(BINS / 2 / 2.0**self.exponent))  # exact: the factor is a power of two
            self.counts += np.bincount(bins.astype(np.int64) + BINS // 2, minlength=BINS)

    def widen(self, magnitude: float) -> None:
        """Widen the bins to `magnitude`, merging them in pairs around zero."""
        exponent = math.frexp(magnitude)[1] if magnitude else self.exponent  # magnitude < 2**exponent
        while self.exponent < exponent:
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(axis=1), BINS // 4)
            self.exponent += 1

    def quantile(self, share: float) -> float:
        """The value below which `share` (0 to 1) of all values lie, linear inside a bin; 0 for an empty histogram."""
        total = np.concatenate([[0], np.cumsum(self.counts)])
        if not total[-1]:
            return 0.0
        rank = share * total[-1]
        last = min(int(np.searchsorted(total, rank, side="left")), BINS)
        first = max(last - 1, 0)
        inside = (rank - total[first]) / max(total[last] - total[first], 1)
        return float(self.edges[first] + (self.edges[last] - self.edges[first]) * inside)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: exponent, index of the first filled bin, and the counts up to the last filled bin as text."""
        filled = np.flatnonzero(self.counts)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, 0)
        return {"exponent": self.exponent, "first": first, "counts": text_from_counts(self.counts[first:last])}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Histogram:
        """Read the data of `to_dict`. FormatError where it cannot be a histogram of float32 values."""
        counts = np.zeros(BINS, np.int64)
        first, exponent, filled = data["first"], data["exponent"], counts_from_text(data["counts"])
        if type(first) is not int or first < 0 or first + len(filled) > BINS:
            raise FormatError(f"a histogram has more than {BINS} bins", hint=MAKE_AGAIN)
        if type(exponent) is not int or not SMALLEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
            raise FormatError(f"a histogram reaches 2 to the power of {exponent}", hint=MAKE_AGAIN)
        counts[first : first + len(filled)] = filled
        return cls(exponent, counts)


def text_from_counts(counts: NDArray[np.int64]) -> str:
    """Counts as LEB128 numbers (7 bits per byte, lowest first) in base64."""
    data = bytearray()
    for count in counts.tolist():
        while count >= 0x80:
            data.append(count & 0x7F | 0x80)
            count >>= 7  # noqa: PLW2901 - the count is consumed digit by digit
        data.append(count)
    return base64.b64encode(data).decode()


def counts_from_text(text: str) -> list[int]:
    """The counts in the text of `text_from_counts`. ValueError where a count has more than COUNT_BITS bits."""
    counts, count, shift = [], 0, 0
    for byte in base64.b64decode(text, validate=True):
        count |= (byte & 0x7F) << shift
        shift += 7
        if shift > COUNT_BITS:
            raise ValueError("a count has more than 64 bits")
        if byte < 0x80:
            counts.append(count)
            count = shift = 0
    return counts
