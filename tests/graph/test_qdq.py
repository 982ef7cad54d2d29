from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from residual_onnx import Builder, residual_model
from small_onnx import frames, onnx_model

from edgeseg.calib.cache import int8_tensors
from edgeseg.calib.placement import TARGETS, placement_from_model
from edgeseg.calib.quantize import quantize_canonical
from edgeseg.errors import FormatError
from edgeseg.graph.check_qdq import check_canonical
from edgeseg.graph.core import constant, core_from_model
from edgeseg.graph.lower_qdq import lower_qdq
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, pairs


def float_model(**options) -> ir.Model:
    return ir.from_proto(residual_model(**options))


def even_scales(model: ir.Model, scale: float = 0.03) -> dict[str, float]:
    return {str(value.name): scale for value in core_from_model(model).activations()}


def canonical_model(**options) -> ir.Model:
    model = float_model(**options)
    return quantize_canonical(model, even_scales(model))


def outputs_of(model: ir.Model, optimise: bool = False) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"rgb": frames(1)})[0]


def node_named(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in model.graph if node.name == name)


def test_canonical_places():
    placement = placement_from_model(float_model())
    weighted = {node.name.removesuffix("/Conv") for node in placement.weighted}
    # the gate looks at one position, the last one gives the logits: both stay float
    assert weighted == {"stem", "left", "fuse", "depthwise", "project", "signed", "head"}
    # of the residual addition only the input that is no convolution
    names = [value.name for value in placement.tensors]
    assert names == ["picture", "stem.relu", "both", "fuse.relu", "depthwise.relu", "gated", "large"]


def pooled_model(*, adds: bool) -> ir.Model:
    """rgb (1, 8, 8, 3) to logits (1, 5, 8, 8): the mean goes through two convolutions to every position."""
    b = Builder(0, "")
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "picture", perm=[0, 3, 1, 2])
    stem = b.relu(b.conv(x, "stem", (3, 8)), "stem.relu")
    mean = b.node("ReduceMean", [stem, b.constant("axes", np.array([2, 3], np.int64))], "mean", keepdims=1)
    hidden = b.relu(b.conv(mean, "hidden", (8, 8), 1), "hidden.relu")
    pooled = b.conv(hidden, "pooled", (8, 8), 1)
    if adds:
        spread = b.node("Add", [stem, pooled], "spread")
    else:
        spread = b.node("Mul", [stem, b.node("HardSigmoid", [pooled], "gate")], "spread")
    b.conv(spread, "logits", (8, 5), 1)
    ends = [("rgb", TensorProto.UINT8, [1, 8, 8, 3])], [("logits", TensorProto.FLOAT, [1, 5, 8, 8])]
    return ir.from_proto(onnx_model(b.nodes, *ends, b.constants))


@pytest.mark.parametrize(
    ("adds", "weighted", "tensors"),
    [
        # no pair on the map that it is added to: that addition is not fused with a convolution of one position
        (True, ["stem", "hidden", "pooled"], ["picture", "mean", "hidden.relu"]),
        (False, ["stem"], ["picture"]),
    ],
)
def test_a_mean_that_is_added_is_quantised_and_one_that_multiplies_stays_float(adds, weighted, tensors):
    placement = placement_from_model(pooled_model(adds=adds))
    assert [node.name.removesuffix("/Conv") for node in placement.weighted] == weighted
    assert [value.name for value in placement.tensors] == tensors
    in_cache = {str(value.name) for value in int8_tensors(pooled_model(adds=adds))}
    assert in_cache & {"mean", "hidden", "hidden.relu", "pooled", "gate"} == (
        {"mean", "hidden", "hidden.relu", "pooled"} if adds else set()
    )


