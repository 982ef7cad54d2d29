"""A graph with a dynamic batch: N images give what N times one image gives."""

from __future__ import annotations

from collections.abc import Callable
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
from small_nets import every_family
from small_onnx import frames, onnx_model

from edgeseg.artifact import Artifact
from edgeseg.calib.quantize import quantize_canonical
from edgeseg.errors import MismatchError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.deploy import append_mask_tail
from edgeseg.graph.dynamic_batch import with_dynamic_batch
from edgeseg.graph.float16 import to_float16
from edgeseg.spec import ModelSpec, Output


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


# ONNX Runtime adds the channels of one image in another order than those of several, where a network sums over them,
# and the positions of a pool to bins or of a code of EncNet, which are products of matrices.
SUMS_CHANNELS = {"encnet", "fastscnn", "pidnet", "ppliteseg", "pspnet"}
ROUNDING = {"fp32": 1e-5, "fp16": 5e-3, "int8": 1e-5}  # of the largest logit; a mask has none


@dataclass(frozen=True)
class Exports:
    """The float graph of a family, and images for it."""

    spec: ModelSpec
    path: Path
    images: np.ndarray


@pytest.fixture(
    scope="module",
    params=every_family(),
)
def exports(request: pytest.FixtureRequest, family_onnx: Callable[..., Artifact]) -> Exports:
    artifact = family_onnx(request.param)
    from small_nets import street_frames

    images = np.stack([rgb for rgb, _ in street_frames(artifact.spec, 3)])
    return Exports(artifact.spec, artifact.path, images)


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
def test_three_images_give_what_three_times_one_gives(exports, precision, output):
    single, model = (graph_from(exports.path, exports.spec, precision, output) for _ in range(2))
    batched = with_dynamic_batch(model)
    height, width = exports.images.shape[1:3]
    assert dimensions(batched.graph.inputs[0]) == ["N", height, width, 3]
    assert dimensions(batched.graph.outputs[0])[0] == "N"
    outputs, expected = run(batched, exports.images), one_by_one(single, exports.images)
    rounds = exports.spec.family in SUMS_CHANNELS
    if rounds and output is Output.MASK:
        assert (outputs == expected).mean() >= 0.999  # two classes that are almost equal may change places
        return
    rounding = ROUNDING[precision] if rounds else 0
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=rounding * np.abs(expected).max())


def graph_of(nodes: list[Any], shape: list[int], **constants: np.ndarray) -> ir.Model:
    """x (1, 3, 32, 64) from the image, then `nodes`, which end in "logits"."""
    head = [
        helper.make_node("Cast", ["rgb"], ["float"], "float", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], "planar", perm=[0, 3, 1, 2]),
    ]
    ends = ([("rgb", TensorProto.UINT8, [1, 32, 64, 3])], [("logits", TensorProto.FLOAT, shape)])
    return ir.from_proto(onnx_model([*head, *nodes], *ends, constants))


def node(op: str, *inputs: str, out: str = "logits", **attributes: Any) -> Any:
    return helper.make_node(op, ["x", *inputs], [out], f"a/{op}", **attributes)


ints = np.array
LARGEST = helper.make_node("TopK", ["x", "k"], ["largest", "places"], "a/TopK")
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
    "TopK": (
        [helper.make_node("TopK", ["x", "k"], ["logits", "places"], "a/TopK", axis=1)],
        [1, 2, 32, 64],
        {"k": ints([2])},
    ),
    "GatherElements": ([LARGEST, node("GatherElements", "places", axis=3)], [1, 3, 32, 5], {"k": ints([5])}),
    "ScatterElements": (
        [
            LARGEST,
            helper.make_node("Neg", ["largest"], ["smallest"]),
            node("ScatterElements", "places", "smallest", axis=3),
        ],
        [1, 3, 32, 64],
        {"k": ints([5])},
    ),
    "Expand": (
        [node("ReduceMean", "a", out="m"), helper.make_node("Expand", ["m", "s"], ["logits"], "a/Expand")],
        [1, 3, 32, 64],
        {"a": ints([2, 3]), "s": ints([1, 3, 32, 64])},
    ),
    "Expanded bias": ([node("Add", "w")], [1, 3, 32, 64], {"w": np.ones((1, 3, 32, 64), np.float32)}),
}


