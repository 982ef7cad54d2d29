"""Frames of the street camera as a data set."""

from __future__ import annotations

import numpy as np
import pytest

import edgeseg.datasets.synthetic
from edgeseg.datasets import open_dataset
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import EdgeSegError, SizeError
from edgeseg.synthetic import STREET_LABELS, StreetCamera

SIZE = "size=64x48"


def test_the_street_has_the_classes_of_camvid() -> None:
    assert CAMVID_LABELS.names == STREET_LABELS
    assert open_dataset(f"street:?{SIZE}").labels is CAMVID_LABELS


def test_samples_are_the_cameras_frames() -> None:
    samples = list(open_dataset(f"street:?seed=3&scenes=2&frames=2&stride=25&{SIZE}"))
    assert [sample.name for sample in samples] == ["3-00000", "3-00025", "4-00000", "4-00025"]
    rgb, labels = StreetCamera(4, 64, 48, 25).render(25)
    assert np.array_equal(samples[3].rgb(), rgb)
    assert np.array_equal(samples[3].labels(), labels)
    assert set(np.unique(labels)) <= {*range(11), 255}


def test_samples_can_be_read_in_any_order_and_written_to() -> None:
    first, second = open_dataset(f"street:?frames=2&{SIZE}")
    kept = first.rgb()
    first.rgb()[:] = 0
    assert np.array_equal(first.rgb(), kept)
    assert not np.array_equal(second.rgb(), kept)
    assert np.array_equal(first.rgb(), kept)


class CountingCamera(StreetCamera):
    drawn: list[int] = []  # noqa: RUF012 - shared on purpose: cameras are made by the code under test

    def render(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self.drawn.append(index)
        return super().render(index)


def test_a_frame_is_drawn_when_asked_for_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgeseg.datasets.synthetic, "StreetCamera", CountingCamera)
    monkeypatch.setattr(CountingCamera, "drawn", [])
    dataset = open_dataset(f"street:?frames=1000&{SIZE}")
    assert len(dataset) == 1000
    assert CountingCamera.drawn == []
    dataset[2].rgb(), dataset[2].labels()
    assert CountingCamera.drawn == [50]


@pytest.mark.parametrize(
    ("query", "seeds"),
    [
        ("seed=7", [7]),
        ("seed=100..103", [100, 101, 102, 103]),
        ("seed=5&scenes=3", [5, 6, 7]),
        ("scenes=2", [100, 101]),
        ("seed=9..9", [9]),
    ],
)
def test_seeds(query: str, seeds: list[int]) -> None:
    dataset = open_dataset(f"street:?{query}&frames=1&{SIZE}")
    assert [int(sample.name.split("-")[0]) for sample in dataset] == seeds


def test_the_name_tells_every_option() -> None:
    dataset = open_dataset(f"street:?frames=3&{SIZE}")
    assert dataset.name == "street:?seed=100&frames=3&size=64x48&stride=25&fps=25"
    assert open_dataset(dataset.name).name == dataset.name


@pytest.mark.parametrize(
    ("uri", "code", "value"),
    [
        ("street:/tmp", "ES-DATA", "/tmp"),
        ("street:?frames=0", "ES-FORMAT-OPTION", "frames=0"),
        ("street:?stride=two", "ES-FORMAT-OPTION", "stride=two"),
        ("street:?seed=-1", "ES-FORMAT-OPTION", "seed=-1"),
        ("street:?seed=9..4", "ES-FORMAT-OPTION", "seed=4"),
        ("street:?seed=1..", "ES-FORMAT-OPTION", "seed="),
        ("street:?seed=1..4&scenes=2", "ES-MISMATCH-OPTIONS", "scenes=2"),
    ],
)
def test_values_that_cannot_be(uri: str, code: str, value: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        open_dataset(uri)
    assert caught.value.code == code
    assert value in caught.value.message


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(SizeError, match="wide"):
        open_dataset("street:?size=wide")
    with pytest.raises(SizeError, match="8x8"):
        open_dataset("street:?size=8x8")
