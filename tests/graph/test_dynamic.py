"""Batches and sizes freed: N pictures give what N times one gives, another size what an export at that size gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from residual_onnx import residual_model
from rtx_plan import convolution_types, rtx_plan
from small_onnx import frames, onnx_model

from edgeseg.calib.quantize import quantize_canonical
from edgeseg.errors import MismatchError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.deploy import append_mask_tail
from edgeseg.graph.dynamic import with_dynamic_batch, with_dynamic_size
from edgeseg.graph.float16 import to_float16
from edgeseg.models import FAMILIES
from edgeseg.spec import ModelSpec, Output

ANY_SIZE = {"bisenetv1", "bisenetv2"}


def session(model: ir.Model) -> Any:
    """A session that computes the graph as it is written, after a full check."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # how work is shared out decides in which order sums are rounded
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: ir.Model, images: np.ndarray) -> np.ndarray:
    return session(model).run(None, {"rgb": images})[0]


def one_by_one(model: ir.Model, images: np.ndarray) -> np.ndarray:
    running = session(model)
    return np.concatenate([running.run(None, {"rgb": image[None]})[0] for image in images])


def dimensions(value: ir.Value) -> list[Any]:
    return [getattr(size, "value", size) for size in value.shape]


def float_model(**options) -> ir.Model:
    return ir.from_proto(residual_model(**options))


@dataclass(frozen=True)
class Exports:
    """The float graph of a family at its own size and, where that can be freed, the same network at a larger one."""

    spec: ModelSpec
    path: Path
    larger: Path
    images: np.ndarray


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name == "bisenetv2" else pytest.mark.slow) for name in FAMILIES],
)
def exports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    pytest.importorskip("torch")
    from small_nets import small_network, small_spec, street_frames

    from edgeseg.export.onnx import onnx_from_module

    folder, spec = tmp_path_factory.mktemp(request.param), small_spec(request.param)
    large = spec.resized(spec.input.width + 32, spec.input.height + 64)
    network, images = small_network(spec), np.stack([rgb for rgb, _ in street_frames(spec, 3)])
    path, larger = onnx_from_module(network, spec, folder / "small.onnx").path, folder / "large.onnx"
    if spec.family in ANY_SIZE:
        onnx_from_module(network, large, larger)
    return Exports(spec, path, larger, images)


def graph_from(path: Path, spec: ModelSpec, precision: str, output: Output) -> ir.Model:
    """The float graph at `path` in that precision, with that output."""
    model = ir.load(path)
    _, height, width, _ = dimensions(model.graph.inputs[0])
    if output is Output.MASK:
        append_mask_tail(model, spec.resized(width, height))
    if precision == "int8":  # which scales does not matter here
        return quantize_canonical(model, {str(value.name): 0.05 for value in core_from_model(model).activations()})
    return to_float16(model) if precision == "fp16" else model


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_three_pictures_give_what_three_times_one_gives(exports, precision, output):
    single, model = (graph_from(exports.path, exports.spec, precision, output) for _ in range(2))
    batched = with_dynamic_batch(model)
    height, width = exports.images.shape[1:3]
    assert dimensions(batched.graph.inputs[0]) == ["N", height, width, 3]
    assert dimensions(batched.graph.outputs[0])[0] == "N"
    np.testing.assert_array_equal(run(batched, exports.images), one_by_one(single, exports.images))


@pytest.mark.parametrize("output", Output)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_another_size_gives_what_an_export_at_that_size_gives(exports, precision, output):
    model = graph_from(exports.path, exports.spec, precision, output)
    if exports.spec.family not in ANY_SIZE:
        with pytest.raises(MismatchError, match=r"does not take another size: (Reshape|AveragePool) \S+ ") as caught:
            with_dynamic_size(model)
        assert "edgeseg export --size WIDTHxHEIGHT" in caught.value.hint
        return
    free = with_dynamic_size(with_dynamic_batch(model))
    assert dimensions(free.graph.inputs[0]) == ["N", "H", "W", 3]
    assert dimensions(free.graph.outputs[0])[-2:] == (["H", "W"] if output is Output.MASK else ["H/8", "W/8"])
    reference = graph_from(exports.larger, exports.spec, precision, output)
    _, height, width, _ = dimensions(reference.graph.inputs[0])
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(run(free, images), one_by_one(reference, images))


def test_either_may_be_freed_first():
    images = frames(3)
    first, second = (
        with_dynamic_size(with_dynamic_batch(float_model())),
        with_dynamic_batch(with_dynamic_size(float_model())),
    )
    for model in (first, second):
        assert dimensions(model.graph.inputs[0]) == ["N", "H", "W", 3]
        assert dimensions(model.graph.outputs[0]) == ["N", 5, "H/2", "W/2"]
        np.testing.assert_array_equal(run(model, images), one_by_one(float_model(), images))


