from __future__ import annotations

import numpy as np
import pytest

from edgeseg.errors import SizeError
from edgeseg.pixels.resize import resize_rgb


def test_fitting_size_is_no_copy() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert resize_rgb(rgb, (6, 8)) is rgb
    out = np.zeros_like(rgb)
    assert resize_rgb(rgb, (6, 8), out=out) is out
    np.testing.assert_array_equal(out, rgb)


@pytest.mark.parametrize("size", [(36, 48), (12, 80), (9, 11)])
def test_linear_rule_is_torchs_bilinear(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    rgb = np.random.default_rng(1).integers(0, 256, (18, 24, 3), dtype=np.uint8)
    batch = torch.from_numpy(rgb.transpose(2, 0, 1).astype(np.float32))[None]
    wanted = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", antialias=False)[0]
    out = np.empty((*size, 3), np.uint8)
    assert resize_rgb(rgb, size, out=out) is out
    np.testing.assert_array_equal(out, resize_rgb(rgb, size))
    # cv2 works with 11-bit weights and rounds to whole numbers: half a step, and a little for the weights
    assert np.abs(out - wanted.numpy().transpose(1, 2, 0)).max() <= 1


def test_errors() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(SizeError, match="8x0"):
        resize_rgb(rgb, (0, 8))
    with pytest.raises(SizeError, match=r"\(4, 4, 3\)"):
        resize_rgb(rgb, (8, 8), out=np.zeros((4, 4, 3), np.uint8))
