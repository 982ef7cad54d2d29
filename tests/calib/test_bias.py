from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from residual_onnx import residual_onnx
from small_onnx import frames, onnx_model

from edgeseg.artifact import Artifact
from edgeseg.calib.bias import correct_biases
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.placement import CANONICAL
from edgeseg.calib.quantize import Method, int8_from_ranges, quantize_canonical
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.errors import MismatchError
from edgeseg.graph.check_qdq import check_canonical
from edgeseg.graph.core import core_from_model
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.graph.lower_qdq import Layout

SCALE = 2.0**-5  # of every activation: a power of two, so that its multiples pass a pair unchanged


def table_from_means(model: ir.Model, means: dict[str, np.ndarray]) -> RangeTable:
    """A table of `model` whose only statistics are `means` by channel."""
    rows = {
        key: TensorStats(name, -4, 4, Histogram(), channels=channels_from_mean(means.get(name)))
        for name, key in tensor_ids(model).items()
    }
    return RangeTable(graph_id(model), "small", 1, "", rows)


def channels_from_mean(mean: np.ndarray | None) -> ChannelStats | None:
    return None if mean is None else ChannelStats(mean.astype(np.float32), np.abs(mean).astype(np.float32))


def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def forms(
    proto, x: np.ndarray, mean: np.ndarray, layout: Layout | None = CANONICAL
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The outputs of the float, the quantised and the corrected graph for `x`, which is `mean` everywhere."""
    model, plain, corrected = (ir.from_proto(proto) for _ in range(3))
    scales = {str(value.name): SCALE for value in core_from_model(model).activations()}
    for each in (plain, corrected):
        quantize_canonical(each, scales, layout)
    correct_biases(corrected, model, table_from_means(model, {"x": mean}))
    check_canonical(corrected)
    return run(model, x), run(plain, x), run(corrected, x)


def assert_corrected(expected: np.ndarray, plain: np.ndarray, corrected: np.ndarray) -> None:
    assert np.abs(plain - expected).max() > 1e-3  # half a step of a weight of about 1, times inputs of about 1
    np.testing.assert_allclose(corrected, expected, atol=1e-4)  # float32 sums of up to 54 products of about 1


def conv_model(groups: int, kernel: int, *, bias: bool, seed: int):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(3 * groups, 6 // groups, kernel, kernel)).astype(np.float32)
    constants = {"w": weight, **({"b": rng.normal(size=3 * groups).astype(np.float32)} if bias else {})}
    nodes = [
        helper.make_node("Conv", ["x", *constants], ["y"], "conv", group=groups),
        helper.make_node("Neg", ["y"], ["logits"]),
    ]
    size = 8 - kernel
    ends = [("x", TensorProto.FLOAT, [1, 6, 7, 7])], [("logits", TensorProto.FLOAT, [1, 3 * groups, size, size])]
    return onnx_model(nodes, *ends, constants)


codes = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(20, 127, 6) * np.random.default_rng(seed).choice([-1, 1], 6)
)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1, 2, 6]), st.sampled_from([1, 3]), st.booleans(), st.integers(0, 99), codes)
def test_an_image_that_is_its_mean_everywhere_gives_the_float_output(groups, kernel, bias, seed, codes):
    mean = codes * SCALE
    x = np.broadcast_to(mean[:, None, None], (1, 6, 7, 7)).astype(np.float32)
    expected, _, corrected = forms(conv_model(groups, kernel, bias=bias, seed=seed), x, mean)
    np.testing.assert_allclose(corrected, expected, atol=1e-4)  # float32 sums of up to 54 products of about 1


def test_without_correction_it_gives_another_output():
    mean = np.full(6, 100 * SCALE)
    x = np.full((1, 6, 7, 7), 100 * SCALE, np.float32)
    assert_corrected(*forms(conv_model(1, 3, bias=False, seed=0), x, mean))


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_the_mean_of_a_transposed_convolution_is_the_float_one(kernel):
    rng = np.random.default_rng(kernel)
    constants = {"w": rng.normal(size=(6, 4, kernel, kernel)).astype(np.float32)}
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up", strides=[2, 2]),
        helper.make_node("Neg", ["y"], ["logits"]),
    ]
    ends = [("x", TensorProto.FLOAT, [1, 6, 9, 9])], [("logits", TensorProto.FLOAT, None)]
    mean = rng.integers(20, 127, 6) * SCALE
    x = np.broadcast_to(mean[:, None, None], (1, 6, 9, 9)).astype(np.float32)
    found = forms(onnx_model(nodes, *ends, constants), x, mean, Layout(weighted=frozenset({"ConvTranspose"})))
    inside = slice(4, 12)  # at the border a position has fewer places of the kernel
    assert_corrected(*(each[..., inside, inside].mean(axis=(2, 3)) for each in found))


PRODUCTS = {
    "gemm": ("Gemm", {}, ["x", "w"]),
    "gemm with a bias": ("Gemm", {"alpha": 0.5, "beta": 2.0}, ["x", "w", "b"]),
    "gemm, transposed": ("Gemm", {"transB": 1}, ["x", "wt", "b"]),
    "product and sum": ("MatMul", {}, ["x", "w"]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_matrix_products_are_corrected(name):
    op, attributes, inputs = PRODUCTS[name]
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 4)).astype(np.float32)
    constants = {"w": weight, "wt": weight.T.copy(), "b": rng.normal(size=4).astype(np.float32)}
    nodes = [
        helper.make_node(op, inputs, ["y"], "product", **attributes),
        helper.make_node("Add", ["b", "y"], ["sum"], "sum"),
        helper.make_node("Neg", ["sum"], ["logits"]),
    ]
    ends = [("x", TensorProto.FLOAT, [3, 6])], [("logits", TensorProto.FLOAT, [3, 4])]
    mean = rng.integers(20, 127, 6) * SCALE
    x = np.broadcast_to(mean, (3, 6)).astype(np.float32)
    assert_corrected(*forms(onnx_model(nodes, *ends, constants), x, mean))


def test_a_bias_of_two_layers_is_changed_for_each():
    rng = np.random.default_rng(0)
    constants = {name: rng.normal(size=(6, 6, 1, 1)).astype(np.float32) for name in ("w1", "w2")}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["y1"], "conv1"),
        helper.make_node("Conv", ["x", "w2", "b"], ["y2"], "conv2"),
        helper.make_node("Sub", ["y1", "y2"], ["logits"]),
    ]
    ends = [("x", TensorProto.FLOAT, [1, 6, 2, 2])], [("logits", TensorProto.FLOAT, [1, 6, 2, 2])]
    mean = np.full(6, 100 * SCALE)
    proto = onnx_model(nodes, *ends, {**constants, "b": np.ones(6, np.float32)})
    assert_corrected(*forms(proto, np.full((1, 6, 2, 2), 100 * SCALE, np.float32), mean))


@pytest.fixture
def source(tmp_path) -> Artifact:
    return residual_onnx(tmp_path)


def test_a_real_net_keeps_its_mean_logits(tmp_path, source):
    images = frames(8)
    table = ranges_from_images(source.path, images)

    def mean_logits(path) -> np.ndarray:
        options = onnxruntime.SessionOptions()  # no fusions: those of 1.23 add an error of their own
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return np.mean([session.run(None, {"rgb": image[None]})[0].mean(axis=(0, 2, 3)) for image in images], axis=0)

    expected = mean_logits(source.path)
    options = {"target": "onnxruntime"}
    plain = int8_from_ranges(source.path, table, out=tmp_path / "plain.onnx", method=Method("minmax"), **options)
    method = Method("minmax", bias_correction=True)
    corrected = int8_from_ranges(source.path, table, out=tmp_path / "bias.onnx", method=method, **options)
    before, after = (np.abs(mean_logits(artifact.path) - expected).sum() for artifact in (plain, corrected))
    assert after < 0.8 * before  # rounding of activations remains, and zero padding
    assert corrected.provenance.ranges.corrections == ("bias_correction",)


def test_a_table_without_channels(tmp_path, source):
    table = ranges_from_images(source.path, frames(2))
    rows = {key: dataclasses.replace(stats, channels=None) for key, stats in table.tensors.items()}
    old = dataclasses.replace(table, tensors=rows)
    with pytest.raises(MismatchError) as error:
        int8_from_ranges(
            source.path, old, target="tensorrt", out=tmp_path / "int8.onnx", method=Method(bias_correction=True)
        )
    assert error.value.code == "ES-RANGES-CHANNELS"
