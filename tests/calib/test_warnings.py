"""Images and networks that are unsuitable for calibration give an error or a warning with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from residual_onnx import residual_model, residual_onnx
from small_cli import Run, runner
from small_onnx import SPEC, frames, onnx_model

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.errors import DataError, FormatError, MismatchError
from edgeseg.measure.diagnostic import Diagnostic

BLACK = np.zeros((32, 64, 3), np.uint8)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def warnings_of(path: Path, images: Any) -> list[Diagnostic]:
    warnings: list[Diagnostic] = []
    ranges_from_images(path, images, warn=warnings.append)
    return warnings


def changed(folder: Path, **values: np.ndarray | float) -> Path:
    """The network with these weights filled, or replaced."""
    artifact = residual_onnx(folder)
    model = read_onnx(artifact.path)
    for tensor in model.graph.initializer:
        if tensor.name.replace(".", "_") in values:
            value = values[tensor.name.replace(".", "_")]
            array = np.broadcast_to(np.asarray(value, np.float32), tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(array.copy(), tensor.name))
    write_onnx(model, artifact)
    return artifact.path


def test_enough_different_images_give_no_warning(tmp_path):
    assert warnings_of(residual_onnx(tmp_path).path, frames(8)) == []


def test_few_images(tmp_path):
    (warning,) = warnings_of(residual_onnx(tmp_path).path, frames(7))
    assert warning.code == "few-images"
    assert "7 images" in warning.message


def test_warnings_are_logged_by_default(tmp_path, caplog):
    ranges_from_images(residual_onnx(tmp_path).path, frames(1))
    assert "1 image (" in caplog.text


@pytest.mark.parametrize("colour", [0, 255, (10, 20, 30)])
def test_images_of_a_single_colour(tmp_path, colour):
    images = [BLACK + np.asarray(colour, np.uint8)] * 8
    (warning,) = warnings_of(residual_onnx(tmp_path).path, images)
    assert warning.code == "flat-images"


def test_half_of_the_images_of_a_single_colour(tmp_path):
    path = residual_onnx(tmp_path).path
    (warning,) = warnings_of(path, [*frames(4), *[BLACK] * 4])
    assert "4 of 8 images" in warning.message
    assert warnings_of(path, [*frames(6), *[BLACK] * 2]) == []


def test_logits_that_are_the_same_for_every_image(tmp_path):
    path = changed(tmp_path, logits_w=0)
    (warning,) = warnings_of(path, frames(8))
    assert warning.code == "constant-logits"
    (warning,) = warnings_of(path, [BLACK] * 8)  # equal images must give equal logits
    assert warning.code == "flat-images"


def test_an_output_that_does_not_depend_on_the_input(tmp_path):
    shape = [1, 5, 16, 32]
    nodes = [helper.make_node("Cast", ["rgb"], ["unused"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("Identity", ["bias"], ["logits"]))
    inputs = [("rgb", TensorProto.UINT8, [1, 32, 64, 3])]
    constants = {"bias": np.zeros(shape, np.float32)}
    artifact = Artifact(tmp_path / "dead.onnx", SPEC)
    write_onnx(onnx_model(nodes, inputs, [("logits", TensorProto.FLOAT, shape)], constants), artifact)
    with pytest.raises(FormatError, match=r"dead\.onnx") as error:
        ranges_from_images(artifact.path, frames(8))
    assert error.value.code == "ES-FORMAT-CONSTANT"


@pytest.mark.parametrize("where", [0, (3, 2, 1, 1)])
def test_a_weight_that_is_nan(tmp_path, where):
    weight = np.zeros((16, 16, 3, 3), np.float32)
    weight[where] = np.nan
    with pytest.raises(DataError, match=r"fuse\.w") as error:
        ranges_from_images(changed(tmp_path, fuse_w=weight), frames(1))
    assert error.value.code == "ES-DATA-NOT-FINITE"


def test_an_activation_that_is_infinite(tmp_path):
    with pytest.raises(DataError, match=r"tensor fuse .*image 0") as error:
        ranges_from_images(changed(tmp_path, fuse_w=1e38), frames(1))
    assert error.value.code == "ES-DATA-NOT-FINITE"


def test_a_single_nan_among_the_values_is_found(tmp_path):
    """ONNX Runtime's ReduceMin and ReduceMax ignore NaN, and the sample may miss it."""
    model = residual_model(width=256, height=128)
    gate = next(node for node in model.graph.node if node.name == "left.relu/Relu")
    gate.CopyFrom(helper.make_node("Sqrt", gate.input, gate.output, gate.name))
    image = np.full((128, 256, 3), 120, np.uint8)  # the mean: zero after the normalisation
    image[64, 104] = 255  # both convolutions have stride 2 and read the middle of their kernel
    for tensor in model.graph.initializer:
        if tensor.name in ("stem.w", "left.w", "stem.b", "left.b"):
            array = np.zeros(tuple(tensor.dims), np.float32)
            if tensor.name == "stem.w":
                array[0, 0, 1, 1] = 1
            if tensor.name == "left.w":
                array[0, 0, 1, 1] = -1
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    artifact = Artifact(tmp_path / "net.onnx", SPEC.resized(256, 128))
    write_onnx(model, artifact)
    assert ranges_from_images(artifact.path, [np.full_like(image, 120)]).images == 1
    with pytest.raises(DataError, match=r"tensor left\.relu .*image 1"):
        ranges_from_images(artifact.path, [np.full_like(image, 120), image])


