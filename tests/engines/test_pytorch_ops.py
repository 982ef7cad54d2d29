"""Each operator of the engine pytorch against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_onnx import SPEC, onnx_model

from edgeseg.artifact import Artifact
from edgeseg.errors import FormatError

pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

from edgeseg.engines.pytorch import ENGINE  # noqa: E402
from edgeseg.engines.pytorch_ops import OPERATORS  # noqa: E402

RNG = np.random.default_rng(3)
F = np.float32
MAP = RNG.normal(size=(1, 4, 9, 11)).astype(F)  # one feature map (N, C, H, W)
ROWS = RNG.normal(size=(2, 6, 8)).astype(F)  # tokens (N, L, C)
BYTES = RNG.integers(0, 256, (1, 4, 6, 5), dtype=np.uint8)
POSITIVE = np.abs(MAP) + F(0.1)
CHANNEL = RNG.uniform(0.5, 2, (4,)).astype(F)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(F)


def resize(sizes: Any = None, scales: Any = None, **attributes: Any) -> tuple[str, list[Any], dict[str, Any]]:
    sizes = None if sizes is None else ints(1, 4, *sizes)
    scales = None if scales is None else np.array([1, 1, *scales], F)
    return "Resize", [MAP, None, scales, sizes], attributes


UP, DOWN = (23, 31), (5, 4)
Q = np.array(0.05, F)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((name, [MAP], {}) for name in ("Abs", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Neg", "Relu", "Sigmoid")),
    *(
        (name, [MAP], {})
        for name in ("Tanh", "GlobalAveragePool", "GlobalMaxPool", "LeakyRelu", "HardSigmoid", "Shape")
    ),
    *((name, [POSITIVE], {}) for name in ("Log", "Reciprocal", "Sqrt")),
    *((name, [MAP, CHANNEL.reshape(4, 1, 1)], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu")),
    *((name, [MAP, ints(2, 3)], {}) for name in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")),
    ("ReduceMean", [MAP, ints(-1)], {"keepdims": 0}),
    ("ReduceMean", [MAP], {}),
    ("ReduceMean", [MAP], {"noop_with_empty_axes": 1}),
    ("Equal", [BYTES, BYTES[:, ::-1].copy()], {}),
    ("Where", [MAP > 0, MAP, CHANNEL.reshape(4, 1, 1)], {}),
    ("Div", [ints(7, -7, 9), ints(2, 2, -4)], {}),
    ("Mod", [ints(7, -7, 9), ints(2, 2, -4)], {}),
    ("Mod", [MAP, CHANNEL.reshape(4, 1, 1)], {"fmod": 1}),
    ("And", [MAP > 0, POSITIVE > 1], {}),
    ("Pow", [POSITIVE, np.array(2.5, F)], {}),
    ("Dropout", [MAP], {}),
    ("LeakyRelu", [MAP], {"alpha": 0.3}),
    ("HardSigmoid", [MAP], {"alpha": 1 / 6, "beta": 0.4}),
    ("Gelu", [MAP], {}),
    ("Gelu", [MAP], {"approximate": "tanh"}),
    ("Clip", [MAP, np.array(-0.5, F), np.array(0.5, F)], {}),
    ("Clip", [MAP, None, np.array(0.5, F)], {}),
    ("Clip", [MAP], {}),
    ("Cast", [MAP], {"to": TensorProto.FLOAT16}),
    ("Cast", [BYTES], {"to": TensorProto.FLOAT}),
    ("ArgMax", [MAP], {"axis": 1, "keepdims": 0}),
    ("ArgMax", [np.zeros((1, 4, 3, 3), F)], {"axis": 1}),
    ("Softmax", [MAP], {"axis": 1}),
    ("Softmax", [ROWS], {}),
    ("Concat", [MAP, POSITIVE], {"axis": 1}),
    ("Split", [MAP, ints(1, 3)], {"axis": 1}),
    ("Split", [MAP], {"axis": 3, "num_outputs": 4}),
    ("Slice", [MAP, ints(1, -4), ints(9, 2**62), ints(2, 3), ints(2, 1)], {}),
    ("Slice", [MAP, ints(-1), ints(-(2**62)), ints(1), ints(-1)], {}),
    ("Slice", [MAP, ints(0, 1), ints(1, 3)], {}),
    ("Gather", [MAP, ints(3, 0, -1)], {"axis": 1}),
    ("Gather", [ROWS, np.array(2, np.int64)], {"axis": -2}),
    ("Gather", [ROWS, np.array([[0, 1], [5, -6]], np.int64)], {"axis": 1}),
    ("GatherElements", [ROWS, RNG.integers(-6, 6, (2, 4, 8))], {"axis": 1}),
    (
        "ScatterElements",
        [ROWS, RNG.permuted(np.tile(np.arange(-4, 4), (2, 6, 1)), axis=2), normal(2, 6, 8)],
        {"axis": -1},
    ),
    ("TopK", [MAP, ints(3)], {"axis": 1}),
    ("TopK", [np.round(ROWS), ints(5)], {"largest": 0}),
    ("Reshape", [MAP, ints(0, -1, 11)], {}),
    ("Transpose", [MAP], {"perm": [0, 2, 3, 1]}),
    ("Transpose", [ROWS], {}),
    ("Greater", [MAP, -MAP], {}),
    ("Less", [MAP, -MAP], {}),
    ("Flatten", [MAP], {}),
    ("Flatten", [MAP], {"axis": -1}),
    ("DepthToSpace", [normal(2, 12, 3, 5)], {"blocksize": 2}),
    ("DepthToSpace", [normal(2, 12, 3, 5)], {"blocksize": 2, "mode": "CRD"}),
    ("Pad", [MAP, ints(0, 1, 2, 3, 0, 0, 1, 2)], {}),
    ("Pad", [ROWS, ints(1, 2, 3, 0), np.array(2.5, F), ints(-1, 0)], {}),
    ("Squeeze", [MAP, ints(0)], {}),
    ("Squeeze", [MAP[:, :1]], {}),
    ("Unsqueeze", [ROWS, ints(-1, 1)], {}),
    ("Shape", [MAP], {"start": 1, "end": -1}),
    ("Expand", [CHANNEL.reshape(4, 1, 1), ints(2, 1, 3, 1)], {}),
    ("ConstantOfShape", [ints(2, 3)], {}),
    ("ConstantOfShape", [ints(2, 3)], {"value": onnx.numpy_helper.from_array(ints(7))}),
    ("MatMul", [ROWS, normal(8, 5)], {}),
    ("MatMul", [ROWS, normal(2, 8, 3)], {}),
    ("Gemm", [normal(3, 5), normal(5, 4), normal(4)], {}),
    ("Gemm", [normal(5, 3), normal(4, 5)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Conv", [MAP, normal(6, 4, 3, 3), normal(6)], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("Conv", [MAP, normal(8, 1, 3, 3)], {"group": 4, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    ("Conv", [MAP, normal(6, 4, 3, 2), normal(6)], {"pads": [0, 1, 1, 0], "kernel_shape": [3, 2]}),
    ("ConvTranspose", [MAP, normal(4, 3, 4, 4), normal(3)], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("ConvTranspose", [MAP, normal(4, 3, 3, 3)], {"strides": [2, 2], "output_padding": [1, 0]}),
    ("MaxPool", [MAP], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", [MAP], {"kernel_shape": [2, 3], "pads": [0, 1, 1, 2]}),
    ("MaxPool", [MAP], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", [MAP], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    ("MaxPool", [MAP[..., :8, :8]], {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    ("AveragePool", [MAP], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", [MAP], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("BatchNormalization", [MAP, CHANNEL, CHANNEL + 1, CHANNEL - 1, CHANNEL], {"epsilon": 1e-3}),
    ("LayerNormalization", [ROWS, normal(8), normal(8)], {"epsilon": 1e-6}),
    ("LayerNormalization", [ROWS, normal(6, 8)], {"axis": 1}),
    ("QuantizeLinear", [MAP, Q, np.array(128, np.uint8)], {}),
    ("QuantizeLinear", [MAP, Q, np.array(0, np.int8)], {}),
    ("QuantizeLinear", [MAP, CHANNEL / 40, np.zeros(4, np.int8)], {"axis": 1}),
    ("QuantizeLinear", [np.array([-0.5, 0.5, 1.5, 2.5, 300], F), np.array(1, F)], {}),
    ("DequantizeLinear", [BYTES, Q, np.array(128, np.uint8)], {}),
    ("DequantizeLinear", [BYTES.astype(np.int8), CHANNEL, np.zeros(4, np.int8)], {"axis": 1}),
    ("DequantizeLinear", [BYTES.astype(np.int32), Q], {}),
    *(
        resize(size, mode="linear", coordinate_transformation_mode=rule)
        for size in (UP, DOWN, (1, 1))
        for rule in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
    ),
    *(
        resize(size, mode="nearest", coordinate_transformation_mode=rule, nearest_mode=rounding)
        for size in (UP, DOWN)
        for rule in ("half_pixel", "asymmetric")
        for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    ),
    resize(scales=(2.0, 4.0), mode="linear"),
    resize(scales=(1.7, 0.6), mode="linear"),
    resize(scales=(2.0, 2.0), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
]


def case_model(op: str, inputs: list[Any], attributes: dict[str, Any], opset: int) -> Any:
    """One node; its first input is the graph's, the others are constants."""
    names = [f"in{i}" if value is not None else "" for i, value in enumerate(inputs)]
    count = {"Split": attributes.get("num_outputs", 2), "TopK": 2}.get(op, 1)
    outputs = [f"out{i}" for i in range(count)]
    node = helper.make_node(op, names, outputs, "node", **attributes)
    element = helper.np_dtype_to_tensor_dtype(inputs[0].dtype)
    constants = {name: value for name, value in list(zip(names, inputs))[1:] if name}
    model = onnx_model([node], [("in0", element, inputs[0].shape)], [], constants, opset)
    for name in outputs:  # their types are inferred
        model.graph.output.add(name=name)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return inferred


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_an_operator_gives_what_onnx_runtime_gives(
    op: str, inputs: list[Any], attributes: dict[str, Any], tmp_path: Path
) -> None:
    opset = 20 if op == "Gelu" else 18
    model = case_model(op, inputs, attributes, opset)
    path = tmp_path / "node.onnx"
    onnx.save(model, path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    want = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, {"in0": inputs[0]})
    with ENGINE.open(Artifact(path, SPEC)) as backend:
        got = list(backend.infer({"in0": inputs[0]}).values())
    assert len(got) == len(want)
    for ours, theirs in zip(got, want):
        assert ours.dtype == theirs.dtype
        # sums of at most 72 products of values near 1, in another order
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=5e-6)


