"""Shared layers: the formulations that engines take equal those of PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402

from edgeseg.export.onnx import graph_from_module  # noqa: E402
from edgeseg.models.layers import UPSAMPLINGS, Enlarge, Transposed, pool_to_bins  # noqa: E402


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


@pytest.mark.parametrize(
    ("bins", "operators"), [(1, ["ReduceMean"]), (2, ["AveragePool"]), (3, ["Reshape", "MatMul", "Reshape"])]
)
def test_a_pool_is_one_operator_and_its_reshapes(bins: int, operators: list[str]) -> None:
    assert [node.op_type for node in graph_from_module(Pool(bins), 64, 128).graph] == operators


def torch_enlarged(x: torch.Tensor, name: str, layer: Enlarge) -> torch.Tensor:
    """By an operator of torch; unpooling with all places at the first corners is a bed of nails."""
    height, width = x.shape[2:]
    if name == "bed_of_nails":
        corners = (torch.arange(height)[:, None] * 2 * width + torch.arange(width)) * 2
        return F.max_unpool2d(x, corners.expand(x.shape), 2)
    if name == "transposed":
        return F.conv_transpose2d(x, layer.method.weight, layer.method.bias, stride=2)
    mode = "nearest" if name == "nearest" else "bilinear"
    corners = {"bilinear": False, "corners": True}.get(name)
    return F.interpolate(x, (2 * height, 2 * width), mode=mode, align_corners=corners)


@pytest.mark.parametrize("name", UPSAMPLINGS)
def test_upsamplings_are_those_of_torch_and_export(name: str, tmp_path: Path) -> None:
    layer, x = Enlarge(2.0, name, 3).eval(), torch.randn(2, 3, 5, 7)
    for values in layer.parameters():
        torch.nn.init.normal_(values)
    with torch.inference_mode():
        expected = torch_enlarged(x, name, layer)
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)  # sums of 3 float32 products
    graph = graph_from_module(layer, 5, 7)
    assert not {node.op_type for node in graph.graph} & {"ConvTranspose", "MaxUnpool", "ScatterND", "ScatterElements"}
    onnx_ir.save(graph, tmp_path / "layer.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x[:1].numpy()})
    np.testing.assert_allclose(found, expected[:1].numpy(), rtol=1e-5, atol=1e-5)  # as above


def test_a_transposed_convolution_has_torchs_weights_and_learns() -> None:
    layer, reference = Transposed(3, 4), torch.nn.ConvTranspose2d(3, 3, 4, 4)
    layer.load_state_dict(reference.state_dict())
    x = torch.randn(1, 3, 5, 7)
    torch.testing.assert_close(layer(x), reference(x), rtol=1e-5, atol=1e-5)  # sums of 3 float32 products
    layer(x).square().sum().backward()
    assert all(values.grad is not None and values.grad.any() for values in layer.parameters())
