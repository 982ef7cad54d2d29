"""Depthwise convolutions in bf16 have the outputs of torch's, and gradients that are nearer to those in fp32."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models import open_family  # noqa: E402
from edgeseg.models.family import TINY  # noqa: E402
from edgeseg.train.depthwise import DepthwiseConv2d, use_fp32_gradients  # noqa: E402


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 1, 1, 1), (3, 2, 0, 1), (5, 2, 2, 1), (3, 1, 2, 2)]
)
def test_outputs_are_torchs_and_gradients_those_of_fp32(
    kernel: int, stride: int, padding: int, dilation: int, bias: bool
) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(6, 6, kernel, stride, padding, dilation, groups=6, bias=bias)
    ours = copy.deepcopy(plain)
    use_fp32_gradients(ours)
    assert type(ours) is DepthwiseConv2d
    image = torch.randn(2, 6, 13, 17).bfloat16()
    images = [image.clone().requires_grad_() for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        outputs = [layer(each) for layer, each in zip((plain, ours), images)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=2**-7, atol=2**-7)  # of a bias: rounded once more
    pull = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(pull)
    exact_image = image.float().requires_grad_()
    exact = copy.deepcopy(plain)
    exact.zero_grad()
    exact.weight.data = plain.weight.data.bfloat16().float()
    exact(exact_image).backward(pull.float())
    torch.testing.assert_close(images[1].grad.float(), exact_image.grad, rtol=2**-8, atol=1e-6)  # rounded to bf16
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, exact.get_parameter(name).grad, rtol=2**-7, atol=1e-3)


def test_depthwise_convolutions_alone_change_and_the_weights_keep_their_names() -> None:
    family = open_family("liteseg")
    network = family.module(11, **family.variants[TINY])
    names = list(network.state_dict())
    use_fp32_gradients(network)
    kinds = {layer.groups > 1: type(layer) for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)}
    assert kinds == {False: torch.nn.Conv2d, True: DepthwiseConv2d}
    assert list(copy.deepcopy(network).state_dict()) == names


def test_without_autocast_it_is_torchs_convolution() -> None:
    layer = torch.nn.Conv2d(4, 4, 3, groups=4)
    image = torch.randn(1, 4, 6, 6)
    before = layer(image)
    use_fp32_gradients(layer)
    assert torch.equal(layer(image), before)


def test_a_layer_may_be_frozen() -> None:
    layer = torch.nn.Conv2d(4, 4, 3, groups=4, bias=False).requires_grad_(False)
    use_fp32_gradients(layer)
    image = torch.randn(1, 4, 6, 6, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(image).float().sum().backward()
    assert layer.weight.grad is None
    assert image.grad is not None
    assert bool(image.grad.any())