def test_a_table_of_another_network_makes_no_int8(tmp_path):
    table = ranges_from_images(residual_onnx(tmp_path, seed=1).path, frames(8))
    other = residual_onnx(tmp_path, "other.onnx", seed=2)
    with pytest.raises(MismatchError) as error:
        int8_from_ranges(other.path, table, target="openvino", out=tmp_path / "int8.onnx")
    assert error.value.code == "ES-RANGES-OTHER"


def folder_of(images: Any, folder: Path) -> None:
    folder.mkdir()
    for index, rgb in enumerate(images):
        cv2.imwrite(str(folder / f"{index}.png"), rgb)


def test_images_much_smaller_than_the_input(tmp_path):
    folder_of([frame[:15, :31] for frame in frames(3)], tmp_path / "images")
    images = images_from(tmp_path / "images", SPEC)
    assert len(list(images)) == len(images) == 3
    (warning,) = images.warnings()
    assert "3 of 3 images" in warning.message
    assert "64x32" in warning.message


def test_the_command_prints_every_warning_and_lists_it(run, tmp_path):
    residual_onnx(tmp_path)
    folder_of([BLACK[:10, :10]] * 2, tmp_path / "images")
    done = run("calibrate", "residual.onnx", "--images", "images", "--json")
    codes = [warning["code"] for warning in done.json()["warnings"]]
    assert codes == ["few-images", "flat-images", "small-images"]
    assert len(done.lines("warning")) == 3


def test_the_command_selects_images_by_seed(run, tmp_path):
    residual_onnx(tmp_path)
    folder_of(frames(20), tmp_path / "images")
    words = ("calibrate", "residual.onnx", "--images", "images", "--limit", "9", "--json", "--seed")
    results = [run(*words, seed).json() for seed in ("0", "0", "1")]
    assert results[0] == results[1]
    assert results[0]["images_sha256"] != results[2]["images_sha256"]
    assert results[0]["warnings"] == []


def test_the_observers_are_listed_from_their_table(run):
    from edgeseg.calib import OBSERVERS

    text = " ".join(run("quantize", "--help").out.split())
    assert ", ".join(OBSERVERS) in text


def test_an_unknown_operator_is_named(tmp_path: Path) -> None:
    artifact = residual_onnx(tmp_path)
    model = read_onnx(artifact.path)
    gate = next(node for node in model.graph.node if node.op_type == "Relu")
    gate.op_type, gate.domain = "Swoosh", "my.ops"
    model.opset_import.append(helper.make_opsetid("my.ops", 1))
    write_onnx(model, artifact)
    with pytest.raises(FormatError, match=r"my\.ops\.Swoosh") as error:
        ranges_from_images(artifact.path, frames(8))
    assert error.value.code == "ES-OPERATOR"
