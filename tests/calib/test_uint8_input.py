"""The first convolutions read the frame's uint8 pixels: the same network without rounding of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper
from small_onnx import SPEC, frames, onnx_model

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.placement import placement_from_model
from edgeseg.calib.quantize import Method, quantized_model
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.calib.uint8_input import fold_normalisation
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.spec import Precision

HEIGHT, WIDTH = 32, 64  # those of `frames`
MEANS = {"none": None, "one": [100.0], "by channel": [123.7, 116.3, 103.5], "whole": [124.0, 116.0, 104.0]}
SCALES = {"none": (), "Mul": [0.017, 0.018, 0.0175], "Div": [58.0, 57.0, 57.5]}


def network(mean="by channel", scale="Mul", bgr=False, pool=False, group=1, bias=True, seed=0):
    """rgb (1, H, W, 3) to logits by three convolutions; the first weights are whole numbers up to 127 by channel."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-126, 127, (6, 3 // group, 3, 3)).astype(np.float32)
    weight[:, 0, 1, 1] = 127
    factor = np.ones(3) if scale == "none" else np.array(SCALES[scale]) ** (1 if scale == "Mul" else -1)
    columns = factor if group == 1 else np.repeat(factor, 2)[:, None]
    constants = {
        "order": np.array([2, 1, 0], np.int64),
        "w": (weight * 1e-3 / columns.reshape(1 if group == 1 else 6, -1, 1, 1)).astype(np.float32),
        "b": rng.normal(0, 1, 6).astype(np.float32),
        "u": rng.normal(0, 0.1, (6, 6, 1, 1)).astype(np.float32),
        "v": rng.normal(0, 0.1, (4, 6, 1, 1)).astype(np.float32),
    }
    steps = [("Cast", [], {"to": TensorProto.FLOAT}), ("Transpose", [], {"perm": [0, 3, 1, 2]})]
    if bgr:
        steps.append(("Gather", ["order"], {"axis": 1}))
    for operator, values in (("Sub", MEANS[mean]), (scale, SCALES[scale])):
        if values:
            constants[operator] = np.array(values, np.float32).reshape(1, -1, 1, 1)
            steps.append((operator, [operator], {}))
    names = ["rgb", *(f"f{i}" for i in range(len(steps)))]
    nodes = [helper.make_node(op, [names[i], *more], [names[i + 1]], op, **attributes)
             for i, (op, more, attributes) in enumerate(steps)]  # fmt: skip
    inputs = [names[-1], "w", *(["b"] if bias else [])]
    nodes += [
        helper.make_node("Conv", inputs, ["c"], "first", pads=[1] * 4, group=group),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "u"], ["s"], "second"),
        helper.make_node("Conv", ["s", "v"], ["logits"], "last"),
    ]
    outputs = [("logits", TensorProto.FLOAT, [1, 4, HEIGHT, WIDTH])]
    if pool:
        nodes.insert(-1, helper.make_node("AveragePool", [names[-1]], ["half"], "half", kernel_shape=[2, 2]))
        outputs.append(("half", TensorProto.FLOAT, None))
    return ir.from_proto(onnx_model(nodes, [("rgb", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])], outputs, constants))


def run(model: ir.Model, frame: np.ndarray, *, name: str = "c") -> np.ndarray:
    """The tensor `name`, computed as the graph is written."""
    copy = ir.from_proto(ir.to_proto(model))
    copy.graph.outputs[:] = [next(v for n in copy.graph for v in n.outputs if v.name == name)]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(copy).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(
        None, {"rgb": frame[None]}
    )[0]


def table_of(model: ir.Model) -> RangeTable:
    """Wide ranges, and zero means by channel of what enters a convolution."""
    channels = {1: ChannelStats(np.zeros(3, np.float32), np.ones(3, np.float32))}
    ids = tensor_ids(model)
    first = next(iter(ids))
    rows = {}
    for name, key in ids.items():
        most = 40 if name == first else 250
        rows[key] = TensorStats(name, -most, most, Histogram(), channels=channels[1] if name == first else None)
    return RangeTable(graph_id(model), "small", 1, "", rows)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bgr", [False, True])
