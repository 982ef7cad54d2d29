"""Counting against sums done by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.count import Counts, count  # noqa: E402


class Attended(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


def test_a_convolution() -> None:
    assert count(torch.nn.Conv2d(3, 8, 3, 2, 1), 32, 16) == Counts(3 * 8 * 9 + 8, 16 * 8 * 3 * 8 * 9)


def test_a_grouped_convolution() -> None:
    assert count(torch.nn.Conv2d(3, 6, 3, 1, 1, groups=3), 4, 5) == Counts(6 * 9 + 6, 4 * 5 * 6 * 9)


def test_a_linear_layer_works_on_the_last_axis() -> None:
    assert count(torch.nn.Linear(4, 7), 4, 5) == Counts(4 * 7 + 7, 3 * 5 * 4 * 7)


def test_attention_is_two_products() -> None:
    tokens = 4 * 5
    assert count(Attended(), 4, 5) == Counts(0, 2 * tokens * tokens * 3)


def test_the_module_is_left_as_it_is() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2)).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    count(module, 8, 8)
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
