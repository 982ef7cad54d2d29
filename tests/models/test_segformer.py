"""SegFormer against the reference implementation in transformers, and against the counts of the paper."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from edgeseg.errors import UnknownNameError  # noqa: E402
from edgeseg.export.onnx import onnx_from_module  # noqa: E402
from edgeseg.labels import unnamed_labels  # noqa: E402
from edgeseg.models.attention import Attention, DropPath  # noqa: E402
from edgeseg.models.checkpoint_formats.huggingface_segformer import FORMAT  # noqa: E402
from edgeseg.models.count import count  # noqa: E402
from edgeseg.models.segformer import (  # noqa: E402
    DECODERS,
    FAMILY,
    Decoder,
    NormedDecoder,
    variant_from_state,
)
from edgeseg.models.variant import arguments_from_text  # noqa: E402
from edgeseg.spec import InputSpec, ModelSpec  # noqa: E402


def reference(variant: str) -> Any:
    """transformers' network of this variant, every weight and every BN statistic random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers")
        config = transformers.SegformerConfig(
            num_labels=19,
            hidden_sizes=list(FAMILY.variants[variant]["channels"]),
            depths=list(FAMILY.variants[variant]["depths"]),
            decoder_hidden_size=FAMILY.variants[variant]["width"],
        )
        network = transformers.SegformerForSemanticSegmentation(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        network.decode_head.batch_norm.running_mean.normal_()
        network.decode_head.batch_norm.running_var.uniform_(0.5, 2)
    return network


class PlainDecoder(Decoder):
    """The decoder in the order of the paper: enter, enlarge, concatenate, fuse."""

    def forward(self, features: list[Any]) -> Any:
        first, *deeper = (level(feature) for level, feature in zip(self.levels, features))
        size = first.shape[2:]
        enlarged = [torch.nn.functional.interpolate(x, size, mode="bilinear") for x in reversed(deeper)]
        return self.classify(self.dropout(self.fuse(torch.cat([*enlarged, first], 1))))


class PlainNormedDecoder(PlainDecoder, NormedDecoder):
    """The same with the layers of mmsegmentation."""


PLAIN = {"linear": PlainDecoder, "normed": PlainNormedDecoder}


def shape_of(classes: int, variant: str) -> Any:
    """The network in the order of the paper, without values: enough to count."""
    with torch.device("meta"):
        network = FAMILY.module(classes, **FAMILY.variants[variant])
        channels, width = (FAMILY.variants[variant][key] for key in ("channels", "width"))
        network.decoder = PlainDecoder(channels, width, classes)
    return network


@pytest.mark.parametrize("variant", ["b0", "b1"])
def test_logits_are_those_of_the_reference_implementation(variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = reference(variant)
    theirs.save_pretrained(tmp_path)
    ours = FAMILY.module(19, **FAMILY.variants[variant]).eval()
    ours.load_state_dict(FORMAT.adopt(safetensors.load_file(tmp_path / "model.safetensors")).state)
    for height, width in [(64, 64), (64, 160)]:
        picture = torch.randn(2, 3, height, width)
        with torch.no_grad():
            expected, logits = theirs(picture).logits, ours(picture)
        assert logits.shape == expected.shape == (2, 19, height // 4, width // 4)
        assert expected.std() > 0.1  # else the comparison below would say nothing
        # Sums in another order: float32 rounding through 8 blocks measures 1e-6 to 3e-6 of the largest logit.
        assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("variant", "parameters", "macs"), [("b0", 3.719e6, 17.8e9), ("b1", 13.682e6, 34.8e9)])
def test_counts_are_those_of_the_reference_implementation(variant: str, parameters: float, macs: float) -> None:
    counts = count(shape_of(19, variant), 1024, 512)
    # The reference counts are rounded to three digits and five.
    assert counts.parameters == pytest.approx(parameters, rel=2e-4)
    assert counts.macs == pytest.approx(macs, rel=5e-3)


@pytest.mark.parametrize(("variant", "small", "large"), [("b0", 8.4e9, 125.5e9), ("b1", 15.9e9, 243.7e9)])
def test_the_papers_flops_are_multiply_adds_with_150_classes(variant: str, small: float, large: float) -> None:
    network = shape_of(150, variant)
    # The paper rounds to 0.1 G, which alone is 0.6% of 8.4: within 1%.
    assert count(network, 512, 512).macs == pytest.approx(small, rel=0.01)
    assert count(network, 2048, 1024).macs == pytest.approx(large, rel=0.01)


def test_the_attention_is_the_one_of_pytorch() -> None:
    torch.manual_seed(0)
    attention = Attention(32, heads=4)
    tokens = torch.randn(2, 24, 32)
    query, key, value = (attention.split(part(tokens)) for part in (attention.query, attention.key, attention.value))
    mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    expected = attention.project(mixed.transpose(1, 2).flatten(2))
    # float32 rounding of sums of 24 and 32 terms.
    torch.testing.assert_close(attention(tokens), expected, atol=1e-5, rtol=1e-5)


def test_drop_path_drops_whole_branches_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    dropped = drop(torch.ones(4000, 3, 2))
    by_picture = dropped.flatten(1)
    assert (by_picture == by_picture[:, :1]).all()
    assert dropped.mean() == pytest.approx(1, abs=0.05)  # the mean's own standard deviation is 0.009
    assert torch.equal(drop.eval()(by_picture), by_picture)


def test_stochastic_depth_grows_from_nothing_to_a_tenth() -> None:
    network = FAMILY.module(19, **FAMILY.variants["b0"])
    drops = [block.drop.probability for stage in network.stages for block in stage.blocks]
    assert drops[0] == 0
    assert drops == sorted(drops)
    assert drops[-1] == pytest.approx(0.1)


def random_decoder(kind: str) -> Any:
    """A decoder of four narrow levels, every weight and BN statistic random."""
    torch.manual_seed(0)
    decoder = DECODERS[kind]((4, 6, 8, 10), 16, 5)
    decoder.dropout.p = 0.0
    for layer in decoder.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.normal_(layer.weight)
            torch.nn.init.normal_(layer.bias)
    return decoder


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", DECODERS)
def test_the_decoder_is_that_of_the_paper(kind: str, training: bool) -> None:
    decoder = random_decoder(kind)
    plain = PLAIN[kind]((4, 6, 8, 10), 16, 5)
    plain.dropout.p = 0.0
    plain.load_state_dict(decoder.state_dict())
    sizes = [(16, 24), (8, 12), (4, 6), (2, 3)]
    features = [torch.randn(2, channels, *size) for channels, size in zip((4, 6, 8, 10), sizes)]
    ours, expected = (network.train(training)(features) for network in (decoder, plain))
    # float32 sums in another order, and in evaluation rounded once in place of three times.
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    for network, logits in ((decoder, ours), (plain, expected)):
        logits.square().mean().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
    for (name, own), other in zip(decoder.named_parameters(), plain.parameters()):
        torch.testing.assert_close(own.grad, other.grad, atol=1e-5, rtol=1e-4, msg=name)
    assert torch.allclose(decoder.fuse[1].running_mean, plain.fuse[1].running_mean, atol=1e-6)


@pytest.mark.parametrize(("variant", "macs"), [("b0", 9.20e9), ("b1", 26.30e9)])
def test_weights_are_multiplied_before_pictures(variant: str, macs: float) -> None:
    with torch.device("meta"):
        network = FAMILY.module(19, **FAMILY.variants[variant])
    assert count(network, 1024, 512).macs == pytest.approx(macs, rel=1e-3)  # rounded to 0.01 G
    assert count(network, 1024, 512).parameters == count(shape_of(19, variant), 1024, 512).parameters


@pytest.mark.parametrize("kind", DECODERS)
def test_an_export_has_one_convolution_a_level(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = ModelSpec("small", InputSpec(64, 32), unnamed_labels(5), "segformer", f"b0?depths=1,1,1,1&decoder={kind}")
    network = FAMILY.build(spec)
    graph = onnx.load(onnx_from_module(network, spec, tmp_path / "small.onnx").path).graph
    operators = [node.op_type for node in graph.node if node.name.startswith("decoder")]
    fusing = 4 if kind == "linear" else 8  # the levels' own convolutions stay where a ReLU stands behind them
    assert operators.count("Conv") == fusing + 1
    assert operators.count("Resize") == operators.count("Add") == 3
    assert set(operators) == {"Conv", "Resize", "Add", "Relu"}
    assert {weight.data_type for weight in graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", DECODERS)
def test_two_exports_are_the_same_bytes(kind: str, tmp_path: Path) -> None:
    spec = ModelSpec("small", InputSpec(64, 32), unnamed_labels(5), "segformer", f"b0?depths=1,1,1,1&decoder={kind}")
    network = FAMILY.build(spec)
    paths = [onnx_from_module(network, spec, tmp_path / name / "small.onnx").path for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_products_of_fp16_weights_are_the_same_in_any_order() -> None:
    decoder = random_decoder("linear").eval().half().float()
    kernels, bias = decoder.product()
    shuffled = torch.randperm(16)
    for layer in decoder.levels:
        layer.weight.data, layer.bias.data = layer.weight.data[shuffled], layer.bias.data[shuffled]
    blocks = decoder.fuse[0].weight.data.unflatten(1, (4, 16))
    decoder.fuse[0].weight.data = blocks[:, :, shuffled].flatten(1, 2)
    again, same = decoder.product()
    assert all(torch.equal(kernel, other) for kernel, other in zip(kernels, again))
    assert torch.equal(bias, same)


@pytest.mark.parametrize(
    "text", ["b0", "b1", "b5", "b0?depths=1,2,3,4", "b0?channels=8,16,40,64&width=32", "b2?decoder=normed"]
)
def test_a_variant_is_read_off_its_shapes(text: str) -> None:
    with torch.device("meta"):
        network = FAMILY.module(3, **arguments_from_text(text, FAMILY.variants, family="segformer"))
    changes = {"decoder": "normed"} if "normed" in text else {}
    assert variant_from_state(network.state_dict(), **changes) == text


def test_epsilons_go_where_their_norms_are() -> None:
    network = FAMILY.module(3, **{**FAMILY.variants["b0"], "norm_eps": 1e-3, "embed_eps": 1e-4})
    found = {name: layer.eps for name, layer in network.named_modules() if isinstance(layer, torch.nn.LayerNorm)}
    assert found["stages.0.norm"] == found["stages.3.blocks.1.norm2"] == 1e-3
    assert found["stages.0.embed_norm"] == found["stages.2.blocks.0.attention.norm"] == 1e-4


def test_an_unknown_decoder_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="decoder"):
        FAMILY.module(3, **{**FAMILY.variants["b0"], "decoder": "x"})
