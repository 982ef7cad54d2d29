"""Shared layers: the formulations that engines take equal those of PyTorch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from edgeseg.export.onnx import graph_from_module  # noqa: E402
from edgeseg.models.layers import pool_to_bins  # noqa: E402


class Pool(torch.nn.Module):
    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pool_to_bins(x, self.bins)


@pytest.mark.parametrize("size", [(12, 18), (11, 20), (64, 128), (2, 3), (1, 7)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6, 8])
def test_pools_are_adaptive_ones(bins: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 4, *size)
    # Sums of up to 8192 float32 numbers in two orders.
    torch.testing.assert_close(pool_to_bins(x, bins), F.adaptive_avg_pool2d(x, bins), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("bins", "operators"), [(1, ["ReduceMean"]), (2, ["AveragePool"]), (3, ["MatMul", "MatMul"])])
def test_a_pool_is_one_operator_or_two(bins: int, operators: list[str]) -> None:
    assert [node.op_type for node in graph_from_module(Pool(bins), 64, 128).graph] == operators
