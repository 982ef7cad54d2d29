from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx_ir as ir
import pytest
from activations import every_activation
from onnx import numpy_helper
from residual_onnx import residual_model, residual_onnx
from small_onnx import SPEC, frames

from edgeseg.artifact import read_onnx, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.range import RangeTable
from edgeseg.datasets.pairs import random_subset
from edgeseg.errors import DataError, FileProblem, FormatError, MismatchError, SizeError
from edgeseg.graph.identity import tensor_ids
from edgeseg.graph.probe import SAMPLE, sample_step
from edgeseg.spec import Output


@pytest.fixture
def table(tmp_path) -> RangeTable:
    return ranges_from_images(residual_onnx(tmp_path).path, frames(3))


def test_extremes_are_exact_and_the_sample_is_spread(tmp_path):
    artifact = residual_onnx(tmp_path, width=192, height=128)
    images = np.random.default_rng(0).integers(0, 256, (2, 128, 192, 3), dtype=np.uint8)
    table = ranges_from_images(artifact.path, images)
    ids = tensor_ids(ir.from_proto(read_onnx(artifact.path)))
    for name, values in every_activation(artifact.path, images).items():
        stats = table.tensors[ids[name]]
        # fused and unfused kernels add up in another order: float32 rounding alone
        assert stats.minimum == pytest.approx(float(values.min()), rel=1e-4, abs=1e-5)
        assert stats.maximum == pytest.approx(float(values.max()), rel=1e-4, abs=1e-5)
        counted = int(stats.histogram.counts.sum())
        assert counted <= 2 * SAMPLE
        assert counted >= min(values.size, SAMPLE)
        # a regular sample of thousands of values finds the median to within a twentieth of the range
        spread = stats.maximum - stats.minimum
        assert abs(stats.histogram.quantile(0.5) - np.median(values)) < 0.05 * spread + 1e-6


@pytest.mark.parametrize(("size", "width"), [(10, 5), (4096 * 9, 32), (64 * 512 * 256, 512), (19 * 60 * 48, 60)])
def test_the_sample_falls_on_every_column(size, width):
    step = sample_step(size, width)
    assert -(-size // step) <= SAMPLE
    assert len({position % width for position in range(0, size, step)}) == width


def test_the_same_images_give_the_same_bytes(tmp_path, table):
    path = residual_onnx(tmp_path, prefix="other/").path
    again = ranges_from_images(path, frames(3))
    first = table.to_json().replace('"name": "', '"name": "other/').replace('"other/logits"', '"logits"')
    assert again.to_json() == first
    assert again.images_sha256 == table.images_sha256
    assert ranges_from_images(path, frames(3)[::-1]).images_sha256 != table.images_sha256


def test_one_table_serves_other_sizes_and_heads(tmp_path, table):
    for options in ({"width": 96}, {"output": Output.MASK}):
        model = ir.from_proto(residual_model(**options))
        table.check(model)
        assert set(tensor_ids(model).values()) == set(table.tensors)


def test_progress_counts_images(tmp_path):
    steps = []
    path = residual_onnx(tmp_path).path
    ranges_from_images(path, frames(2), progress=lambda *step: steps.append(step))
    assert steps == [("calibrate", 1, 2), ("calibrate", 2, 2)]
    ranges_from_images(path, iter(frames(1)), progress=lambda *step: steps.append(step))
    assert steps[2:] == [("calibrate", 1, None)]


def test_the_table_survives_its_file(tmp_path, table):
    path = table.write(tmp_path / "t.ranges.json")
    again = RangeTable.open(path)
    assert again.to_json() == table.to_json() == path.read_text()
    assert (again.images, again.model) == (3, SPEC.name)


def test_a_table_of_another_network_is_refused(table):
    with pytest.raises(MismatchError, match=table.graph_id) as error:
        table.check(ir.from_proto(residual_model(seed=5)), "bigger")
    assert error.value.code == "ES-RANGES-OTHER"


@pytest.mark.parametrize(
    ("change", "error", "value"),
    [
        (lambda text: text[:-9], FormatError, "JSON"),
        (lambda text: "[]", FormatError, "schema"),
        (lambda text: text.replace('"schema": 2', '"schema": 9'), MismatchError, "9"),
        (lambda text: text.replace('"images"', '"pictures"'), FormatError, "'images'"),
        (lambda text: text.replace('"counts": "', '"counts": "?'), FormatError, "histogram|incomplete|base64"),
    ],
)
def test_a_damaged_table_is_refused(table, change, error, value):
    with pytest.raises(error, match=value):
        RangeTable.from_json(change(table.to_json()))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "t.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"t\.json"):
        RangeTable.open(path)


def test_no_images(tmp_path):
    with pytest.raises(DataError) as error:
        ranges_from_images(residual_onnx(tmp_path).path, [])
    assert error.value.code == "ES-DATA-EMPTY"


def test_an_image_of_another_size(tmp_path):
    with pytest.raises(SizeError, match=r"\(16, 16, 3\).*\(32, 64, 3\)"):
        ranges_from_images(residual_onnx(tmp_path).path, np.zeros((1, 16, 16, 3), np.uint8))


def test_damaged_weights_are_named_by_their_tensor(tmp_path):
    artifact = residual_onnx(tmp_path)
    model = read_onnx(artifact.path)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "fuse.b")
    weight.CopyFrom(numpy_helper.from_array(np.full(16, np.nan, np.float32), "fuse.b"))
    write_onnx(model, artifact)
    with pytest.raises(DataError, match=r"fuse\.b") as error:
        ranges_from_images(artifact.path, frames(1))
    assert error.value.code == "ES-DATA-NOT-FINITE"


def folder_of_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((20, 30, 3), (0, 0, 10 * i), np.uint8))
    return folder


def test_images_come_at_the_input_size_in_rgb(tmp_path):
    images = list(images_from(folder_of_images(tmp_path / "images", 3), SPEC))
    assert [image.shape for image in images] == [(32, 64, 3)] * 3
    assert [tuple(image[0, 0]) for image in images] == [(0, 0, 0), (10, 0, 0), (20, 0, 0)]


def test_images_are_selected_by_seed_in_their_order():
    paths = [Path(f"{i:03}.png") for i in range(100)]
    some = random_subset(paths, 10)
    assert some == random_subset(paths, 10) == sorted(some)
    assert len(set(some)) == 10
    assert some != random_subset(paths, 10, seed=1)
    assert random_subset(paths, 500) == random_subset(paths, None) == paths


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)) as error:
        images_from(tmp_path, SPEC)
    assert error.value.code == "ES-DATA-EMPTY"


def test_no_folder(tmp_path):
    with pytest.raises(FileProblem, match="none"):
        images_from(tmp_path / "none", SPEC)


@pytest.mark.parametrize("data", [b"", b"not an image"])
def test_an_unreadable_image_is_named(tmp_path, data):
    (tmp_path / "broken.jpg").write_bytes(data)
    with pytest.raises(FormatError, match=r"broken\.jpg"):
        list(images_from(tmp_path, SPEC))


def test_json_is_compact(table):
    # a hundred tensors, as BiSeNetV2 has, stay below 150 kB
    assert len(json.dumps(json.loads(table.to_json()))) / len(table.tensors) < 1500
