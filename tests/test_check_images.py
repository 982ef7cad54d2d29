"""Which images a conversion is checked on, and that everybody is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_onnx import SPEC, STREET, frames

from edgeseg.calib.images import images_from
from edgeseg.check_images import bench_images, check_images, knows_street
from edgeseg.datasets.labels import CAMVID_LABELS, CITYSCAPES_LABELS
from edgeseg.errors import DataError, FileProblem
from edgeseg.labels import labels_from_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, rgb in enumerate(frames(6)):
        cv2.imwrite(str(folder / f"{index}.png"), rgb[:, :, ::-1])
    return folder


def test_a_street_is_drawn_for_a_network_that_knows_its_classes_alone() -> None:
    more = labels_from_names([*CAMVID_LABELS.names, "Void"])
    assert knows_street(STREET)
    assert knows_street(dataclasses.replace(STREET, labels=more))
    assert not knows_street(SPEC)
    assert not knows_street(dataclasses.replace(STREET, labels=CITYSCAPES_LABELS))
    assert check_images(STREET).source == "synthetic street images"
    assert not check_images(STREET).is_noise


def test_another_network_is_compared_on_noise_and_says_what_to_give() -> None:
    found = check_images(SPEC)
    assert (found.source, found.is_noise) == ("noise", True)
    assert "--images FOLDER" in found.advice
    assert found.frames.shape == (4, 32, 64, 3)
    assert found.frames.dtype == np.uint8
    assert len({frame.tobytes() for frame in found.frames}) == 4
    assert 60 < found.frames.mean() < 196  # neither dark nor bright
    assert np.array_equal(found.frames, check_images(SPEC).frames)


def test_images_that_calibration_did_not_take_come_first(folder: Path) -> None:
    taken = {rgb.tobytes() for rgb in images_from(folder, SPEC, 3)}
    found = check_images(SPEC, folder, calibrated_on=3, count=3)
    assert len(found.frames) == 3
    assert not {frame.tobytes() for frame in found.frames} & taken
    assert found.source == f"{folder} (calibration did not use these)"


def test_where_there_are_too_few_others_those_of_the_calibration_follow(folder: Path) -> None:
    taken = [rgb.tobytes() for rgb in images_from(folder, SPEC, 5)]
    found = check_images(SPEC, folder, calibrated_on=5)
    got = [frame.tobytes() for frame in found.frames]
    assert got[0] not in taken
    assert got[1:] == taken[:3]
    assert found.source == f"{folder} (calibration used 3 of these 4: there are no others)"


def test_where_there_are_no_others_the_output_says_so(folder: Path) -> None:
    found = check_images(SPEC, folder, calibrated_on=100)
    assert len(found.frames) == 4
    assert found.source == f"{folder} (calibration used these as well: there are no others)"


def test_a_glob_and_a_uri_are_images_too(folder: Path) -> None:
    assert len(images_from(f"{folder}/[0-3].png", SPEC)) == 4
    assert len(images_from("street:?seed=1&scenes=5&frames=1&size=64x32", SPEC)) == 5
    with pytest.raises(DataError) as caught:
        images_from(f"{folder}/*.jpg", SPEC)
    assert caught.value.code == "ES-DATA-EMPTY"
    with pytest.raises(FileProblem):
        images_from(folder / "none", SPEC)


def test_a_benchmark_is_timed_on_grey_where_there_is_nothing_better(folder: Path) -> None:
    found = bench_images(SPEC, None, 3)
    assert found.source == "grey images"
    assert np.array_equal(found.frames, np.full((3, 32, 64, 3), 128))
    assert bench_images(SPEC, folder, 3).source == str(folder)
    assert bench_images(STREET, None, 3).source == "synthetic street images"


def test_a_benchmark_is_timed_on_images_of_their_own_size_and_on_others_of_a_size_that_is_asked_for(
    tmp_path: Path,
) -> None:
    shapes = {(96, 128, 3), (30, 40, 3)}
    for shape in shapes:
        cv2.imwrite(str(tmp_path / f"{shape[0]}.png"), np.zeros(shape, np.uint8))
    assert {frame.shape for frame in bench_images(SPEC, tmp_path, 5).frames} == shapes
    for spec in (SPEC, STREET):
        assert {frame.shape for frame in bench_images(spec, None, 2, (128, 96)).frames} == {(96, 128, 3)}
        assert {frame.shape for frame in bench_images(spec, None, 2).frames} == {(32, 64, 3)}
