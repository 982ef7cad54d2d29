"""What OpenVINO computes wrongly in int8 stays float for it: convolutions with AMX, and maxima of channels.

Transposed convolutions, which no other target has in int8, it computes rightly, and sums of int8 tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import onnx_model

from edgeseg.calib.placement import TARGETS
from edgeseg.calib.quantize import quantize_canonical
from edgeseg.engines.openvino import openvino_core
from edgeseg.graph.core import constant, core_from_model, made_by
from edgeseg.graph.lower_qdq import lower_qdq, unfused_nodes
from edgeseg.graph.qdq import DEQUANTIZE, NARROW_LEVELS, QUANTIZE

HEIGHT, WIDTH = 96, 120
SCALES = 0.03


def net(kernel: tuple[int, int], stride: int, channels: int = 32) -> ir.Model:
    """A convolution of 3x3, one of `kernel`, and the logits."""
    rng = np.random.default_rng(0)
    shapes = {"a": (channels, 3, 3, 3), "b": (32, channels, *kernel), "c": (5, 32, 1, 1)}
    constants = {f"{name}.w": rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    names = ["x", "a", "b", "logits"]
    strides = {"b": [stride, stride]}
    nodes = [
        helper.make_node(
            "Conv", [before, f"{name}.w"], [after], name, strides=strides.get(name, [1, 1]), pads=[int(name == "a")] * 4
        )
        for name, before, after in zip(shapes, names, names[1:])
    ]
    ends = ([("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])], [("logits", TensorProto.FLOAT, None)])
    return ir.passes.common.ShapeInferencePass()(ir.from_proto(onnx_model(nodes, *ends, constants))).model


@pytest.mark.parametrize(
    ("kernel", "channels", "float_nodes"),
    [((8, 8), 32, {"b"}), ((4, 4), 16, {"b"}), ((3, 4), 32, {"b"}), ((8, 8), 64, set()), ((4, 7), 32, set()),
     ((3, 3), 16, set())],
)  # fmt: skip
def test_such_convolutions_stay_float_for_openvino_alone(
    kernel: tuple[int, int], channels: int, float_nodes: set[str]
) -> None:
    core = core_from_model(net(kernel, 4, channels))
    openvino, onnxruntime_layout = TARGETS["openvino"], TARGETS["onnxruntime"]
    assert openvino is not None
    assert onnxruntime_layout is not None
    assert unfused_nodes(core, openvino) == float_nodes
    assert unfused_nodes(core, onnxruntime_layout) == set()


@pytest.mark.parametrize(("kernel", "stride"), [((8, 8), 8), ((4, 4), 4), ((3, 4), 4), ((3, 3), 1)])
def test_openvino_computes_what_is_left(kernel: tuple[int, int], stride: int, tmp_path: Path) -> None:
    model, layout = net(kernel, stride), TARGETS["openvino"]
    assert layout is not None
    scales = {str(value.name): SCALES for value in core_from_model(model).activations()}
    quantize_canonical(model, scales, layout, levels=NARROW_LEVELS)
    # 1.1 to 14 where the second convolution of the first three is int8, on a processor with AMX
    assert deviation(lower_qdq(model, layout, scales)) < 0.02


def decoder(kernel: int, channels: int, group: int = 1, out: int = 12) -> ir.Model:
    """A convolution with a ReLU, and the logits as a transposed convolution that doubles the size."""
    rng = np.random.default_rng(0)
    shapes = {"a": (channels, 3, 3, 3), "up": (channels, out // group, kernel, kernel)}
    constants = {f"{name}.w": rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    constants["up.b"] = rng.normal(0, 0.05, out).astype(np.float32)
    padding = (kernel - 1) // 2
    nodes = [
        helper.make_node("Conv", ["x", "a.w"], ["a"], "a", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"], "r"),
        helper.make_node(
            "ConvTranspose", ["r", "up.w", "up.b"], ["logits"], "up", strides=[2, 2], group=group,
            pads=[padding] * 4, output_padding=[kernel % 2] * 2,
        ),
    ]  # fmt: skip
    ends = ([("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])], [("logits", TensorProto.FLOAT, None)])
    return ir.passes.common.ShapeInferencePass()(ir.from_proto(onnx_model(nodes, *ends, constants))).model


def quantised_for(model: ir.Model, target: str) -> ir.Model:
    layout = TARGETS[target]
    assert layout is not None
    core = core_from_model(model)
    scales = {str(value.name): SCALES * (1 + 0.1 * n) for n, value in enumerate(core.activations())}
    quantize_canonical(model, scales, layout, levels=NARROW_LEVELS)
    return lower_qdq(model, layout, scales)


@pytest.mark.parametrize("channels", [16, 24, 64, 100])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_openvino_computes_transposed_convolutions(kernel: int, channels: int) -> None:
    model = quantised_for(decoder(kernel, channels), "openvino")
    assert ("up" in int8_nodes(model)) == (kernel != 4 or channels >= 64)
    assert deviation(model) < 0.02


@pytest.mark.parametrize(
    ("target", "channels", "group", "nodes"),
    [("openvino", 16, 1, {"a", "up"}), ("openvino", 12, 1, {"a"}), ("openvino", 16, 4, {"a"}),
     ("onnxruntime", 16, 1, {"a"})],
)  # fmt: skip
def test_a_transposed_convolution_that_takes_more_channels_than_it_gives_is_int8_for_openvino(
    target: str, channels: int, group: int, nodes: set[str]
) -> None:
    assert int8_nodes(quantised_for(decoder(2, channels, group), target)) == nodes


def bottleneck(last: str, activation: str, *, between: bool) -> ir.Model:
    """Convolutions, the last of which is added to the first, all activated; then, as `last`, another or the logits."""
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "between": (16, 16, 1, 1), "b": (16, 16, 1, 1), "c": (16, 16, 1, 1)}
    shapes["logits"] = (5, 16, 1, 1)
    used = [name for name in shapes if name in ("a", "b", last, "logits") or (between and name == "between")]
    constants = {f"{name}.w": rng.normal(0, 0.1, shapes[name]).astype(np.float32) for name in used}
    constants |= {f"{name}.b": rng.normal(0, 0.1, shapes[name][0]).astype(np.float32) for name in used}
    slope = ["slope"] if activation == "PRelu" else []
    constants |= {name: np.full((1, 1, 1), 0.25, np.float32) for name in slope}

    def conv(name: str, read: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [read, f"{name}.w", f"{name}.b"], [name], name, pads=[int(name == "a")] * 4)

    def act(read: str) -> onnx.NodeProto:
        return helper.make_node(activation, [read, *slope], [f"{read}.act"], f"{read}.act")

    nodes = [conv("a", "x"), act("a")]
    nodes += [conv("between", "a.act"), act("between")] if between else []
    nodes += [conv("b", "between.act" if between else "a.act"), act("b")]
    nodes += [helper.make_node("Add", ["a.act", "b.act"], ["sum"], "sum"), act("sum")]
    nodes += [conv("c", "sum.act"), conv("logits", "c")] if last == "c" else [conv("logits", "sum.act")]
    ends = ([("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])], [("logits", TensorProto.FLOAT, None)])
    return ir.passes.common.ShapeInferencePass()(ir.from_proto(onnx_model(nodes, *ends, constants))).model


@pytest.mark.parametrize("activation", ["PRelu", "Relu"])
@pytest.mark.parametrize(
    ("last", "between", "is_rounded"), [("c", True, True), ("c", False, False), ("logits", True, True)]
)
def test_openvino_fuses_an_int8_sum_with_the_activated_convolution_before_it(
    last: str, between: bool, is_rounded: bool, activation: str
) -> None:
    model = quantised_for(bottleneck(last, activation, between=between), "openvino")
    rounded = {str(node.inputs[0].name) for node in model.graph if node.op_type == QUANTIZE}
    assert ("b.act" in rounded) == is_rounded
    assert deviation(model) < 0.1  # of four roundings one after another
    compiled = openvino_core().compile_model(openvino_core().read_model(ir.to_proto(model).SerializeToString()), "CPU")
    sums = [name for name in fused_layers(compiled) if "sum" in name.split(",")]
    assert any("b" in name.split(",") for name in sums) == is_rounded


def fused_layers(compiled: Any) -> list[str]:
    """The names of the layers that each node of the plugin computes."""
    nodes = compiled.get_runtime_model().get_ops()
    return [
        info["originalLayersNames"].value for node in nodes if "originalLayersNames" in (info := node.get_rt_info())
    ]


def int8_nodes(model: ir.Model) -> set[str]:
    """The names of the nodes whose weight is quantised."""
    return {str(node.name) for node in model.graph if len(node.inputs) > 1 and made_by(node.inputs[1], DEQUANTIZE)
            and constant(node.inputs[1].producer().inputs[0]) is not None}  # fmt: skip


def deviation(model: ir.Model) -> float:
    """Of OpenVINO from ONNX Runtime, which runs `model` as it is written; relative to the output."""
    data = ir.to_proto(model).SerializeToString()
    image = np.random.default_rng(1).normal(0, 1, (1, 3, HEIGHT, WIDTH)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (expected,) = onnxruntime.InferenceSession(data, options).run(None, {"x": image})
    compiled = openvino_core().compile_model(
        openvino_core().read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    actual = compiled(image)[0]
    return float(np.sqrt(((actual - expected) ** 2).mean() / (expected**2).mean()))


def attention(reduce: str) -> ir.Model:
    """Two convolutions; the means over the channels of the one and `reduce` of the other; a third, and the logits."""
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "b": (16, 3, 3, 3), "c": (4, 2, 3, 3), "d": (5, 4, 1, 1)}
    constants = {f"{name}.w": rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    constants["axes"] = np.array([1])

    def conv(name: str, read: str, gives: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [read, f"{name}.w"], [gives], name, pads=[int(name != "d")] * 4)

    nodes = [
        conv("a", "x", "a"),
        conv("b", "x", "b"),
        helper.make_node("ReduceMean", ["a", "axes"], ["mean"], "mean"),
        helper.make_node(reduce, ["b", "axes"], ["reduced"], "reduced"),
        helper.make_node("Concat", ["mean", "reduced"], ["both"], "both", axis=1),
        conv("c", "both", "c"),
        conv("d", "c", "logits"),
    ]
    ends = ([("x", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])], [("logits", TensorProto.FLOAT, None)])
    return ir.passes.common.ShapeInferencePass()(ir.from_proto(onnx_model(nodes, *ends, constants))).model


@pytest.mark.parametrize(("reduce", "float_nodes"), [("ReduceMax", {"c"}), ("ReduceMean", set())])
def test_openvino_computes_the_maxima_of_channels(reduce: str, float_nodes: set[str]) -> None:
    model, layout = attention(reduce), TARGETS["openvino"]
    assert layout is not None
    core = core_from_model(model)
    assert unfused_nodes(core, layout) == float_nodes
    scales = {str(value.name): SCALES for value in core.activations()}
    quantize_canonical(model, scales, layout, levels=NARROW_LEVELS)
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph) > 0
    assert deviation(lower_qdq(model, layout, scales)) < 0.02
