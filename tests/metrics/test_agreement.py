from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import SizeError
from edgeseg.metrics.agreement import label_agreement


def test_share_of_equal_labels() -> None:
    a = np.array([[0, 1], [2, 255]], np.uint8)
    assert label_agreement(a, a.astype(np.int64)) == 1.0
    assert label_agreement(a, np.array([[0, 1], [3, 255]], np.uint8)) == 0.75


def test_sizes_that_differ_or_are_empty() -> None:
    with pytest.raises(SizeError) as caught:
        label_agreement(np.zeros((2, 2), np.uint8), np.zeros((4, 2), np.uint8))
    assert "(2, 2) and (4, 2)" in caught.value.message
    with pytest.raises(SizeError):
        label_agreement(np.zeros((0, 2), np.uint8), np.zeros((0, 2), np.uint8))
