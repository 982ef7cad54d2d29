"""A float graph in float16: which tensors become it, that nothing is cast to and fro, and the labels it gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from residual_onnx import residual_model
from rtx_plan import convolution_types, rtx_plan
from small_onnx import frames, onnx_model

from edgeseg.artifact import Artifact
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.float16 import lost_share, to_float16
from edgeseg.spec import Output

HALF, FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT


def float_model(**options) -> ir.Model:
    return ir.from_proto(residual_model(**options))


def run(model: ir.Model, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = checked(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"rgb": image[None]})[0] for image in images])


def checked(model: ir.Model) -> onnx.ModelProto:
    """The model's proto, valid with every inferred type."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def node_named(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in model.graph if node.name == name)


def types_of(model: ir.Model) -> dict[str, ir.DataType | None]:
    """Name of each node -> the type that it gives, as shape inference finds it."""
    inferred = ir.from_proto(onnx.shape_inference.infer_shapes(checked(model), strict_mode=True))
    return {str(node.name): node.outputs[0].dtype for node in inferred.graph}


def cast_pairs(model: ir.Model) -> list[str]:
    """The Casts of what a Cast gives."""
    casts = [node for node in model.graph if node.op_type == "Cast"]
    return [str(node.name) for node in casts if (before := node.inputs[0].producer()) and before.op_type == "Cast"]


def labels(output: np.ndarray) -> np.ndarray:
    return output.argmax(1) if output.dtype == np.float32 else output


@pytest.mark.parametrize("output", Output)
def test_labels_are_those_of_the_float_graph(output):
    images = frames(8, seed=3)
    expected, found = run(float_model(output=output), images), run(to_float16(float_model(output=output)), images)
    assert found.dtype == expected.dtype
    assert (labels(found) == labels(expected)).mean() >= 0.999


def test_the_core_is_half_and_what_is_around_it_float():
    model = to_float16(float_model())
    types = types_of(model)
    float32 = {name for name, kind in types.items() if kind == FLOAT}
    assert float32 == {"float/Cast", "planar/Transpose", "centred/Sub", "picture/Mul", "logits/Cast"}
    assert [(value.name, value.dtype) for value in model.graph.outputs] == [("logits", FLOAT)]
    weights = {name: value.dtype for name, value in model.graph.initializers.items()}
    assert {name for name, kind in weights.items() if kind == FLOAT} == {"mean", "scale"}
    assert weights["size"] == ir.DataType.INT64


def test_the_mask_is_taken_of_float_logits():
    model = to_float16(float_model(output=Output.MASK))
    types = types_of(model)
    assert types["enlarged/Resize"] == types["logits/Cast"] == FLOAT
    assert node_named(model, "enlarged/Resize").inputs[0].name == "logits"


def test_casts_stand_where_types_meet_and_only_there():
    model = to_float16(float_model(), keep=frozenset({"fuse/Conv"}))
    assert cast_pairs(model) == []
    # the frame's own, and to and fro: before the core, before fuse, behind its ReLU, and for the logits
    assert Counter(node.op_type for node in model.graph)["Cast"] == 1 + 4
    types = types_of(model)
    assert types["fuse/Conv"] == types["fuse.relu/Relu"] == FLOAT  # the ReLU with it: no product between two Casts
    assert types["depthwise/Conv"] == types["residual/Add"] == HALF


def test_a_weight_that_both_types_read_is_there_twice():
    model = float_model()
    project, signed = node_named(model, "gate/Conv"), node_named(model, "project/Conv")
    signed.replace_input_with(1, project.inputs[1])
    to_float16(model, keep=frozenset({"gate/Conv"}))
    assert model.graph.initializers["gate.w"].dtype == FLOAT
    assert model.graph.initializers["gate.w_half"].dtype == HALF
    assert run(model, frames(1)).shape == (1, 5, 16, 32)


def test_scales_of_a_resize_stay_float():
    model = float_model()
    resize = node_named(model, "large/Resize")
    scales = ir.val("scales", const_value=ir.tensor(np.array([1, 1, 2, 2], np.float32), name="scales"))
    model.graph.register_initializer(scales)
    resize.replace_input_with(2, scales)
    resize.replace_input_with(3, None)
    to_float16(model)
    assert types_of(model)["large/Resize"] == HALF
    assert scales.const_value.dtype == FLOAT