def test_a_size_alone_may_be_freed():
    free = with_dynamic_size(float_model(output=Output.MASK))
    assert dimensions(free.graph.inputs[0]) == [1, "H", "W", 3]
    images = np.random.default_rng(0).integers(0, 256, (1, 96, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(run(free, images), run(float_model(output=Output.MASK, width=32, height=96), images))


def graph_of(nodes: list[Any], shape: list[int], **constants: np.ndarray) -> ir.Model:
    """x (1, 3, 32, 64) from the picture, then `nodes`, which end in "logits"."""
    head = [
        helper.make_node("Cast", ["rgb"], ["float"], "float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], "planar", perm=[0, 3, 1, 2]),
    ]
    ends = ([("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, shape)])
    return ir.from_proto(onnx_model([*head, *nodes], *ends, constants))


def node(op: str, *inputs: str, out: str = "logits", **attributes: Any) -> Any:
    return helper.make_node(op, ["x", *inputs], [out], f"a/{op}", **attributes)


ints = np.array
TAKES_A_BATCH = {
    "Reshape": ([node("Reshape", "s")], [1, 3, 2048], {"s": ints([1, 3, 2048])}),
    "Reshape with a rest": ([node("Reshape", "s")], [1, 3, 2048], {"s": ints([1, -1, 2048])}),
    "Flatten": ([node("Flatten")], [1, 6144], {}),
    "Resize by no round factor": (
        [node("Resize", "", "", "s", mode="linear")],
        [1, 3, 41, 83],
        {"s": ints([1, 3, 41, 83])},
    ),
    "Pad": ([node("Pad", "p")], [1, 3, 34, 64], {"p": ints([0, 0, 1, 0, 0, 0, 1, 0])}),
    "Slice": ([node("Slice", "b", "e", "a")], [1, 3, 8, 64], {"b": ints([2]), "e": ints([10]), "a": ints([2])}),
    "Unsqueeze": ([node("Unsqueeze", "a")], [1, 3, 32, 64, 1], {"a": ints([-1])}),
    "ReduceMean": ([node("ReduceMean", "a", keepdims=0)], [1, 3], {"a": ints([2, 3])}),
    "MatMul": ([node("MatMul", "w")], [1, 3, 32, 5], {"w": np.ones((64, 5), np.float32) / 64}),
    "Softmax": ([node("Softmax", axis=1)], [1, 3, 32, 64], {}),
    "Expanded bias": ([node("Add", "w")], [1, 3, 32, 64], {"w": np.ones((1, 3, 32, 64), np.float32)}),
}


@pytest.mark.parametrize("case", TAKES_A_BATCH)
def test_operators_that_take_a_batch(case):
    nodes, shape, constants = TAKES_A_BATCH[case]
    images = frames(3)
    batched = with_dynamic_batch(graph_of(nodes, shape, **constants))
    np.testing.assert_array_equal(run(batched, images), one_by_one(graph_of(nodes, shape, **constants), images))


MIXES = {
    "Reshape a/Reshape holds the shape": ([node("Reshape", "s")], [3, 2048], {"s": ints([3, 2048])}),
    "ReduceMean a/ReduceMean mixes the pictures": ([node("ReduceMean")], [1, 1, 1, 1], {}),
    "ArgMax a/ArgMax mixes the pictures": (
        [node("ArgMax", out="i"), helper.make_node("Cast", ["i"], ["logits"], to=1)],
        [1, 3, 32, 64],
        {},
    ),
    "Softmax a/Softmax works along": ([node("Softmax", axis=0)], [1, 3, 32, 64], {}),
    "Concat a/Concat joins": ([node("Concat", "x", axis=0)], [2, 3, 32, 64], {}),
    "Squeeze a/Squeeze takes that axis away": ([node("Squeeze")], [3, 32, 64], {}),
    "Slice a/Slice cuts": ([node("Slice", "b", "e")], [1, 3, 32, 64], {"b": ints([0]), "e": ints([1])}),
    "Pad a/Pad pads": ([node("Pad", "p")], [2, 3, 32, 64], {"p": ints([0, 0, 0, 0, 1, 0, 0, 0])}),
    "Flatten a/Flatten merges": ([node("Flatten", axis=2)], [3, 2048], {}),
    "Gather a/Gather works along": ([node("Gather", "i")], [1, 3, 32, 64], {"i": ints([0])}),
    "NonZero a/NonZero is an operator": (
        [node("NonZero", out="i"), helper.make_node("Cast", ["i"], ["logits"], to=1)],
        [4, 6144],
        {},
    ),
    "Conv b/Conv works along": (
        [node("Transpose", out="t", perm=[1, 0, 2, 3]), helper.make_node("Conv", ["t", "w"], ["logits"], "b/Conv")],
        [3, 2, 32, 64],
        {"w": np.ones((2, 1, 1, 1), np.float32)},
    ),
    "MatMul a/MatMul has an input of fixed size": (
        [node("MatMul", "w")],
        [4, 3, 32, 5],
        {"w": np.ones((4, 1, 64, 5), np.float32)},
    ),
}


@pytest.mark.parametrize("message", MIXES)
def test_what_mixes_the_pictures_is_refused_by_name(message):
    nodes, shape, constants = MIXES[message]
    with pytest.raises(MismatchError) as caught:
        with_dynamic_batch(graph_of(nodes, shape, **constants))
    assert caught.value.message.startswith(f"this graph does not take a batch: {message}")
    assert "one picture at a time" in caught.value.hint


HOLDS_A_SIZE = {
    "AveragePool a/AveragePool averages windows": ([node("AveragePool", kernel_shape=[32, 64])], [1, 3, 1, 1], {}),
    "AveragePool a/AveragePool averages windows that": (
        [node("AveragePool", kernel_shape=[16, 32], strides=[16, 32])],
        [1, 3, 2, 2],
        {},
    ),
    "Resize b/Resize holds the size": (
        [
            node("GlobalAveragePool", out="g"),
            helper.make_node("Resize", ["g", "", "", "s"], ["logits"], "b/Resize", mode="linear"),
        ],
        [1, 3, 32, 64],
        {"s": ints([1, 3, 32, 64])},
    ),
    "Resize a/Resize holds the size": (
        [node("Resize", "", "", "s", mode="linear")],
        [1, 3, 41, 83],
        {"s": ints([1, 3, 41, 83])},
    ),
    "Add a/Add has an input of fixed size": (
        [node("Add", "w")],
        [1, 3, 32, 64],
        {"w": np.ones((1, 1, 32, 64), np.float32)},
    ),
    "LayerNormalization a/LayerNormalization works along": (
        [node("LayerNormalization", "w")],
        [1, 3, 32, 64],
        {"w": np.ones(64, np.float32)},
    ),
    "MatMul a/MatMul sums along": ([node("MatMul", "w")], [1, 3, 32, 5], {"w": np.ones((64, 5), np.float32)}),
}


@pytest.mark.parametrize("message", HOLDS_A_SIZE)
def test_what_holds_the_size_is_refused_by_name(message):
    nodes, shape, constants = HOLDS_A_SIZE[message]
    with pytest.raises(MismatchError) as caught:
        with_dynamic_size(graph_of(nodes, shape, **constants))
    assert caught.value.message.startswith(f"this graph does not take another size: {message}")
    assert caught.value.hint == "build one engine a size: edgeseg export --size WIDTHxHEIGHT, for each"


@pytest.mark.parametrize(("free", "changed"), [(with_dynamic_batch, 0), (with_dynamic_size, 1)])
def test_what_is_free_already_is_refused(free, changed):
    model = free(float_model())
    with pytest.raises(MismatchError, match=r"input rgb is \[.*\], and cannot be freed") as caught:
        free(model)
    assert "edgeseg export" in caught.value.hint
    assert not isinstance(model.graph.inputs[0].shape[changed], int)


def test_equal_input_gives_equal_bytes():
    first, second = (
        ir.to_proto(with_dynamic_size(with_dynamic_batch(float_model()))).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("output", Output)
def test_tensorrt_builds_a_batch_of_one_to_four(precision, output):
    pytest.importorskip("tensorrt_rtx")
    model = float_model(output=output)
    model = with_dynamic_batch(to_float16(model) if precision == "fp16" else model)
    log = rtx_plan(model, {"rgb": ((1, 32, 64, 3), (2, 32, 64, 3), (4, 32, 64, 3))})
    assert convolution_types(log) == {"Half" if precision == "fp16" else "Float"}


def test_tensorrt_builds_several_sizes():
    pytest.importorskip("tensorrt_rtx")
    model = with_dynamic_size(with_dynamic_batch(float_model(output=Output.MASK)))
    assert convolution_types(rtx_plan(model, {"rgb": ((1, 32, 32, 3), (1, 32, 64, 3), (4, 96, 128, 3))})) == {"Float"}
