from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from residual_onnx import residual_model
from small_onnx import frames, onnx_model

from edgeseg.calib.placement import SHAPE_ONLY_OPS, TARGETS, scale_source
from edgeseg.calib.quantize import quantize_canonical, scale_from_range
from edgeseg.calib.range import Range
from edgeseg.engines.openvino import openvino_core
from edgeseg.graph.core import constant, core_from_model
from edgeseg.graph.lower_qdq import Layout, is_int8, is_non_negative, lower_qdq, unsigned_encoding
from edgeseg.graph.qdq import DEQUANTIZE, NARROW_LEVELS, pairs

PLAIN = Layout()
CHANNELS, SIDE = 4, 6


def run(model: ir.Model, feed: dict[str, np.ndarray], level: str = "ORT_DISABLE_ALL") -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feed)


def chain(ops: list[str], seed: int) -> ir.Model:
    """A random chain of operators between two convolutions and a logits convolution."""
    rng = np.random.default_rng(seed)
    constants, nodes, x = {}, [], "x"
    for number, op in enumerate([*ops, "Conv"]):
        y = "logits" if number == len(ops) else f"t{number}"
        inputs, attributes = [x], {}
        if op == "Conv":
            weight = rng.normal(0, 0.3, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
            constants[f"w{number}"], constants[f"b{number}"] = weight, rng.normal(size=CHANNELS).astype(np.float32)
            inputs, attributes = [x, f"w{number}", f"b{number}"], {"pads": [1] * 4}
        elif op in ("MaxPool", "AveragePool"):
            attributes = {"kernel_shape": [3, 3], "pads": [1] * 4}
        elif op == "Add":
            inputs = [x, x]
        nodes.append(helper.make_node(op, inputs, [y], f"n{number}", **attributes))
        x = y
    shape = [1, CHANNELS, SIDE, SIDE]
    ends = ([("x", TensorProto.FLOAT, shape)], [("logits", TensorProto.FLOAT, shape)])
    return ir.from_proto(onnx_model(nodes, *ends, constants))


def two_forms(ops: list[str], seed: int, scale: float, layout: Layout = PLAIN) -> tuple[ir.Model, ir.Model]:
    models = []
    for _ in range(2):
        model = chain(ops, seed)
        models.append(quantize_canonical(model, {str(v.name): scale for v in core_from_model(model).activations()}))
    return models[0], lower_qdq(models[1], layout)


picture = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).normal(0, 2, (1, CHANNELS, SIDE, SIDE)).astype(np.float32)
)
signed_ops = st.lists(st.sampled_from(["Conv", "MaxPool", "AveragePool", "Add"]), min_size=1, max_size=4)
any_ops = st.lists(
    st.sampled_from(["Conv", "Relu", "Sigmoid", "MaxPool", "AveragePool", "Add"]), min_size=1, max_size=5
)
scales = st.floats(0.0078125, 0.25, width=32)


@settings(max_examples=40, deadline=None)
@given(signed_ops, st.integers(0, 99), scales, picture)
def test_signed_graphs_compute_the_same_numbers_to_the_bit(ops, seed, scale, x):
    canonical, lowered = two_forms(ops, seed, scale)
    # code + 128 and the same scale stand for the same value
    assert np.array_equal(run(canonical, {"x": x})[0], run(lowered, {"x": x})[0])


@settings(max_examples=40, deadline=None)
@given(any_ops, st.integers(0, 99), scales, picture)
def test_every_pair_gives_the_canonical_value_within_one_quantum(ops, seed, scale, x):
    """Each pair by itself, on one and the same float input: errors of earlier pairs are not its own."""
    canonical, lowered = two_forms(["Relu", *ops], seed, scale)
    for before, after in zip(pairs(canonical), pairs(lowered), strict=True):
        values = np.abs(x) if is_non_negative(after.tensor) else x
        quantum = float(constant(before.quantize.inputs[1]))
        # half a canonical quantum and half a lowered one (at most as large); 1e-5: float32 rounding of the product
        assert np.abs(through(before, values) - through(after, values)).max() <= quantum * (1 + 1e-5)


STEPS = ["Conv", "Depthwise", "Relu", "Clip", "Sigmoid", "MaxPool", "AveragePool", "Padded", "linear", "cubic"]
STEPS += ["Add", "Mul", "Concat", "Gate"]


