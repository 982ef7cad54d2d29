from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from residual_onnx import residual_onnx
from small_cli import runner
from small_onnx import frames, onnx_model

from edgeseg.artifact import write_onnx
from edgeseg.calib.cache import calibration_cache_from_ranges, hex_from_float, int8_tensors
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.placement import CACHES
from edgeseg.calib.quantize import scales_from_table
from edgeseg.commands.quantize import write_opset17
from edgeseg.errors import MismatchError
from edgeseg.graph.core import core_from_model
from edgeseg.spec import Output


def scales_from_cache(text: str) -> dict[str, float]:
    """Tensor name -> scale of the lines after the first."""
    lines = (line.rpartition(": ") for line in text.splitlines()[1:])
    return {name: struct.unpack(">f", bytes.fromhex(bits))[0] for name, _, bits in lines}


@pytest.mark.parametrize(
    ("value", "bits"),
    [(1.0, "3f800000"), (0.5, "3f000000"), (1 / 127, "3c010204"), (2.0**-126, "00800000")],
)
def test_known_bits(value, bits):
    assert hex_from_float(value) == bits


def test_every_line_is_a_tensor_of_the_onnx_and_its_scale(residual, table):
    text = calibration_cache_from_ranges(residual.path, table, observer="minmax")
    first, *rest = text.splitlines()
    assert first == "TRT-8601-EntropyCalibration2"
    assert text.endswith("\n")
    assert all(re.fullmatch(r"[\w.]+: [0-9a-f]{8}", line) for line in rest)
    model = ir.load(residual.path)
    scales = scales_from_table(model, table, "minmax")
    for name, scale in scales_from_cache(text).items():
        assert scale == np.float32(scales[name])
    rows = {stats.name: stats for stats in table.tensors.values()}
    assert scales_from_cache(text)["stem.relu"] == np.float32(rows["stem.relu"].absmax / 127)


def test_the_lines_are_in_the_order_of_the_graph_and_what_stays_float_has_none(residual, table):
    names = scales_from_cache(calibration_cache_from_ranges(residual.path, table))
    core = [str(value.name) for value in core_from_model(ir.load(residual.path)).activations()]
    # the gate is a single position; tensors before the normalised image have no range
    assert list(names) == [name for name in core if name not in ("squeeze", "gate", "gate.sigmoid", "logits")]
    assert list(names)[:4] == ["picture", "stem", "stem.relu", "left"]


def test_named_nodes_stay_float(residual, table):
    head = frozenset({"head/Conv"})
    names = scales_from_cache(calibration_cache_from_ranges(residual.path, table, float_nodes=head))
    assert "head" not in names
    assert "head.relu" not in names
    assert "signed" in names


def test_a_mask_has_no_lines_behind_the_logits(tmp_path, table):
    mask = residual_onnx(tmp_path, "mask.onnx", width=96, height=64, output=Output.MASK)
    names = scales_from_cache(calibration_cache_from_ranges(mask.path, table))
    assert not {"logits", "enlarged", "mask"} & set(names)
    assert len(names) == 20


def test_attention_stays_float_between_its_matrix_products():
    tokens, width = 6, 4
    rng = np.random.default_rng(0)
    constants = {name: rng.normal(size=(width, width)).astype(np.float32) for name in ("wq", "wk", "wp", "wh")}
    constants |= {"gamma": np.ones(width, np.float32), "half": np.float32(0.5)}
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gamma"], ["normed"]),
        helper.make_node("MatMul", ["normed", "wq"], ["q"]),
        helper.make_node("MatMul", ["normed", "wk"], ["k"]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Mul", ["scores", "half"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["shares"]),
        helper.make_node("MatMul", ["shares", "k"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "wp"], ["projected"]),
        helper.make_node("Add", ["projected", "x"], ["stream"]),
        helper.make_node("MatMul", ["stream", "wh"], ["logits"]),
    ]
    shape = [1, tokens, width]
    ends = [("x", TensorProto.FLOAT, shape)], [("logits", TensorProto.FLOAT, shape)]
    model = ir.from_proto(onnx_model(nodes, *ends, constants))
    # "mixed" and "normed" enter a quantised product; nothing of the attention or the normalisation has both sides
    assert [value.name for value in int8_tensors(model)] == ["normed", "q", "k", "kt", "mixed", "projected"]


@pytest.mark.parametrize("release", CACHES)
def test_each_release_has_a_first_line_of_its_own(residual, table, release):
    text = calibration_cache_from_ranges(residual.path, table, version=CACHES[release])
    major, minor = release.removeprefix("tensorrt").split(".")
    assert re.match(rf"TRT-{major}{minor}\d\d-EntropyCalibration2\n", text)


def test_a_table_of_another_network(tmp_path, table):
    other = residual_onnx(tmp_path, "other.onnx", seed=3)
    with pytest.raises(MismatchError) as error:
        calibration_cache_from_ranges(other.path, table)
    assert error.value.code == "ES-RANGES-OTHER"


def test_the_command_writes_it_beside_the_onnx(tmp_path, residual, monkeypatch, capfd):
    table = ranges_from_images(residual.path, frames(8)).write(tmp_path / "ranges.json")
    run = runner(monkeypatch, capfd)
    result = run("quantize", residual.path, "--ranges", table, "--target", "tensorrt8.5", "--json").json()
    assert Path(result["cache"]).read_text().startswith("TRT-8502-EntropyCalibration2\n")
    output = run("quantize", residual.path, "--ranges", table, "--target", "tensorrt8.5").err
    older = residual.path.with_name(f"{residual.path.stem}.tensorrt8.5.onnx")
    assert f"trtexec --onnx={older} --int8 --fp16 --calib={result['cache']}" in output
    model = ir.load(older)
    assert model.opset_imports[""] == 17
    names = {value.name for node in model.graph for value in node.outputs}
    assert set(scales_from_cache(Path(result["cache"]).read_text())) <= names


def test_an_operator_that_tensorrt_8_5_does_not_read_is_named(tmp_path, residual):
    weights = {"scale": np.ones(4, np.float32), "shift": np.zeros(4, np.float32)}
    nodes = [helper.make_node("LayerNormalization", ["x", "scale", "shift"], ["logits"], "norm")]
    ends = [("x", TensorProto.FLOAT, [1, 4, 4, 4])], [("logits", TensorProto.FLOAT, [1, 4, 4, 4])]
    path = tmp_path / "normed.onnx"
    write_onnx(onnx_model(nodes, *ends, weights), dataclasses.replace(residual, path=path))
    assert write_opset17(path, "tensorrt8.6").exists()
    with pytest.raises(MismatchError, match="LayerNormalization"):
        write_opset17(path, "tensorrt8.5")
