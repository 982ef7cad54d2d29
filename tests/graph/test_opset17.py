"""Graphs in opset 17: the same numbers, the operators of TensorRT 8.6 alone, and a refusal by name for all else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from residual_onnx import residual_model
from small_nets import every_family
from small_onnx import frames, onnx_model

from edgeseg.artifact import Artifact
from edgeseg.calib.quantize import quantize_canonical
from edgeseg.errors import MismatchError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.deploy import append_mask_tail
from edgeseg.graph.dynamic_batch import with_dynamic_batch
from edgeseg.graph.float16 import to_float16
from edgeseg.graph.opset17 import OPERATORS_8_5, OPERATORS_8_6, lowered_to_opset17, unsupported_nodes
from edgeseg.spec import Output


def run(model: ir.Model, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # how work is shared out decides in which order sums are rounded
    data = checked(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"rgb": images})[0]


def checked(model: ir.Model) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def lowered(model: ir.Model) -> ir.Model:
    """The model in opset 17, once more read from its bytes."""
    found = lowered_to_opset17(model)
    assert (found.graph.opset_imports, found.ir_version) == ({"": 17}, 8)
    return ir.from_proto(checked(found))


def int8(model: ir.Model) -> ir.Model:
    """Canonical Q/DQ; which scales does not matter here."""
    return quantize_canonical(model, {str(value.name): 0.05 for value in core_from_model(model).activations()})


def assert_same(found: np.ndarray, expected: np.ndarray, form: str) -> None:
    """Exactly; in float16 ONNX Runtime's CPU rounds at other places, since it has kernels for other opsets."""
    if form != "fp16":
        np.testing.assert_array_equal(found, expected)
    elif found.dtype == np.uint8:
        assert (found == expected).mean() > 0.99  # pixels between two classes
    else:
        np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())  # 20 layers of 2**-11


FORMS = {"fp32": lambda model: model, "fp16": to_float16, "int8": int8}


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("form", FORMS)
def test_the_numbers_stay_the_same(form, output):
    def model() -> ir.Model:
        return FORMS[form](ir.from_proto(residual_model(output=output)))

    found = lowered(model())
    assert_same(run(found, frames(1)), run(model(), frames(1)), form)
    assert list(unsupported_nodes(found)) == []


