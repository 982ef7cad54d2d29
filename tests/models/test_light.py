"""What CGNet, DABNet and ESPNet share."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.light import shrunk  # noqa: E402


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_shrunk_image_is_that_of_repeated_poolings_whose_padding_counts(times: int) -> None:
    image = torch.randn(2, 3, 32, 48)
    pool = torch.nn.AvgPool2d(3, 2, 1)
    expected = torch.nn.Sequential(*[pool] * times)(image)
    torch.testing.assert_close(shrunk(image, times), expected)