def test_every_operator_has_a_case() -> None:
    assert {case[0] for case in CASES} | {"Constant"} == set(OPERATORS)


@pytest.mark.parametrize(
    ("attributes", "want"),
    [
        ({"value": onnx.numpy_helper.from_array(normal(2, 2))}, None),
        ({"value_float": 0.5}, F(0.5)),
        ({"value_ints": [3, 4]}, ints(3, 4)),
    ],
)
def test_a_constant_is_a_tensor_or_a_number(attributes: dict[str, Any], want: Any) -> None:
    (step,) = [OPERATORS["Constant"](attributes)]
    want = onnx.numpy_helper.to_array(attributes["value"]) if want is None else want
    np.testing.assert_array_equal(step().numpy(), want)
    assert step().numpy().dtype == np.asarray(want).dtype


def open_node(tmp_path: Path, op: str, inputs: list[Any], opset: int = 18, **attributes: Any) -> None:
    path = tmp_path / "node.onnx"
    onnx.save(case_model(op, inputs, attributes, opset), path)
    ENGINE.open(Artifact(path, SPEC)).close()


def test_an_operator_outside_the_table_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        open_node(tmp_path, "Mish", [MAP])
    assert caught.value.code == "ES-OPERATOR"
    assert "Mish (node node)" in caught.value.message


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "option"),
    [
        ("Conv", [MAP, normal(6, 4, 3, 3)], {"auto_pad": "SAME_UPPER"}, "auto_pad=SAME_UPPER"),
        ("MaxPool", [MAP], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1}, "ceil_mode=1"),
        ("Conv", [normal(1, 4, 9), normal(6, 4, 3)], {"kernel_shape": [3]}, "kernel_shape=[3]"),
        (*resize(UP)[:2], {"mode": "cubic"}, "mode=cubic"),
        (*resize(UP)[:2], {"mode": "linear", "antialias": 1}, "antialias"),
    ],
)
def test_an_option_that_is_not_covered_is_refused_by_name(
    op: str, inputs: list[Any], attributes: dict[str, Any], option: str, tmp_path: Path
) -> None:
    with pytest.raises(FormatError) as caught:
        open_node(tmp_path, op, inputs, **attributes)
    assert option in caught.value.message
    assert f"{op} (node node)" in caught.value.message


def test_an_old_opset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="opset 12") as caught:
        open_node(tmp_path, "Relu", [MAP], opset=12)
    assert caught.value.code == "ES-OPERATOR"
