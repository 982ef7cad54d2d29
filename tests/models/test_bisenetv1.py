"""BiSeNetV1's size, its heads for training, its versions, and how it starts to learn."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edgeseg.errors import UnknownNameError  # noqa: E402
from edgeseg.models.bisenetv1 import FAMILY  # noqa: E402
from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.layers import RESIZES  # noqa: E402
from edgeseg.models.resnet import Basic, Bottleneck, ResNet  # noqa: E402
from edgeseg.models.variant import arguments_from_text  # noqa: E402
from edgeseg.models.xception39 import Block  # noqa: E402

VARIANTS = list(FAMILY.variants)


def network_of(text: str, classes: int = 5, *, auxiliary: bool = False) -> Any:
    arguments = arguments_from_text(text, FAMILY.variants, family="bisenetv1")
    return FAMILY.module(classes, auxiliary=auxiliary, **arguments)


def shape_of(text: str, *, auxiliary: bool = False) -> Any:
    """The network without values: enough to count."""
    with torch.device("meta"):
        return network_of(text, 19, auxiliary=auxiliary)


@pytest.mark.parametrize(
    ("variant", "parameters", "macs"),
    [
        ("xception39", 1.54e6, 6.94e9),
        ("resnet18", 12.89e6, 25.9e9),
        ("resnet18?gate=0&head=256&upsample=nearest", 13.28e6, 29.6e9),  # CoinCheung and mmsegmentation
    ],
)
def test_counts_are_those_of_the_reference_implementations(variant: str, parameters: float, macs: float) -> None:
    counts = count(shape_of(variant), 1024, 512)
    # The reference counts are rounded to three digits and four.
    assert counts.parameters == pytest.approx(parameters, rel=2e-3)
    assert counts.macs == pytest.approx(macs, rel=2e-3)


@pytest.mark.parametrize(("variant", "megabytes"), [("xception39", 5.8), ("resnet18", 49.0)])
def test_parameters_of_the_paper_are_megabytes(variant: str, megabytes: float) -> None:
    # 2**20 bytes; the paper's files hold batch norm's means and variances, too: a few percent.
    assert count(shape_of(variant), 64, 64).parameters * 4 / 2**20 == pytest.approx(megabytes, rel=0.03)


def test_heads_for_training_cost_nothing_once_deployed() -> None:
    deployed, training = (shape_of("xception39", auxiliary=on) for on in (False, True))
    assert count(training, 128, 64).macs == count(deployed, 128, 64).macs
    extra = {key for key in training.state_dict() if key not in deployed.state_dict()}
    assert extra
    assert all(key.startswith(FAMILY.auxiliary) for key in extra)


def test_training_gives_the_logits_of_three_heads() -> None:
    network = network_of("xception39", 7, auxiliary=True).train()
    shapes = [tuple(logits.shape) for logits in network(torch.randn(2, 3, 64, 96))]
    assert shapes == [(2, 7, 8, 12), (2, 7, 8, 12), (2, 7, 4, 6)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_residual_blocks_begin_as_their_shortcut(variant: str) -> None:
    network = network_of(variant)
    blocks = [module for module in network.modules() if isinstance(module, (Block, Basic))]
    last = {Block: "body.2.1.1", Basic: "bn2"}
    assert len(blocks) == {"xception39": 16, "resnet18": 8}[variant]
    assert not any(block.get_submodule(last[type(block)]).weight.any() for block in blocks)


def test_shuffled_head_gives_a_logit_a_pixel() -> None:
    with torch.inference_mode():
        logits = network_of("xception39?shuffle=true").eval()(torch.randn(1, 3, 64, 96))
    assert logits.shape == (1, 5, 64, 96)


def test_dialects_of_equal_weights_differ() -> None:
    torch.manual_seed(0)
    texts = [f"xception39?gate=0&upsample={mode}&gate_relu={relu}" for mode in RESIZES for relu in ("true", "false")]
    networks = [network_of(text).eval() for text in texts]
    picture = torch.randn(1, 3, 64, 96)
    for network in networks:
        network.load_state_dict(networks[0].state_dict())
    with torch.inference_mode():
        logits = [network(picture) for network in networks]
    pairs = [(a, b) for n, a in enumerate(logits) for b in logits[:n]]
    # Far more than rounding: a version that is mistaken for another shows.
    assert all(float((a - b).abs().max() / a.abs().max()) > 1e-3 for a, b in pairs)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("upsample=nearset", "unknown upsampling: nearset (did you mean nearest?)"),
        ("backbone=resnet34", "unknown backbone of bisenetv1: resnet34 (did you mean resnet50?)"),
    ],
)
def test_unknown_option_names_its_neighbour(option: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        network_of(f"resnet18?{option}")
    assert str(caught.value) == message


def test_resnet50_is_as_large_as_everybodys() -> None:
    with torch.device("meta"):
        network = ResNet(50)
    # 25,557,032 in torchvision, of which 2,049,000 are its classifier.
    assert sum(parameter.numel() for parameter in network.parameters()) == 25_557_032 - 2_049_000
    assert sum(isinstance(module, Bottleneck) for module in network.modules()) == 16


def test_half_width_dilated_resnet_keeps_its_size_where_asked() -> None:
    network = ResNet(14, deep_stem=True, width=32, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)).eval()
    with torch.inference_mode():
        shapes = [tuple(feature.shape[1:]) for feature in network(torch.randn(1, 3, 64, 96))]
    assert shapes == [(128, 16, 24), (256, 8, 12), (512, 8, 12), (1024, 8, 12)]
    assert tuple(shapes[n][0] for n in range(4)) == network.channels