def normalising_model(spelt_out: bool) -> ir.Model:
    """rgb -> LayerNorm over the columns, twice -> Softmax of a product -> logits."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.1, (64, 64)).astype(np.float32) for name in ("w", "v")}
    ones = {"gain": np.ones(64, np.float32), "two": np.float32(2), "eps": np.float32(1e-5)}
    node = helper.make_node
    nodes = [
        node("Cast", ["rgb"], ["float"], "float", to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["x"], "planar", perm=[0, 3, 1, 2]),
    ]
    if spelt_out:
        nodes += [
            node("ReduceMean", ["x", "axes"], ["mean"], "mean"),
            node("Sub", ["x", "mean"], ["centred"], "centred"),
            node("Pow", ["centred", "two"], ["square"], "square"),
            node("ReduceMean", ["square", "axes"], ["variance"], "variance"),
            node("Add", ["variance", "eps"], ["positive"], "positive"),
            node("Sqrt", ["positive"], ["deviation"], "deviation"),
            node("Div", ["centred", "deviation"], ["normal"], "normal"),
        ]
        ones = {**ones, "axes": np.array([-1], np.int64)}
    else:
        nodes += [
            node("LayerNormalization", ["x", "gain"], ["once"], "once", axis=-1),
            node("LayerNormalization", ["once", "gain"], ["normal"], "normal", axis=-1),
        ]
    nodes += [
        node("MatMul", ["normal", "w"], ["score"], "score"),
        node("Softmax", ["score"], ["share"], "share"),
        node("MatMul", ["share", "v"], ["logits"], "product"),
    ]
    used = {name: value for name, value in {**weights, **ones}.items() if any(name in each.input for each in nodes)}
    ends = ([("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, [1, 3, 32, 64])])
    return ir.from_proto(onnx_model(nodes, *ends, used))


@pytest.mark.parametrize("spelt_out", [False, True])
def test_normalisation_and_softmax_stay_float(spelt_out):
    images = np.full((1, 32, 64, 3), 40, np.uint8) + frames(1) // 8
    expected = run(normalising_model(spelt_out), images)
    model = to_float16(normalising_model(spelt_out))
    types = types_of(model)
    half = {name for name, kind in types.items() if kind == HALF and not name.endswith("/Cast")}
    assert half == {"score", "product"}
    assert cast_pairs(model) == []
    np.testing.assert_allclose(run(model, images), expected, atol=4 * 2**-11)  # shares of 1 of values of up to 0.3


def test_weights_that_half_cannot_hold_stay_float():
    model = float_model()
    for name, factor in (("left.w", 1e6), ("fuse.w", 1e-8), ("left.b", 1e-8)):
        value = model.graph.initializers[name]
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name=name)
    types = types_of(to_float16(model))
    assert types["left/Conv"] == types["fuse/Conv"] == FLOAT
    assert types["depthwise/Conv"] == HALF


def test_a_bias_that_vanishes_does_no_harm():
    model = float_model()
    bias = model.graph.initializers["left.b"]
    bias.const_value = ir.tensor(bias.const_value.numpy() * np.float32(1e-8), name="left.b")
    assert types_of(to_float16(model))["left/Conv"] == HALF


def test_the_share_that_float16_loses():
    assert lost_share(np.array([0.0, 1.5, -np.inf])) == 0
    assert lost_share(np.array([1e-9, -1e-9])) == 1
    assert lost_share(np.array([1.0, 7e4])) == np.inf
    assert 0 < lost_share(np.random.default_rng(0).normal(size=1000)) < 2**-12  # half of the last of 11 bits, at most


def test_equal_input_gives_equal_bytes():
    first, second = (ir.to_proto(to_float16(float_model())).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_an_int8_graph_is_refused(tmp_path: Path, residual, table):
    artifact = int8_from_ranges(residual.path, table, target="canonical", out=tmp_path / "int8.onnx")
    with pytest.raises(MismatchError) as caught:
        to_float16(ir.load(artifact.path))
    assert caught.value.code == "ES-QUANTISED"


def test_a_half_graph_is_refused():
    with pytest.raises(MismatchError, match="picture_half/Cast"):
        to_float16(to_float16(float_model()))


def test_an_unknown_node_is_refused():
    with pytest.raises(UnknownNameError) as caught:
        to_float16(float_model(), keep=frozenset({"stem/Con"}))
    assert "stem/Conv" in caught.value.hint


@pytest.mark.parametrize("output", Output)
def test_tensorrt_builds_it_in_half(output):
    pytest.importorskip("tensorrt_rtx")
    assert convolution_types(rtx_plan(to_float16(float_model(output=output)))) == {"Half"}


def test_a_kept_convolution_is_built_in_float():
    pytest.importorskip("tensorrt_rtx")
    assert convolution_types(rtx_plan(to_float16(float_model(), keep=frozenset({"left/Conv"})))) == {"Half", "Float"}


@pytest.mark.slow
def test_a_segformer_keeps_its_norms_and_its_attention_float(family_onnx: Callable[..., Artifact]):
    from small_nets import street_frames

    source = family_onnx("segformer")
    path, images = source.path, np.stack([rgb for rgb, _ in street_frames(source.spec)])
    model = to_float16(ir.load(path))
    types = types_of(model)
    operators = {str(node.name): node.op_type for node in model.graph}
    for operator, expected in (("LayerNormalization", FLOAT), ("Softmax", FLOAT), ("MatMul", HALF), ("Conv", HALF)):
        assert {types[name] for name, found in operators.items() if found == operator} == {expected}
    assert cast_pairs(model) == []
    assert (labels(run(model, images)) == labels(run(ir.load(path), images))).mean() >= 0.999


def test_the_core_has_the_same_outputs():
    assert [value.shape for value in core_from_model(to_float16(float_model())).outputs] == [
        value.shape for value in core_from_model(float_model()).outputs
    ]
