"""What the gate says of nets that are broken, constant or spoilt by quantising: the layer and the cause."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from residual_onnx import quantised, residual_onnx
from small_onnx import SPEC, float_onnx, frames, onnx_model, small_model

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import ALTERNATIVES
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.diagnose import NAME_REFERENCE, RECALIBRATE, ROUNDING_ALONE, FailingLayer, diagnose
from edgeseg.errors import AgreementError
from edgeseg.graph.truncate import data_flow, node_of
from edgeseg.spec import Output, Precision

pytest.importorskip("onnxruntime")
pytest.importorskip("polygraphy.comparator", reason="the search for a layer rests on Polygraphy")


def changed_weights(source: Artifact, **changes: Any) -> Artifact:
    """`source` with other constants, by name."""
    model = read_onnx(source.path)
    for constant in model.graph.initializer:
        if constant.name in changes:
            values = changes[constant.name](numpy_helper.to_array(constant).copy())
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    write_onnx(model, source)
    return source


def with_nan(values: np.ndarray) -> np.ndarray:
    values.flat[0] = np.nan
    return values


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_weight_that_is_not_a_number_is_named(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    damaged = changed_weights(float_onnx(tmp_path), w1=with_nan)
    with pytest.raises(AgreementError) as caught:
        engine_from_onnx(damaged.path, engine, out_dir=tmp_path / "out", frames=frames(2))
    assert caught.value.code == "ES-AGREEMENT-ONNX"
    assert caught.value.message.startswith(f"small.{engine}.fp32.onnx ")
    assert "conv1 (Conv): its constant w1 " in caught.value.message


@pytest.mark.parametrize("output", list(Output))
def test_one_class_everywhere_is_noted_and_logged(
    output: Output, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    constant = changed_weights(float_onnx(tmp_path, output), b2=lambda b: b + 1000 * np.arange(5, dtype=np.float32))
    built = engine_from_onnx(constant.path, "onnxruntime", out_dir=tmp_path / "out", frames=frames(2))
    assert built.agreement.note.startswith("every pixel is class 4")
    assert built.agreement.labels == 1.0
    assert caplog.messages == [f"small.onnxruntime.fp32.onnx: {built.agreement.note}"]


def test_classes_that_differ_leave_no_note(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    built = engine_from_onnx(float_onnx(tmp_path).path, "onnxruntime", out_dir=tmp_path / "out", frames=frames(2))
    assert set(built.agreement.to_dict()) == {
        *("source_labels", "source_relative_rms", "frames", "labels", "max_abs_logit_difference"),
    }
    assert caplog.messages == []


def lossy(int8: Artifact, reference: Artifact, out: Path) -> AgreementError:
    """The error of an engine that computes `int8` rightly, which quantising spoilt."""
    with pytest.raises(AgreementError) as caught:
        engine_from_onnx(int8.path, "onnxruntime", out_dir=out, reference=reference.path, frames=frames(2, seed=7))
    return caught.value


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (0.02, r"\d\d% of the values of tensor fuse\.relu "),
        (200.0, r"tensor fuse\.relu uses fewer than 16 "),
    ],
)
def test_a_range_of_other_pictures_is_named(
    factor: float, reason: str, residual: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    int8 = quantised(residual, table, "onnxruntime")
    changed_weights(int8, **{"fuse.relu_scale": lambda scale: scale * np.float32(factor)})
    error = lossy(int8, residual, tmp_path / "out")
    assert error.code == "ES-AGREEMENT"
    assert re.search(r" \d\d\.\d% .* 95% ", error.message)
    assert re.search(rf"depthwise/Conv \(Conv\) .* -?\d+ dB: {reason}", error.message)
    assert error.hint == f"{RECALIBRATE}; {ALTERNATIVES}"


def test_a_tensor_that_was_zero_when_calibrated_is_named(residual: Artifact, table: RangeTable, tmp_path: Path) -> None:
    int8 = quantised(residual, table, "onnxruntime")
    changed_weights(int8, **{"fuse.relu_scale": lambda scale: np.array(1, np.float32)})
    model = ir.from_proto(read_onnx(int8.path))
    cause = diagnose(failing(int8, "depthwise", reference=residual, inputs={"fuse.relu": np.ones(4)}))
    assert node_of(model, "depthwise").name == "depthwise/Conv"
    assert cause.sentence.startswith("tensor fuse.relu was zero ")
    assert cause.hint == RECALIBRATE


def test_equalised_channels_are_not_held_against_the_float_ones_by_name(
    residual: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    """Equalising scales channels up in one layer and down in the next."""
    int8 = quantised(residual, table, "onnxruntime")
    changed_weights(int8, **{"fuse.relu_scale": lambda scale: scale * np.float32(0.02)})
    ranges = dataclasses.replace(int8.provenance.ranges, corrections=("equalize",))
    marked = dataclasses.replace(int8, provenance=dataclasses.replace(int8.provenance, ranges=ranges))
    write_onnx(read_onnx(int8.path), marked)
    assert "fuse.relu are clipped" in lossy(marked, residual, tmp_path / "out").message


def test_a_reference_that_was_not_quantised_is_named(residual: Artifact, table: RangeTable, tmp_path: Path) -> None:
    other = residual_onnx(tmp_path, "other.onnx", seed=9)
    error = lossy(quantised(residual, table, "onnxruntime"), other, tmp_path / "out")
    assert "other.onnx is not the ONNX that was quantised" in error.message
    assert error.hint == NAME_REFERENCE


def test_a_float_engine_unlike_its_reference_has_another_model_as_reference(tmp_path: Path) -> None:
    other = dataclasses.replace(float_onnx(tmp_path), path=tmp_path / "other.onnx")
    write_onnx(small_model(seed=5), other)
    with pytest.raises(AgreementError) as caught:
        engine_from_onnx(
            other.path, "onnxruntime", out_dir=tmp_path / "out", reference=tmp_path / "float.onnx", frames=frames(2)
        )
    assert "--reference" in caught.value.hint


def failing(
    source: Artifact, tensor: str, values: Any = 1.0, engine: str = "onnxruntime", **options: Any
) -> FailingLayer:
    model = ir.from_proto(read_onnx(source.path))
    data_flow(model)
    return FailingLayer(open_engine(engine), source, node_of(model, tensor), np.asarray(values, np.float32), **options)


def test_values_beyond_float16_are_named(tmp_path: Path) -> None:
    cause = diagnose(failing(float_onnx(tmp_path), "c1", [1.0, -70000.0]))
    assert "65504" in cause.sentence
    assert "70000" in cause.sentence
    nodes = [
        helper.make_node("Cast", ["rgb"], ["half"], "cast", to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "thousand"], ["large"], "enlarge"),
    ]
    inputs, outputs = [("rgb", TensorProto.UINT8, [1, 4, 6, 3])], [("large", TensorProto.FLOAT16, [1, 4, 6, 3])]
    half = Artifact(tmp_path / "half.onnx", SPEC, Precision.FP16)
    write_onnx(onnx_model(nodes, inputs, outputs, {"thousand": np.array(1000, np.float16)}), half)
    assert "infinity" in diagnose(failing(half, "large", np.inf)).sentence


def test_a_border_averaged_with_codes_is_known_of_openvino_alone(residual: Artifact, table: RangeTable) -> None:
    pytest.importorskip("openvino")
    int8 = quantised(residual, table, "canonical")
    model = read_onnx(int8.path)
    pool = next(node for node in model.graph.node if node.op_type == "AveragePool")
    pool.input[0] = "fuse.relu_dequantized"
    write_onnx(model, int8)
    assert "averages a border" in diagnose(failing(int8, "smooth", engine="openvino")).sentence
    cause = diagnose(failing(int8, "smooth"))
    assert "canonical" in cause.sentence
    assert "--target onnxruntime" in cause.hint


def test_a_handful_of_images_is_blamed_before_rounding_itself(residual: Artifact, table: RangeTable) -> None:
    int8 = quantised(residual, dataclasses.replace(table, images=3), "onnxruntime")
    wide = {"fuse.relu": np.linspace(0, 1, 9, dtype=np.float32) * table_maximum(table, "fuse.relu")}
    cause = diagnose(failing(int8, "depthwise", reference=residual, inputs=wide))
    assert "3 images" in cause.sentence
    many = quantised(residual, table, "onnxruntime")
    cause = diagnose(failing(many, "depthwise", reference=residual, inputs=wide))
    assert cause.sentence == ROUNDING_ALONE


def table_maximum(table: RangeTable, name: str) -> float:
    return next(stats.maximum for stats in table.tensors.values() if stats.name == name) * 0.9
