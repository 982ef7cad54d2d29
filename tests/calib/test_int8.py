from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from residual_onnx import residual_onnx
from small_onnx import frames

from edgeseg.artifact import Artifact
from edgeseg.calib import OBSERVERS
from edgeseg.calib.placement import TARGETS
from edgeseg.calib.quantize import Method, best_method, int8_from_ranges, scales_from_table
from edgeseg.errors import FormatError, MismatchError, UnknownNameError
from edgeseg.files import sha256_from_file
from edgeseg.graph.check_qdq import check_canonical
from edgeseg.graph.core import constant
from edgeseg.graph.qdq import pairs
from edgeseg.provenance import Provenance
from edgeseg.spec import Output, Precision


def logits_of(path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"rgb": image[None]})[0] for image in images])


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("target", TARGETS)
def test_int8_gives_the_labels_of_the_float_graph(tmp_path, residual, table, target, observer):
    artifact = int8_from_ranges(
        residual.path, table, target=target, out=tmp_path / "int8.onnx", method=Method(observer)
    )
    images = frames(4, seed=7)
    agreement = (logits_of(residual.path, images).argmax(1) == logits_of(artifact.path, images).argmax(1)).mean()
    assert agreement > 0.9  # random weights leave thin margins between classes; a wrong scale gives 0.2 to 0.5


@pytest.mark.parametrize("corrections", [{"bias_correction": True}, {"equalize": True, "bias_correction": True}])
@pytest.mark.parametrize("target", TARGETS)
def test_a_corrected_file_gives_the_labels_of_the_float_graph(tmp_path, residual, table, target, corrections):
    artifact = int8_from_ranges(
        residual.path, table, target=target, out=tmp_path / "int8.onnx", method=Method(**corrections)
    )
    images = frames(4, seed=7)
    agreement = (logits_of(residual.path, images).argmax(1) == logits_of(artifact.path, images).argmax(1)).mean()
    assert agreement > 0.9  # as above


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("target", TARGETS)
def test_weights_have_7_bits_where_the_runtime_would_saturate(tmp_path, monkeypatch, residual, table, target, exact):
    monkeypatch.setattr("edgeseg.calib.quantize.adds_int8_exactly", lambda: exact)
    out = tmp_path / "int8.onnx"
    made = int8_from_ranges(residual.path, table, target=target, out=out, method=Method())
    assert made.provenance.weight_bits == (7 if target in ("openvino", "onnxruntime") and not exact else 8)
    codes = [constant(node.inputs[0]) for node in made.graph().graph if node.op_type == "DequantizeLinear"]
    largest = max(np.abs(each.astype(np.int16)).max() for each in codes if each is not None)
    assert largest == {7: 64, 8: 127}[made.provenance.weight_bits]


def test_the_file_records_its_provenance(tmp_path, residual, table):
    out = tmp_path / "int8.onnx"
    assert int8_from_ranges(residual.path, table, target="tensorrt", out=out).artifact == Artifact.open(out)
    artifact = Artifact.open(out)
    assert artifact.precision is Precision.INT8
    assert artifact.spec == residual.spec
    ranges = {"images": 8, "images_sha256": table.images_sha256, "observer": "mse", "weight_bits": 8}
    ranges["corrections"] = ["equalize", "bias_correction"]
    origin = {"onnx_sha256": sha256_from_file(residual.path), "ranges": ranges, "target": "tensorrt"}
    assert artifact.provenance.to_dict() == {"weights": "seed 0", **origin}


def test_equal_input_gives_equal_bytes(tmp_path, residual, table):
    files = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for file in files:
        int8_from_ranges(residual.path, table, target="onnxruntime", out=file)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_a_table_serves_another_size_and_head(tmp_path, table, target):
    other = residual_onnx(tmp_path, "mask.onnx", width=96, height=64, output=Output.MASK)
    artifact = int8_from_ranges(other.path, table, target=target, out=tmp_path / "int8.onnx")
    assert artifact.output is Output.MASK
    mask = logits_of(artifact.path, np.zeros((1, 64, 96, 3), np.uint8))
    assert (mask.shape, mask.dtype) == ((1, 64, 96), np.uint8)


@pytest.mark.parametrize("target", [name for name, layout in TARGETS.items() if layout is None])
def test_canonical_targets_are_canonical(tmp_path, residual, table, target):
    artifact = int8_from_ranges(residual.path, table, target=target, out=tmp_path / "int8.onnx")
    model = ir.load(artifact.path)
    check_canonical(model)
    assert len(list(pairs(model))) == 7


def test_pooled_and_resized_tensors_share_the_scale_of_their_source(residual, table):
    scales = scales_from_table(ir.load(residual.path), table, "percentile")
    assert scales["pool"] == scales["stem.relu"]
    assert scales["large"] == scales["smooth"] != scales["signed"]


def test_nodes_can_be_kept_float(tmp_path, residual, table):
    out = tmp_path / "int8.onnx"
    artifact = int8_from_ranges(residual.path, table, target="tensorrt", out=out, float_nodes=frozenset({"head/Conv"}))
    assert len(list(pairs(ir.load(artifact.path)))) == 6


def test_a_table_of_another_network(tmp_path, table):
    other = residual_onnx(tmp_path, "other.onnx", seed=3)
    with pytest.raises(MismatchError) as error:
        int8_from_ranges(other.path, table, target="tensorrt", out=tmp_path / "int8.onnx")
    assert error.value.code == "ES-RANGES-OTHER"
    assert not (tmp_path / "int8.onnx").exists()


def test_an_int8_file_is_not_quantised_again(tmp_path, residual, table):
    artifact = int8_from_ranges(residual.path, table, target="tensorrt", out=tmp_path / "int8.onnx")
    with pytest.raises(FormatError, match=r"int8\.onnx"):
        int8_from_ranges(artifact.path, table, target="tensorrt", out=tmp_path / "again.onnx")


def test_unknown_target(tmp_path, residual, table):
    with pytest.raises(UnknownNameError, match="openvin0"):
        int8_from_ranges(residual.path, table, target="openvin0", out=tmp_path / "int8.onnx")


def test_the_best_method_needs_statistics_by_channel(residual, table):
    assert best_method(residual, table) == Method("mse", equalize=True, bias_correction=True)
    rows = {key: dataclasses.replace(stats, channels=None) for key, stats in table.tensors.items()}
    assert best_method(residual, dataclasses.replace(table, tensors=rows)) == Method("mse")


def test_weights_from_quantisation_aware_training_keep_their_observer(residual, table):
    tuned = dataclasses.replace(residual, provenance=Provenance(qat={"observer": "percentile"}))
    assert best_method(tuned, table) == Method("percentile", uint8_input=False)
