"""The Vision Transformer of Segmenter and DPT: its tokens and positions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.segmenter import unit  # noqa: E402
from edgeseg.models.vit import ViT  # noqa: E402


def backbone(first: int = 1) -> ViT:
    torch.manual_seed(0)
    return ViT(8, 1, 2, grid=4, resize="bilinear", eps=1e-6, first=first).eval()


@pytest.mark.parametrize("first", [1, 2])
def test_the_first_tokens_have_places_of_their_own(first: int) -> None:
    network = backbone(first)
    places = network.places((4, 4))
    assert torch.equal(places[:, first:], network.positions[:, first:])
    assert torch.equal(places[:, :first], network.tokens + network.positions[:, :first])
    assert torch.equal(network.places((2, 6))[:, :first], places[:, :first])


def test_positions_follow_the_shape_of_the_map_and_not_its_area() -> None:
    network = backbone()
    with torch.no_grad():
        network.positions[:, 1:] = (torch.arange(16) // 4)[None, :, None].float()  # the row
    places = network.places((2, 8))[:, 1:]  # as many as 4x4
    assert places.reshape(2, 8, 8)[:, :, 0].tolist() == [[0.5] * 8, [2.5] * 8]


def test_an_image_gives_a_token_a_patch_behind_the_first_ones() -> None:
    network = backbone(2)
    image = torch.randn(2, 3, 32, 64)
    (tokens,) = network(image)
    assert tokens.shape == (2, 2 + 2 * 4, 8)
    assert torch.allclose(network(image[1:])[0], tokens[1:], atol=1e-6)  # sums in another order


def test_unit_vectors_have_length_one() -> None:
    x = torch.randn(2, 5, 7)
    assert torch.allclose(unit(x), torch.nn.functional.normalize(x, dim=-1))