@pytest.fixture(
    scope="module",
    params=every_family(),
)
def exported(request: pytest.FixtureRequest, family_onnx: Callable[..., Artifact]) -> tuple[Any, Path]:
    artifact = family_onnx(request.param)
    return artifact.spec, artifact.path


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("form", FORMS)
def test_every_family_uses_operators_of_tensorrt_8_6_alone(exported, form, output):
    spec, path = exported

    def model() -> ir.Model:
        loaded = ir.load(path)
        return FORMS[form](append_mask_tail(loaded, spec) if output is Output.MASK else loaded)

    found = lowered(model())
    assert [node.op_type for node in unsupported_nodes(found)] == []
    shape = (1, spec.input.height, spec.input.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert_same(run(found, images), run(model(), images), form)
    batched = lowered(with_dynamic_batch(model()))
    np.testing.assert_array_equal(run(batched, images), run(found, images))


def test_the_lists_of_operators():
    assert {"GroupNormalization", "IsInf", "LayerNormalization"} == OPERATORS_8_6 - OPERATORS_8_5
    assert {"Conv", "Resize", "QuantizeLinear", "DequantizeLinear", "ArgMax", "Erf"} < OPERATORS_8_5
    assert not OPERATORS_8_6 & {"Gelu", "Mish", "MaxUnpool", "BitShift", "Det"}
    model = graph_of([node("Mish")], opset=18)
    assert [each.name for each in unsupported_nodes(model)] == ["a/Mish"]


def graph_of(nodes: list[Any], opset: int, **constants: np.ndarray) -> ir.Model:
    """x (1, 3, 32, 64) from the picture, then `nodes`, which end in "logits"."""
    head = [
        helper.make_node("Cast", ["rgb"], ["float"], "float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], "planar", perm=[0, 3, 1, 2]),
    ]
    ends = ([("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, None)])
    model = onnx.shape_inference.infer_shapes(onnx_model([*head, *nodes], *ends, constants, opset))
    return ir.from_proto(model)


def node(op: str, *inputs: str, out: tuple[str, ...] = ("logits",), **attributes: Any) -> Any:
    return helper.make_node(op, ["x", *inputs], out, f"a/{op}", **attributes)


ints = np.array
QDQ = [
    node("QuantizeLinear", "s", "z", out=("q",), output_dtype=TensorProto.INT8, saturate=1, block_size=0),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["logits"], "dq", block_size=0),
]
LOWERED = {
    "reduction by an input": (18, [node("ReduceMax", "a", keepdims=0, noop_with_empty_axes=0)], {"a": ints([2, 3])}),
    "reduction of all": (18, [node("ReduceMean", noop_with_empty_axes=0)], {}),
    "newer reduction": (20, [node("ReduceMax", "a")], {"a": ints([-1])}),
    "resize": (
        19,
        [node("Resize", "", "f", mode="linear", antialias=0, keep_aspect_ratio_policy="stretch")],
        {"f": np.float32([1, 1, 2, 3])},
    ),
    "resize of some axes by factors": (18, [node("Resize", "", "f", axes=[2, 3])], {"f": np.float32([2, 3])}),
    "resize of some axes to sizes": (18, [node("Resize", "", "", "s", axes=[-1, 2])], {"s": ints([80, 48])}),
    "scatter": (
        18,
        [node("ScatterElements", "i", "u", axis=3)],
        {"i": np.full((1, 3, 32, 1), 5, np.int64), "u": np.ones((1, 3, 32, 1), np.float32)},
    ),
    "pad of some axes": (21, [node("Pad", "p", "", "a")], {"p": ints([1, 2, 3, 4]), "a": ints([-1, 2])}),
    "pad of all axes": (19, [node("Pad", "p", mode="reflect")], {"p": ints([0, 0, 1, 2, 0, 0, 3, 4])}),
    "split by number": (
        18,
        [
            node("Split", out=("l", "m", "r"), axis=3, num_outputs=3),
            helper.make_node("Concat", ["r", "l", "m"], ["logits"], "c", axis=3),
        ],
        {},
    ),
    "split by sizes": (
        18,
        [node("Split", "s", out=("l", "r"), axis=3), helper.make_node("Concat", ["r", "l"], ["logits"], "c", axis=3)],
        {"s": ints([20, 44])},
    ),
    "codes": (21, QDQ, {"s": np.float32(0.7), "z": np.int8(0)}),
    "cast that saturates": (
        19,
        [
            node("Cast", out=("h",), to=TensorProto.FLOAT16, saturate=1),
            helper.make_node("Cast", ["h"], ["logits"], "c", to=TensorProto.FLOAT),
        ],
        {},
    ),
    "average without dilation": (19, [node("AveragePool", kernel_shape=[3, 3], dilations=[1, 1])], {}),
    "more types": (
        21,
        [node("Reshape", "s", out=("r",)), helper.make_node("Identity", ["r"], ["logits"], "i")],
        {"s": ints([1, 3, -1])},
    ),
}


@pytest.mark.parametrize("case", LOWERED)
def test_what_newer_opsets_write_otherwise(case):
    if case == "resize of some axes to sizes" and onnxruntime.__version__.startswith("1.23."):
        pytest.skip("ONNX Runtime 1.23 does not run the original: it takes the sizes of two axes for those of all four")
    opset, nodes, constants = LOWERED[case]
    expected = run(graph_of(nodes, opset, **constants), frames(1))
    found = lowered(graph_of(nodes, opset, **constants))
    np.testing.assert_array_equal(run(found, frames(1)), expected)


def test_old_graphs_stay_as_old_as_they_are():
    model = lowered_to_opset17(graph_of([node("Relu")], 13))
    assert (model.graph.opset_imports, model.ir_version) == ({"": 13}, 8)


REFUSED = {
    "a new operator: a/Gelu": (20, [node("Gelu")], {}),
    "a new definition: a/GridSample": (
        20,
        [node("GridSample", "g", mode="linear")],
        {"g": np.zeros((1, 8, 8, 2), np.float32)},
    ),
    "antialias: a/Resize": (
        18,
        [node("Resize", "", "f", mode="linear", antialias=1)],
        {"f": np.float32([1, 1, 0.5, 0.5])},
    ),
    "aspect ratio: a/Resize": (
        18,
        [node("Resize", "", "", "s", keep_aspect_ratio_policy="not_larger")],
        {"s": ints([1, 3, 16, 16])},
    ),
    "coordinates: a/Resize": (
        19,
        [node("Resize", "", "f", coordinate_transformation_mode="half_pixel_symmetric")],
        {"f": np.float32([1, 1, 2, 2])},
    ),
    "wrap: a/Pad": (19, [node("Pad", "p", mode="wrap")], {"p": ints([0, 0, 1, 1, 0, 0, 1, 1])}),
    "dilations: a/AveragePool": (
        19,
        [node("AveragePool", kernel_shape=[3, 3], dilations=[2, 2])],
        {},
    ),
    "largest: a/ScatterElements": (
        18,
        [node("ScatterElements", "i", "u", axis=3, reduction="max")],
        {"i": np.zeros((1, 3, 32, 1), np.int64), "u": np.zeros((1, 3, 32, 1), np.float32)},
    ),
    "no axes: a/ReduceMean": (18, [node("ReduceMean", noop_with_empty_axes=1)], {}),
    "computed axes: a/ReduceMean": (
        18,
        [helper.make_node("Shape", ["x"], ["a"], "s", start=1, end=2), node("ReduceMean", "a")],
        {},
    ),
    "blocks: a/QuantizeLinear": (
        21,
        [
            node("QuantizeLinear", "s", "z", out=("q",), axis=3, block_size=8),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["logits"], "dq", axis=3, block_size=8),
        ],
        {"s": np.ones((1, 3, 32, 8), np.float32), "z": np.zeros((1, 3, 32, 8), np.int8)},
    ),
    "bfloat16: a/Cast": (
        18,
        [node("Cast", out=("h",), to=TensorProto.BFLOAT16), helper.make_node("Cast", ["h"], ["logits"], "c", to=1)],
        {},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_opset_17_cannot_express_is_refused_with_the_node(case):
    opset, nodes, constants = REFUSED[case]
    with pytest.raises(MismatchError) as caught:
        lowered_to_opset17(graph_of(nodes, opset, **constants))
    assert caught.value.code == "ES-OPSET"
    assert case.partition(": ")[2] in caught.value.message


def test_codes_of_float16_are_refused():
    nodes = [
        node("Cast", out=("h",), to=TensorProto.FLOAT16),
        helper.make_node("QuantizeLinear", ["h", "s", "z"], ["q"], "b/Q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "b/DQ"),
        helper.make_node("Cast", ["d"], ["logits"], "c", to=1),
    ]
    with pytest.raises(MismatchError, match="b/Q"):
        lowered_to_opset17(graph_of(nodes, 19, s=np.float16(0.5), z=np.int8(0)))


def test_operators_from_elsewhere_are_refused():
    other = helper.make_node("Gelu", ["x"], ["logits"], "a/Gelu", domain="com.microsoft")
    model = graph_of([node("Relu")], 18)
    relu = next(each for each in model.graph if each.op_type == "Relu")
    relu.domain, relu.op_type = other.domain, other.op_type
    with pytest.raises(MismatchError, match="a/Relu"):
        lowered_to_opset17(model)