def regions_model(*, product: bool) -> ir.Model:
    """rgb (1, 8, 8, 3) to logits (1, 5, 8, 8), with a convolution on four rows' means, (1, 8, 4, 1).

    product: each position takes a sum of the four vectors, as in OCRNet; else what the convolution gives is enlarged.
    """
    b = Builder(0, "")
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "picture", perm=[0, 3, 1, 2])
    stem = b.relu(b.conv(x, "stem", (3, 8)), "stem.relu")
    rows = b.node("AveragePool", [stem], "rows", kernel_shape=[2, 8], strides=[2, 8])
    value = b.relu(b.conv(rows, "value", (8, 8), 1), "value.relu")
    if product:
        flat = b.node("Reshape", [value, b.constant("flat.shape", np.array([1, 8, 4]))], "flat")
        shares = b.node("Reshape", [b.conv(stem, "query", (8, 4), 1), b.constant("s", np.array([1, 4, 64]))], "shares")
        spread = b.node("MatMul", [flat, b.node("Softmax", [shares], "softmax", axis=1)], "product")
        spread = b.node("Reshape", [spread, b.constant("map", np.array([1, 8, 8, 8]))], "spread")
    else:
        spread = b.node("Resize", [value, "", "", b.constant("sizes", np.array([1, 8, 8, 8]))], "spread", mode="linear")
    b.conv(spread, "logits", (8, 5), 1)
    ends = [("rgb", TensorProto.UINT8, [1, 8, 8, 3])], [("logits", TensorProto.FLOAT, [1, 5, 8, 8])]
    return ir.from_proto(onnx_model(b.nodes, *ends, b.constants))


@pytest.mark.parametrize(("product", "weighted"), [(True, ["stem", "query"]), (False, ["stem", "value"])])
def test_a_layer_on_regions_stays_float(product, weighted):
    placement = placement_from_model(regions_model(product=product))
    assert [node.name.removesuffix("/Conv") for node in placement.weighted] == weighted


def points_model() -> ir.Model:
    """rgb (1, 8, 8, 3) to logits (1, 5, 8, 8): those of a coarser map, enlarged, and at four points those of others."""
    b = Builder(0, "")
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "picture", perm=[0, 3, 1, 2])
    stem = b.relu(b.conv(x, "stem", (3, 8), stride=2), "stem.relu")
    large = b.node(
        "Resize", [b.conv(stem, "coarse", (8, 5), 1), "", "", b.constant("l", np.array([1, 5, 8, 8]))], "large"
    )
    flat = b.node("Reshape", [large, b.constant("f", np.array([1, 5, 64]))], "flat")
    fine = b.relu(b.conv(stem, "fine", (8, 8), 4, stride=2), "fine.relu")
    points = b.node("Reshape", [b.conv(fine, "points", (8, 5), 1), b.constant("p", np.array([1, 5, 9]))], "updates")
    places = b.constant("places", np.tile(np.arange(9), (1, 5, 1)))
    scattered = b.node("ScatterElements", [flat, places, points], "scattered", axis=2)
    b.node("Reshape", [scattered, b.constant("m", np.array([1, 5, 8, 8]))], "logits")
    ends = [("rgb", TensorProto.UINT8, [1, 8, 8, 3])], [("logits", TensorProto.FLOAT, [1, 5, 8, 8])]
    return ir.from_proto(onnx_model(b.nodes, *ends, b.constants))


def test_what_gives_logits_of_coarser_maps_or_points_stays_float():
    placement = placement_from_model(points_model())
    assert [node.name.removesuffix("/Conv") for node in placement.weighted] == ["stem", "fine"]
    model = quantize_canonical(points_model(), even_scales(points_model()))
    lower_qdq(model, TARGETS["onnxruntime"], even_scales(points_model()))
    assert {pair.tensor.name for pair in pairs(model)} == {"picture", "stem.relu", "fine.relu"}


