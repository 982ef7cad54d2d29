"""FCN on VGG16: its fixed transposed convolutions, and what the border of the image changes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from edgeseg.export.onnx import graph_from_module  # noqa: E402
from edgeseg.models.fcnvgg import FAMILY, transposed_bilinear  # noqa: E402


def bilinear_kernel(channels: int, factor: int) -> Tensor:
    """The weights of the authors' transposed convolution: (1 - |i - c| / f)(1 - |j - c| / f) for each channel alone."""
    ramp = 1 - (torch.arange(2 * factor) - (factor - 0.5)).abs() / factor
    return torch.eye(channels)[:, :, None, None] * torch.outer(ramp, ramp)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_a_resize_is_the_transposed_convolution(factor: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    expected = F.conv_transpose2d(x, bilinear_kernel(3, factor), stride=factor)
    torch.testing.assert_close(transposed_bilinear(x, factor), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("border", [1, 100])
def test_it_exports_as_resizes(border: int) -> None:
    arguments = {**FAMILY.variants["tiny"], "border": border}
    operators = [node.op_type for node in graph_from_module(FAMILY.module(5, **arguments).eval(), 64, 96).graph]
    assert operators.count("Resize") == 3
    assert "ConvTranspose" not in operators


def test_the_border_changes_the_margin_alone() -> None:
    """97 zeros in place of 100 shift no grid: 96 is a multiple of all strides."""
    networks = [FAMILY.module(3, **{**FAMILY.variants["tiny"], "border": border}).eval() for border in (1, 97)]
    networks[1].load_state_dict(networks[0].state_dict())
    x = torch.randn(1, 3, 512, 512)
    with torch.inference_mode():
        padded, bordered = (network(x) for network in networks)
    middle = slice(248, 264)  # 202 pixels on each side are all that a score sees, 32 more its enlargement
    close = (padded - bordered).abs() < 1e-4 * padded.abs().max()
    assert close[:, :, middle, middle].all()
    assert not close[:, :, :64].any(1).all()


def test_a_border_that_is_too_narrow_is_refused() -> None:
    with pytest.raises(ValueError, match="border of 50"):
        FAMILY.module(3, **{**FAMILY.variants["tiny"], "border": 50})
