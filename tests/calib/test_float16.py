"""FP16 files: their provenance, and what stays float32 because float16 cannot represent it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from residual_onnx import residual_onnx
from small_onnx import frames

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.float16 import SAFE_ABSMAX, fp16_from_ranges, listed
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import FP16_MAX, RangeTable
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import sha256_from_file
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.spec import Output, Precision


def scaled(folder: Path, **factors: float) -> Artifact:
    """The network with these constants multiplied: `project_w` is "project.w"."""
    artifact = residual_onnx(folder, "scaled.onnx")
    model = read_onnx(artifact.path)
    for tensor in model.graph.initializer:
        factor = factors.get(tensor.name.replace(".", "_"), 1)
        if factor != 1:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), tensor.name))
    write_onnx(model, artifact)
    return artifact


def huge_inside(folder: Path) -> Artifact:
    """The network with values of up to 2e5 after its depthwise convolution, and the former ones after the next."""
    return scaled(folder, depthwise_w=4e4, depthwise_b=4e4, project_w=1 / 4e4)


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """The outputs by the ONNX reference: a runtime on a CPU computes float16 in float32."""
    evaluator = ReferenceEvaluator(str(path))
    with np.errstate(all="ignore"):
        return np.concatenate([evaluator.run(None, {"rgb": image[None]})[0] for image in images])


def fp16_of(source: Artifact, table: RangeTable | None, name: str = "half.onnx") -> tuple[Artifact, list[Diagnostic]]:
    warnings: list[Diagnostic] = []
    artifact = fp16_from_ranges(source.path, table, out=source.path.with_name(name), warn=warnings.append).artifact
    return artifact, warnings


def float_nodes(path: Path) -> set[str]:
    model = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True))
    return {str(node.name) for node in model.graph if node.outputs[0].dtype == ir.DataType.FLOAT}


AROUND = {"float/Cast", "planar/Transpose", "centred/Sub", "picture/Mul", "logits/Cast"}  # float32 in every file


def test_the_file_records_its_provenance(residual, table):
    artifact, warnings = fp16_of(residual, table)
    assert warnings == []
    assert artifact == Artifact.open(artifact.path)
    assert (artifact.precision, artifact.output, artifact.spec) == (Precision.FP16, Output.LOGITS, residual.spec)
    ranges = {"images": 8, "images_sha256": table.images_sha256}
    origin = {"onnx_sha256": sha256_from_file(residual.path), "ranges": ranges, "target": "tensorrt"}
    assert artifact.provenance.to_dict() == {"weights": "seed 0", **origin}


@pytest.mark.parametrize("output", Output)
def test_it_gives_the_labels_of_the_float_graph(tmp_path, table, output):
    source = residual_onnx(tmp_path, "other.onnx", output=output)
    artifact, _ = fp16_of(source, table)
    expected, actual = (run(path, frames(4, seed=7)) for path in (source.path, artifact.path))
    if output is Output.LOGITS:
        expected, actual = expected.argmax(1), actual.argmax(1)
    assert (expected == actual).mean() >= 0.999
    assert artifact.path.stat().st_size < 0.75 * source.path.stat().st_size  # half, and what is not weights


def test_values_near_the_limit_of_float16_stay_float(tmp_path):
    source = huge_inside(tmp_path)
    table = ranges_from_images(source.path, frames(8))
    artifact, (warning,) = fp16_of(source, table)
    large = {"depthwise/Conv", "depthwise.relu/Relu", "project/Conv"}
    assert float_nodes(artifact.path) - AROUND >= large
    assert "fuse/Conv" not in float_nodes(artifact.path)
    assert warning.code == "fp16-overflow"
    assert "depthwise, depthwise.relu" in warning.message
    images = frames(4, seed=7)
    expected = run(source.path, images)
    # ten layers that round to 2**-11 each; a value that overflowed would be nan or far off
    assert np.abs(run(artifact.path, images) - expected).max() < 0.005 * np.abs(expected).max()
    unchecked, _ = fp16_of(source, None, "unchecked.onnx")
    assert not np.isfinite(run(unchecked.path, images)).all()


def test_a_tensor_just_below_the_limit_becomes_half(residual, table):
    def with_absmax(value: float) -> RangeTable:
        rows = {
            key: dataclasses.replace(row, maximum=value) if row.name == "fuse" else row
            for key, row in table.tensors.items()
        }
        return dataclasses.replace(table, tensors=rows)

    below, warnings = fp16_of(residual, with_absmax(SAFE_ABSMAX), "below.onnx")
    assert (float_nodes(below.path), warnings) == (AROUND, [])
    above, (warning,) = fp16_of(residual, with_absmax(np.nextafter(SAFE_ABSMAX, np.inf)), "above.onnx")
    assert {"fuse/Conv", "fuse.relu/Relu"} <= float_nodes(above.path)
    assert "65504" in warning.message
    assert SAFE_ABSMAX == FP16_MAX / 4


def test_without_a_table_a_warning_is_logged(residual, caplog):
    artifact = fp16_from_ranges(residual.path, None, out=residual.path.with_name("half.onnx"))
    assert artifact.provenance.ranges is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "edgeseg calibrate residual.onnx --images DIR" in record.message


def test_weights_that_float16_cannot_hold_are_named(tmp_path):
    source = scaled(tmp_path, fuse_w=1e-8, left_w=1e6)
    artifact, warnings = fp16_of(source, ranges_from_images(source.path, frames(8)))
    assert {"fuse/Conv", "left/Conv"} <= float_nodes(artifact.path)
    message = next(warning.message for warning in warnings if warning.code == "fp16-weights")
    assert "left/Conv, fuse/Conv" in message


def test_a_table_of_another_network(tmp_path, table):
    other = residual_onnx(tmp_path, "other.onnx", seed=3)
    with pytest.raises(MismatchError) as error:
        fp16_of(other, table)
    assert error.value.code == "ES-RANGES-OTHER"
    assert not (tmp_path / "half.onnx").exists()


def test_a_table_that_lacks_a_tensor(residual, table):
    rows = {key: row for key, row in table.tensors.items() if row.name != "fuse"}
    with pytest.raises(MismatchError, match="fuse"):
        fp16_of(residual, dataclasses.replace(table, tensors=rows))


def test_an_int8_file_is_refused(tmp_path, residual, table):
    artifact = int8_from_ranges(residual.path, table, target="tensorrt", out=tmp_path / "int8.onnx")
    with pytest.raises(FormatError, match=r"int8\.onnx"):
        fp16_of(artifact, table)


def test_a_long_list_is_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"