@pytest.mark.parametrize(
    ("target", "logits"), [("openvino", {"logits/Conv"}), ("onnxruntime", set()), ("tensorrt", set())]
)
def test_the_layer_that_gives_the_logits_is_int8_for_openvino_alone(target: str, logits: set[str]) -> None:
    layout = TARGETS[target]
    placement = placement_from_model(float_model(), layout)
    more = {str(node.name) for node in placement.weighted}
    assert more - {str(node.name) for node in placement_from_model(float_model()).weighted} == logits
    of_points = {str(node.name) for node in placement_from_model(points_model(), layout).weighted}
    assert not of_points & {"coarse/Conv", "points/Conv"}


def test_named_nodes_stay_float():
    placement = placement_from_model(float_model(), float_nodes=frozenset({"head/Conv"}))
    assert "head/Conv" not in {node.name for node in placement.weighted}
    assert "large" not in {value.name for value in placement.tensors}


def test_canonical_graph_has_one_pair_a_tensor_and_float_biases():
    model = canonical_model()
    check_canonical(model)
    tensors = Counter(pair.tensor.name for pair in pairs(model))
    assert set(tensors.values()) == {1}
    assert len(tensors) == 7
    counts = Counter(node.op_type for node in model.graph)
    assert counts[QUANTIZE] == 7
    assert counts[DEQUANTIZE] == 7 + 7  # activations and weights
    assert constant(node_named(model, "fuse/Conv").inputs[2]).dtype == np.float32


def test_nothing_stands_between_convolution_and_relu():
    model = canonical_model()
    relu = node_named(model, "fuse.relu/Relu")
    assert relu.inputs[0].producer().op_type == "Conv"


def test_the_addition_reads_the_pair_of_the_residual_alone():
    inputs = [value.producer().op_type for value in node_named(canonical_model(), "residual/Add").inputs]
    assert inputs == ["Conv", DEQUANTIZE]


def test_weights_are_symmetric_by_channel_and_within_half_a_step():
    before, model = float_model(), canonical_model()
    weight = constant(node_named(before, "fuse/Conv").inputs[1])
    dequantize = node_named(model, "fuse/Conv").inputs[1].producer()
    codes, scales, zeros = (constant(value) for value in dequantize.inputs)
    assert codes.dtype == np.int8
    assert not zeros.any()
    assert np.abs(codes.astype(int)).max() == 127
    # rounding moves a weight by half a step; the rest is float32 rounding of the quotient
    assert np.all(np.abs(codes * scales[:, None, None, None] - weight) <= scales[:, None, None, None] * 0.5001)


@pytest.mark.parametrize(("op", "transposed", "axis"), [("MatMul", False, 1), ("Gemm", False, 1), ("Gemm", True, 0)])
def test_matrix_weights_get_a_scale_an_output_channel(op, transposed, axis):
    from onnx import TensorProto, helper
    from small_onnx import onnx_model

    weight = np.random.default_rng(0).normal(size=(4, 6) if transposed else (6, 4)).astype(np.float32)
    attributes = {"transB": 1} if transposed else {}
    nodes = [
        helper.make_node("Relu", ["x"], ["h"]),
        helper.make_node(op, ["h", "w"], ["y"], "product", **attributes),
        helper.make_node("Relu", ["y"], ["logits"]),
    ]
    ends = ([("x", TensorProto.FLOAT, [3, 6])], [("logits", TensorProto.FLOAT, [3, 4])])
    model = ir.from_proto(onnx_model(nodes, *ends, {"w": weight}))
    quantize_canonical(model, even_scales(model))
    dequantize = node_named(model, "product").inputs[1].producer()
    assert dequantize.attributes.get_int("axis") == axis
    assert constant(dequantize.inputs[1]).shape == (4,)


def test_a_dead_channel_keeps_its_bias_on_an_integer_runtime():
    model = float_model()
    weight, bias = node_named(model, "fuse/Conv").inputs[1:3]
    values, offsets = constant(weight).copy(), constant(bias).copy()
    values[3], offsets[3] = 1e-12, 2.0  # a folded batch norm leaves such channels
    for value, array in ((weight, values), (bias, offsets)):
        value.const_value = ir.tensor(array, name=value.name)
    quantize_canonical(model, even_scales(model))
    expected = outputs_of(model)
    # on integers the bias is rounded to a step of 2e-9 and sums are exact: what is left is one step of an activation
    assert np.abs(outputs_of(model, optimise=True) - expected).max() < 0.1 * np.abs(expected).max()