@pytest.mark.parametrize("case", TAKES_A_BATCH)
def test_operators_that_take_a_batch(case):
    nodes, shape, constants = TAKES_A_BATCH[case]
    images = frames(3)
    batched = with_dynamic_batch(graph_of(nodes, shape, **constants))
    np.testing.assert_array_equal(run(batched, images), one_by_one(graph_of(nodes, shape, **constants), images))


MIXES = {
    "a/Reshape": ([node("Reshape", "s")], [3, 2048], {"s": ints([3, 2048])}),
    "a/ReduceMean": ([node("ReduceMean")], [1, 1, 1, 1], {}),
    "a/ArgMax": (
        [node("ArgMax", out="i"), helper.make_node("Cast", ["i"], ["logits"], to=1)],
        [1, 3, 32, 64],
        {},
    ),
    "a/Softmax": ([node("Softmax", axis=0)], [1, 3, 32, 64], {}),
    "a/Concat": ([node("Concat", "x", axis=0)], [2, 3, 32, 64], {}),
    "a/Squeeze": ([node("Squeeze")], [3, 32, 64], {}),
    "a/Slice": ([node("Slice", "b", "e")], [1, 3, 32, 64], {"b": ints([0]), "e": ints([1])}),
    "a/Pad": ([node("Pad", "p")], [2, 3, 32, 64], {"p": ints([0, 0, 0, 0, 1, 0, 0, 0])}),
    "a/Flatten": ([node("Flatten", axis=2)], [3, 2048], {}),
    "a/Gather": ([node("Gather", "i")], [1, 3, 32, 64], {"i": ints([0])}),
    "a/TopK": (
        [helper.make_node("TopK", ["x", "k"], ["logits", "places"], "a/TopK", axis=0)],
        [1, 3, 32, 64],
        {"k": ints([1])},
    ),
    "a/GatherElements": (
        [node("GatherElements", "i", axis=3)],
        [1, 3, 32, 5],
        {"i": np.zeros((1, 3, 32, 5), np.int64)},
    ),
    "b/GatherElements": (
        [LARGEST, helper.make_node("GatherElements", ["x", "places"], ["logits"], "b/GatherElements", axis=0)],
        [1, 3, 32, 5],
        {"k": ints([5])},
    ),
    "a/Expand": ([node("Expand", "s")], [4, 3, 32, 64], {"s": ints([4, 1, 1, 1])}),
    "a/NonZero": (
        [node("NonZero", out="i"), helper.make_node("Cast", ["i"], ["logits"], to=1)],
        [4, 6144],
        {},
    ),
    "b/Conv": (
        [node("Transpose", out="t", perm=[1, 0, 2, 3]), helper.make_node("Conv", ["t", "w"], ["logits"], "b/Conv")],
        [3, 2, 32, 64],
        {"w": np.ones((2, 1, 1, 1), np.float32)},
    ),
    "a/MatMul": (
        [node("MatMul", "w")],
        [4, 3, 32, 5],
        {"w": np.ones((4, 1, 64, 5), np.float32)},
    ),
}


@pytest.mark.parametrize("name", MIXES)
def test_a_node_that_mixes_images_is_named(name):
    nodes, shape, constants = MIXES[name]
    with pytest.raises(MismatchError) as caught:
        with_dynamic_batch(graph_of(nodes, shape, **constants))
    assert caught.value.code == "ES-MISMATCH-BATCH"
    assert f" {name} " in caught.value.message


def test_a_graph_that_has_a_dynamic_batch_is_refused():
    model = with_dynamic_batch(float_model())
    with pytest.raises(MismatchError) as caught:
        with_dynamic_batch(model)
    assert caught.value.code == "ES-MISMATCH-BATCH"


def test_equal_input_gives_equal_bytes():
    first, second = (
        ir.to_proto(with_dynamic_batch(float_model())).SerializeToString(deterministic=True) for _ in range(2)
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