class Net:
    """A random small graph: each step reads one or two of the tensors so far, all of them (1, CHANNELS, SIDE, SIDE)."""

    def __init__(self, steps: list[tuple[str, int, int]], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.constants = {"zero": np.float32(0), "six": np.float32(6), "axes": np.array([2, 3], np.int64)}
        self.constants |= {name: np.array([1, 1, f, f], np.float32) for name, f in (("half", 0.5), ("double", 2))}
        self.nodes: list[object] = []
        tensors = ["x"]
        for step, first, second in steps:
            x, y = (tensors[index % len(tensors)] for index in (-1 - first, -1 - second))
            tensors.append(self.step(step, x, y))
        self.conv(tensors[-1], output="logits")

    def model(self) -> ir.Model:
        shape = [1, CHANNELS, SIDE, SIDE]
        ends = ([("x", TensorProto.FLOAT, shape)], [("logits", TensorProto.FLOAT, shape)])
        return ir.from_proto(onnx_model(self.nodes, *ends, self.constants))

    def node(self, op: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], f"n{len(self.nodes)}", **attributes))
        return output

    def conv(self, x: str, inputs: int = CHANNELS, kernel: int = 3, group: int = 1, output: str = "") -> str:
        name = f"w{len(self.nodes)}"
        weight = self.rng.normal(0, 0.3, (CHANNELS, inputs // group, kernel, kernel))
        self.constants[name] = weight.astype(np.float32)
        self.constants[f"{name}.b"] = self.rng.normal(size=CHANNELS).astype(np.float32)
        return self.node("Conv", [x, name, f"{name}.b"], output, pads=[kernel // 2] * 4, group=group)

    def step(self, step: str, x: str, y: str) -> str:
        if step in ("Conv", "Depthwise"):
            return self.conv(x, group=CHANNELS if step == "Depthwise" else 1)
        if step == "Clip":
            return self.node("Clip", [x, "zero", "six"])
        if step in ("MaxPool", "AveragePool", "Padded"):
            counted = {"count_include_pad": 1} if step == "Padded" else {}
            pool = "MaxPool" if step == "MaxPool" else "AveragePool"
            return self.node(pool, [x], kernel_shape=[3, 3], pads=[1] * 4, **counted)
        if step in ("linear", "cubic"):
            small = self.node("Resize", [x, "", "half"], mode="nearest")
            return self.node("Resize", [small, "", "double"], mode=step)
        if step == "Concat":
            return self.conv(self.node("Concat", [x, y], axis=1), 2 * CHANNELS, kernel=1)
        if step == "Gate":
            mean = self.node("ReduceMean", [x, "axes"], keepdims=1)
            return self.node("Mul", [x, self.node("Sigmoid", [self.conv(mean, kernel=1)])])
        return self.node(step, [x, y] if step in ("Add", "Mul") else [x])


def seen_scales(model: ir.Model, x: np.ndarray) -> dict[str, float]:
    """The scales that calibrating on `x` alone gives."""
    core = core_from_model(model)
    values = [value for value in core.activations() if value is not core.input]
    model.graph.outputs.extend(value for value in values if not value.is_graph_output())
    names = [str(value.name) for value in model.graph.outputs]
    largest = {name: float(np.abs(array).max()) for name, array in zip(names, run(model, {"x": x}), strict=True)}
    largest["x"] = float(np.abs(x).max())
    sources = {str(value.name): str(scale_source(value, core).name) for value in core.activations()}
    return {name: scale_from_range(Range(0, largest[source])) for name, source in sources.items()}


def rest_of(model: ir.Model) -> list[str]:
    """What is left of a graph without its pairs."""
    for pair in list(pairs(model)):
        for node, index in pair.dequantize.outputs[0].uses():
            node.replace_input_with(index, pair.tensor)
        model.graph.remove([pair.dequantize, pair.quantize], safe=True)
    return [str(node) for node in ir.to_proto(model).graph.node]


steep = np.where(np.arange(SIDE) < SIDE // 2, -8, 8).astype(np.float32) * np.ones((1, CHANNELS, SIDE, 1), np.float32)
small_nets = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(steps=small_nets, seed=st.integers(0, 99), x=picture)
@example(steps=[("Relu", 0, 0), ("cubic", 0, 0), ("Conv", 0, 0)], seed=0, x=steep)
@example(steps=[("Conv", 0, 0), ("Concat", 0, 1), ("Gate", 0, 0), ("Depthwise", 0, 0), ("Add", 0, 1)], seed=0, x=steep)
def test_a_lowered_file_gives_canonical_values_within_one_quantum(target, steps, seed, x):
    net, layout = Net(steps, seed), TARGETS[target]
    scales = seen_scales(net.model(), x)
    canonical, lowered = (quantize_canonical(net.model(), scales) for _ in range(2))
    if layout is not None:
        lower_qdq(lowered, layout, scales)
    found = list(pairs(lowered))
    assert all(reads_codes(node) for node in lowered.graph if node.op_type == "Conv" and is_int8(node))
    ends = [(str(pair.tensor.name), str(pair.dequantize.outputs[0].name)) for pair in found]
    for name, (before, after) in zip((str(pair.tensor.name) for pair in found), values_of(lowered, ends, x)):
        as_int8 = np.clip(np.round(before / np.float32(scales[name])), -128, 127) * scales[name]
        # half a canonical quantum and half a lowered one (at most as large); 1e-5: float32 rounding of the product
        assert np.abs(after - as_int8).max() <= scales[name] * (1 + 1e-5), name
    assert rest_of(lowered) == rest_of(canonical)


def reads_codes(node: ir.Node) -> bool:
    """Whether what enters `node` comes out of a pair, at once or through what only moves values."""
    producer = node.inputs[0].producer()
    while producer is not None and producer.op_type in SHAPE_ONLY_OPS:
        producer = producer.inputs[0].producer()
    return producer is not None and producer.op_type == DEQUANTIZE


def values_of(model: ir.Model, ends: list[tuple[str, str]], x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """What goes into each pair of `model` and what comes out, as ONNX Runtime runs the whole file on `x`."""
    kept = list(model.graph.outputs)
    values = {str(value.name): value for node in model.graph for value in node.outputs}
    wanted = list(dict.fromkeys(["logits", *(name for end in ends for name in end if name != "x")]))
    model.graph.outputs[:] = [values[name] for name in wanted]
    results = {"x": x, **dict(zip(wanted, run(model, {"x": x}), strict=True))}
    model.graph.outputs[:] = kept
    return [(results[before], results[after]) for before, after in ends]


def through(pair, values: np.ndarray) -> np.ndarray:
    """What a pair makes of `values`, by the definition in the ONNX standard."""
    scale, zero = (constant(value) for value in pair.quantize.inputs[1:3])
    limits = np.iinfo(zero.dtype)
    codes = np.clip(np.round(values / scale) + zero.astype(int), limits.min, limits.max)
    return (codes - zero.astype(int)) * scale


@given(st.floats(1e-6, 1e3), st.booleans())
def test_both_encodings_end_at_the_same_largest_value(scale, non_negative):
    encoding = unsigned_encoding(scale, non_negative=non_negative)
    assert (255 - encoding.zero_point) * encoding.scale == pytest.approx(127 * scale)


def residual(layout: Layout) -> ir.Model:
    model = ir.from_proto(residual_model())
    found = {str(value.name): 0.03 for value in core_from_model(model).activations()}
    return lower_qdq(quantize_canonical(model, found, levels=NARROW_LEVELS), layout, found)


@pytest.mark.parametrize("target", [name for name, layout in TARGETS.items() if layout is not None])
def test_a_lowered_graph_is_unsigned_throughout(target):
    encodings = {str(pair.tensor.name): constant(pair.quantize.inputs[2]) for pair in pairs(residual(TARGETS[target]))}
    assert {zero.dtype for zero in encodings.values()} == {np.dtype(np.uint8)}
    assert encodings["both"] == 0  # a concatenation of a ReLU and a pooled ReLU
    assert encodings["gated"] == 0  # ReLU times sigmoid
    assert encodings["picture"] == encodings["large"] == 128


def test_onnx_runtime_fuses_every_quantised_node(tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    data = ir.to_proto(residual(TARGETS["onnxruntime"])).SerializeToString()
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in ir.load(tmp_path / "optimised.onnx").graph)
    assert found["QLinearConv"] == 7
    assert found["QLinearAdd"] == found["QLinearConcat"] == found["QLinearMul"] == found["QLinearAveragePool"] == 1
    assert found["Conv"] + found["FusedConv"] == 2  # gate and logits
    # into integers: picture, gate, resized; out of them: into the gate, the resize and the logits convolution
    assert found["QuantizeLinear"] in (2, 3)  # ONNX Runtime 1.23 saves one
    assert found["DequantizeLinear"] in (2, 3)


def test_onnx_runtime_computes_what_the_graph_says():
    model = residual(TARGETS["onnxruntime"])
    plain = run(model, {"rgb": frames(1)})[0]
    fused = run(model, {"rgb": frames(1)}, "ORT_ENABLE_ALL")[0]
    # fused kernels round once where the graph rounds twice: a few codes move by one, of 255
    assert np.abs(plain - fused).max() < 0.05 * np.abs(plain).max()


def test_openvino_computes_what_the_graph_says_and_in_int8():
    pytest.importorskip("openvino")
    model = residual(TARGETS["openvino"])
    expected = run(model, {"rgb": frames(1)})[0]
    core = openvino_core()
    read = core.read_model(ir.to_proto(model).SerializeToString())
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled({0: frames(1)})[0]
    # as above; the padded AveragePool of signed codes alone would be wrong by 0.66
    assert np.sqrt(((found - expected) ** 2).mean() / (expected**2).mean()) < 0.02
    layers = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    kinds = Counter(info["runtimePrecision"].astype(str) for info in layers if "Conv" in info["layerType"].astype(str))
    assert kinds["u8"] + kinds["i8"] == 7


def test_nodes_with_float_inputs_read_past_the_pair():
    model = residual(Layout(inputs=frozenset({"AveragePool"}), float_inputs=frozenset({"AveragePool"})))
    pool = next(node for node in model.graph if node.op_type == "AveragePool")
    assert pool.inputs[0].name == "signed"