def test_comparisons_read_the_float_tensor_past_the_pair():
    left, weight = np.array([0], np.int64), np.ones((2, 3, 1, 1), np.float32)
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], "float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planar"], "planar", perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["planar"], ["x"], "x"),
        helper.make_node("Conv", ["x", "weight"], ["y"], "conv"),
        *(
            helper.make_node("Slice", ["x", b, e, "axis"], [o], o)
            for b, e, o in (("b", "e", "first"), ("e", "f", "second"))
        ),
        helper.make_node("Greater", ["first", "second"], ["larger"], "larger"),
        helper.make_node("Where", ["larger", "first", "second"], ["most"], "most"),
        helper.make_node("Add", ["y", "most"], ["sum"], "sum"),
        helper.make_node("Conv", ["sum", "last"], ["logits"], "last"),
    ]
    constants = {"weight": weight, "last": np.ones((2, 2, 1, 1), np.float32), "axis": np.array([1], np.int64)}
    constants |= {"b": left, "e": left + 1, "f": left + 2}
    ends = ([("rgb", TensorProto.UINT8, [1, 8, 8, 3])], [("logits", TensorProto.FLOAT, [1, 2, 8, 8])])
    model = ir.from_proto(onnx_model(nodes, *ends, constants))
    quantise = quantize_canonical(model, even_scales(model))
    reads = {node.name: str(node.inputs[0].name) for node in quantise.graph}
    assert (reads["first"], reads["second"], reads["conv"]) == ("x", "x", "x_dequantized")


def test_quantising_twice_is_refused():
    with pytest.raises(FormatError) as caught:
        quantize_canonical(canonical_model(), even_scales(float_model()))
    assert caught.value.code == "ES-QUANTISED"


def broken(change) -> ir.Model:
    model = canonical_model()
    change(model)
    return model


def replace_constant(model: ir.Model, name: str, values: np.ndarray) -> None:
    model.graph.initializers[name].const_value = ir.tensor(values, name=name)


def quantize_softmax(model: ir.Model) -> None:
    node_named(model, "gate.sigmoid/Sigmoid").op_type = "Softmax"
    from edgeseg.graph.qdq import Encoding, insert_pair

    insert_pair(model.graph, node_named(model, "gate.sigmoid/Sigmoid").outputs[0], Encoding(0.1))


BROKEN = {
    "zero point": ("both/QuantizeLinear", lambda m: replace_constant(m, "both_zero_point", np.int8(3))),
    "uint8": ("both/QuantizeLinear", lambda m: replace_constant(m, "both_zero_point", np.uint8(0))),
    "float16 scale": ("both/QuantizeLinear", lambda m: replace_constant(m, "both_scale", np.float16(0.1))),
    "scale of 0": ("both/QuantizeLinear", lambda m: replace_constant(m, "both_scale", np.float32(0))),
    "int32 bias": (
        "fuse/Conv/weight/DequantizeLinear",
        lambda m: replace_constant(m, "fuse/Conv/weight_quantized", np.zeros((16, 16, 3, 3), np.int32)),
    ),
    "one weight scale": ("fuse/Conv", lambda m: replace_constant(m, "fuse/Conv/weight_scale", np.float32(0.1))),
    "softmax": ("gate.sigmoid/Sigmoid", quantize_softmax),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_graph_that_is_not_canonical_is_refused_with_the_node(case):
    name, change = BROKEN[case]
    with pytest.raises(FormatError) as caught:
        check_canonical(broken(change))
    assert caught.value.code == "ES-QDQ"
    assert f"node {name} " in caught.value.message