def test_the_network_is_the_same_but_for_parts_of_a_grey_level(mean: str, scale: str, bgr: bool) -> None:
    """Its border is the mean colour in whole bytes."""
    model = network(mean, scale, bgr, bias=bgr)
    copy, table = fold_normalisation(model, table_of(model), placement_from_model(model))
    assert table.graph_id == graph_id(copy)
    frame = frames(1)[0]
    ours, theirs = run(copy, frame), run(model, frame)
    inside = np.s_[..., 1:-1, 1:-1]
    tolerance = 1e-5 * np.abs(theirs).max()  # float32 sums of 27 products
    assert np.abs(ours - theirs)[inside].max() < tolerance
    colour = np.array(MEANS[mean] or [0.0])
    off = np.abs(colour.round() - colour).max()  # grey levels that the border is off
    assert np.abs(ours - theirs).max() <= off * 0.127 * 3 * 5 + tolerance  # a corner has 5 taps outside, 3 channels


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("mean", ["none", "one", "whole"])
@pytest.mark.parametrize("bgr", [False, True])
def test_the_codes_are_the_bytes_and_nothing_is_rounded(bgr: bool, target: str, mean: str, scale: str) -> None:
    """The weights are multiples of their scale, so int8 could only lose precision of the image before the sum."""
    model = network(mean, scale, bgr)
    made = quantized_model(model, table_of(model), Method("minmax", weight_bits=8), target=target)
    before = operators(made)[: operators(made).index("Conv")]
    assert not {"Cast", "Gather", "Sub", "Mul", "QuantizeLinear"} & set(before)
    assert not {"order", "Sub", "Mul"} & set(made.graph.initializers)
    frame = frames(1)[0]
    ours, theirs = run(made, frame), run(model, frame)
    assert np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()  # float32 sums of 27 products
    normalised = quantized_model(
        model, table_of(model), Method("minmax", weight_bits=8, uint8_input=False), target=target
    )
    rounded = "Mul" in operators(normalised) or "Div" in operators(
        normalised
    )  # otherwise the codes are the pixels anyway
    assert not rounded or np.abs(run(normalised, frame) - theirs).max() > 1e-3 * np.abs(theirs).max()


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_the_rounding_of_the_folded_weight_is_corrected(target: str) -> None:
    """The mean of the output stays with other weights too, because the image's row of the table is transformed."""
    model = network("by channel", "Mul")
    noisy = np.random.default_rng(1).normal(0, 1, (6, 3, 3, 3)).astype(np.float32)
    next(node for node in model.graph if node.name == "first").inputs[1].const_value = ir.tensor(noisy, name="w")
    frame = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    means = run(model, frame, name="f3").mean(axis=(0, 2, 3))
    table = table_of(model)
    key = tensor_ids(model)["f3"]
    channels = ChannelStats(means.astype(np.float32), np.full(3, 3, np.float32))
    rows = {**table.tensors, key: TensorStats("f3", -3, 3, Histogram(), channels=channels)}
    table = RangeTable(table.graph_id, "small", 1, "", rows)
    outputs = [
        run(quantized_model(model, table, method, target=target), frame)[..., 1:-1, 1:-1].mean((0, 2, 3))
        for method in (Method("minmax", weight_bits=8), Method("minmax", bias_correction=True))
    ]
    uncorrected, corrected = (
        np.abs(each - run(model, frame)[..., 1:-1, 1:-1].mean((0, 2, 3))).mean() for each in outputs
    )
    assert corrected < uncorrected / 3


@pytest.mark.parametrize("target", ["onnxruntime", "openvino", "canonical"])
@pytest.mark.parametrize("case", ["pool", "group", "float", "alone", "canonical"])
def test_graphs_that_are_left_unchanged(case: str, target: str) -> None:
    model = network(pool=case == "pool", group=3 if case == "group" else 1)
    stays = frozenset({"float": {"first"}, "alone": {"second", "last"}}.get(case, set()))
    target = "canonical" if case == "canonical" else target
    made = quantized_model(model, table_of(model), Method("minmax", weight_bits=8), target=target, float_nodes=stays)
    assert operators(made)[:4] == ["Cast", "Transpose", "Sub", "Mul"]


@pytest.mark.parametrize("mean", ["by channel", "none"])
def test_what_openvino_reads_is_int8_and_nearer_to_the_float_network(mean: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model, frame = network(mean), frames(1)
    errors = {}
    for codes in (False, True):
        method, stays = Method("minmax", uint8_input=codes), frozenset({"last"})
        made = quantized_model(model, table_of(model), method, target="openvino", float_nodes=stays)
        quantised = Artifact(tmp_path / f"{codes}.onnx", SPEC, precision=Precision.INT8)
        write_onnx(ir.to_proto(made), quantised)
        built = engine_from_onnx(quantised.path, "openvino", out_dir=tmp_path / str(codes))
        assert [(each.requested, each.obtained) for each in built.layers if each.name == "first"] == [("int8", "int8")]
        with open_engine("openvino").open(built, RunOptions(threads=1)) as backend:
            errors[codes] = np.abs(backend.infer({"rgb": frame})["logits"] - run(model, frame[0], name="logits")).mean()
    assert errors[True] < errors[False] / 3  # what is left is the rounding behind the first convolution
