"""The frame's bytes with a border of the mean colour: what zeros around the picture less that colour are."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import HEIGHT, WIDTH, frames, onnx_model

from edgeseg.calib.quantize import quantize_canonical
from edgeseg.graph.core import core_from_model
from edgeseg.graph.lower_qdq import Layout, lower_qdq
from edgeseg.graph.truncate import truncate_graph

COLOUR = np.array([124, 116, 104], np.float32)
BORDERED = Layout(uint8_input=True)


def network(pads=((1, 1, 1, 1),), colour=COLOUR, perm=(0, 3, 1, 2), bias=True, **conv: object) -> ir.Model:
    """rgb less `colour` to one 3x3 convolution each of `pads`, whose weights are whole numbers up to 127 by channel."""
    rng = np.random.default_rng(0)
    constants = {"colour": colour.reshape(1, -1, 1, 1)}
    nodes = [
        helper.make_node("Cast", ["rgb"], ["f0"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f0"], ["f1"], "planes", perm=perm),
        helper.make_node("Sub", ["f1", "colour"], ["f2"], "sub"),
    ]
    for number, each in enumerate(pads):
        weight = rng.integers(-126, 127, (4, 3, 3, 3)).astype(np.float32)
        weight[:, 0, 1, 1] = 127
        constants[f"w{number}"] = weight / 128
        constants[f"u{number}"], constants[f"v{number}"] = rng.normal(size=(2, 4, 4, 1, 1)).astype(np.float32)
        constants[f"b{number}"] = rng.normal(size=4).astype(np.float32)
        inputs = ["f2", f"w{number}", *([f"b{number}"] if bias else [])]
        padding = {} if "auto_pad" in conv else {"pads": each}
        nodes += [
            helper.make_node("Conv", inputs, [f"c{number}"], f"conv{number}", **padding, **conv),
            helper.make_node("Conv", [f"c{number}", f"u{number}"], [f"d{number}"], f"middle{number}"),
            helper.make_node("Conv", [f"d{number}", f"v{number}"], [f"logits{number}"], f"head{number}"),
        ]
    outputs = [(f"logits{number}", TensorProto.FLOAT, None) for number in range(len(pads))]
    shape = [1, HEIGHT, WIDTH, 3] if perm == (0, 3, 1, 2) else [1, 3, HEIGHT, WIDTH]
    return ir.from_proto(onnx_model(nodes, [("rgb", TensorProto.UINT8, shape)], outputs, constants))


def lowered(model: ir.Model, layout: Layout = BORDERED, *, middle: bool = True) -> ir.Model:
    """In int8, which is exact up to the first convolutions. middle: whether those behind them are int8, too."""
    copy = ir.from_proto(ir.to_proto(model))
    scales = {str(value.name): 1.0 for value in core_from_model(copy).activations()}
    stays = frozenset() if middle else frozenset({"middle0"})
    return lower_qdq(quantize_canonical(copy, scales, float_nodes=stays), layout)


def run(model: ir.Model, frame: np.ndarray) -> list[np.ndarray]:
    """What the first convolutions give, computed as the graph is written."""
    model = truncate_graph(
        ir.from_proto(ir.to_proto(model)), [f"c{number}" for number in range(len(model.graph.outputs))]
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"rgb": frame})


@pytest.mark.parametrize(
    "pads", [[(1, 1, 1, 1)], [(0, 0, 0, 0)], [(1, 1, 1, 1), (3, 3, 3, 3)], [(0, 2, 1, 0), (0, 2, 1, 0), (1, 0, 0, 0)]]
)
def test_each_convolution_gets_the_border_it_padded(pads: list[tuple[int, ...]]) -> None:
    model = network(pads, strides=[2, 1])
    made, frame = lowered(model), frames(1)
    before = [node.op_type for node in made.graph]
    assert before.count("Concat") == sum(any(each[0::2]) + any(each[1::2]) for each in set(pads))
    assert not {"Cast", "Sub"} & set(before)
    assert not {"colour", "f2_scale", "f2_zero_point"} & set(made.graph.initializers)
    for ours, theirs in zip(run(made, frame), run(model, frame)):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()  # float32 sums of 27 products of up to 255


def test_the_codes_have_the_zero_point_0() -> None:
    made = lowered(network())
    node = next(node for node in made.graph if node.op_type == "DequantizeLinear")
    scale, zero = (value.const_value.numpy() for value in node.inputs[1:])
    assert (scale, zero, zero.dtype) == (1, 0, np.uint8)


def test_a_black_border_is_what_the_convolution_pads() -> None:
    model = network(colour=0 * COLOUR)
    made, frame = lowered(model), frames(1)
    assert [node.op_type for node in made.graph][:3] == ["DequantizeLinear", "Transpose", "DequantizeLinear"]
    (ours,), (theirs,) = run(made, frame), run(model, frame)
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


LEFT = {
    "parts of a grey level": network(colour=COLOUR + np.float32(0.5)),
    "no bytes": network(colour=COLOUR + 200),
    "planes already": network(perm=(0, 1, 2, 3)),
    "no bias": network(bias=False),
    "padded to a size": network(auto_pad="SAME_UPPER"),
}


@pytest.mark.parametrize("case", [*LEFT, "nothing else rounded"])
def test_where_it_is_left_as_it_is(case: str) -> None:
    made = lowered(LEFT[case]) if case in LEFT else lowered(network(), middle=False)
    assert [node.op_type for node in made.graph][:3] == ["Cast", "Transpose", "Sub"]
    assert "Concat" not in [node.op_type for node in made.graph]


def test_where_the_layout_does_not_ask_for_it() -> None:
    assert [node.op_type for node in lowered(network(), Layout()).graph][:3] == ["Cast", "Transpose", "Sub"]
