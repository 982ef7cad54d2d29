"""A pooling of the picture is folded into the convolution behind it, where that is the same network."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import onnx_model

from edgeseg.calib.pooling import fold_poolings

SHAPE = (1, 3, 16, 24)
SQUARE = {"kernel_shape": [2, 2], "strides": [2, 2]}
PICTURE = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def network(pool: dict[str, object], conv: dict[str, object], *, shape=SHAPE, ends=("c", "d"), pooling="AveragePool"):
    """x to c and d: convolutions of the pooled picture, the second without a bias; another one reads x itself."""
    rng = np.random.default_rng(1)
    inputs = 3 // int(conv.get("group", 1))
    constants = {name: rng.normal(size=(6, inputs, 3, 3)).astype(np.float32) for name in ("w", "v", "u")}
    constants["b"] = rng.normal(size=6).astype(np.float32)
    nodes = [
        helper.make_node(pooling, ["x"], ["p"], "pool", **pool),
        helper.make_node("Conv", ["p", "w", "b"], ["c"], "first", **conv),
        helper.make_node("Conv", ["p", "v"], ["d"], "second", **conv),
        helper.make_node("Conv", ["x", "u"], ["e"], "beside", **conv),
    ]
    outputs = [(name, TensorProto.FLOAT, None) for name in (*ends, "e")]
    return ir.from_proto(onnx_model(nodes, [("x", TensorProto.FLOAT, shape)], outputs, constants))


def folded(model: ir.Model) -> ir.Model:
    copy = ir.from_proto(ir.to_proto(model))
    fold_poolings(copy.graph, copy.graph.inputs[0])
    return copy


def run(model: ir.Model) -> list[np.ndarray]:
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": PICTURE})


@pytest.mark.parametrize("pool", [SQUARE, {"kernel_shape": [1, 2], "strides": [1, 2], "ceil_mode": 1}])
@pytest.mark.parametrize(
    "conv", [{}, {"pads": [1, 1, 1, 1], "strides": [2, 2]}, {"pads": [0, 1, 2, 0], "strides": [1, 3]}]
)
def test_the_network_is_the_same_with_its_border(pool: dict[str, object], conv: dict[str, object]) -> None:
    model = network(pool, conv)
    made = folded(model)
    assert [node.op_type for node in made.graph] == ["Conv"] * 3
    assert set(made.graph.initializers) & {"w", "v", "u"} == {"u"}
    for ours, theirs in zip(run(made), run(model)):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-5  # float32 sums of up to 108 products


LEFT = {
    "overlapping": network({"kernel_shape": [2, 2]}, {}),
    "padded": network({**SQUARE, "pads": [1, 1, 1, 1]}, {}),
    "large": network({"kernel_shape": [4, 4], "strides": [4, 4]}, {}),
    "not covering": network(SQUARE, {}, shape=(1, 3, 16, 25)),
    "of any size": network(SQUARE, {}, shape=(1, 3, "H", "W")),
    "of the largest": network(SQUARE, {}, pooling="MaxPool"),
    "read by others": network(SQUARE, {}, ends=("c", "d", "p")),
    "before a dilated convolution": network(SQUARE, {"dilations": [2, 2]}),
    "before a grouped convolution": network(SQUARE, {"group": 3}),
    "before a convolution that pads to a size": network(SQUARE, {"auto_pad": "SAME_UPPER"}),
}


@pytest.mark.parametrize("case", LEFT)
def test_where_it_is_left_as_it_is(case: str) -> None:
    assert folded(LEFT[case]).graph[0].op_type in ("AveragePool", "MaxPool")
