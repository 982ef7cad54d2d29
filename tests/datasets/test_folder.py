"""A plain pair of folders: what dataset.toml may say, and what becomes of a mistake in it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_datasets import gradient, ids_in_turn, write_palette_png, write_png

from edgeseg.datasets import open_dataset
from edgeseg.datasets.decode import ids_from_path
from edgeseg.datasets.digest import dataset_sha256
from edgeseg.datasets.label_files import spans
from edgeseg.errors import DataError, EdgeSegError

INDEX = """
kind = "index"
ignore = [0, 255]
[[classes]]
name = "road"
id = [7, 8]
color = [1, 2, 3]
[[classes]]
name = "sky"
id = 23
"""
COLOR = """
kind = "color"
ignore = [0, 0, 0]
[[classes]]
name = "road"
color = [[128, 64, 128], [128, 0, 192]]
[[classes]]
name = "sky"
color = [70, 130, 180]
"""


def made(root: Path, toml: str, truth: np.ndarray) -> str:
    """A set of one pair."""
    write_png(root / "images/a.png", gradient(*truth.shape[:2]))
    write_png(root / "labels/a.png", truth)
    (root / "dataset.toml").write_text(toml)
    return f"folder:{root}"


def test_ids_are_mapped(tmp_path: Path) -> None:
    dataset = open_dataset(made(tmp_path, INDEX, ids_in_turn(0, 7, 8, 23, 255)))
    assert dataset.labels.names == ("road", "sky")
    assert dataset.labels.palette[0] == (1, 2, 3)
    assert dataset[0].labels().ravel()[:5].tolist() == [255, 0, 0, 1, 255]


def test_ids_of_no_class(tmp_path: Path) -> None:
    uri = made(tmp_path, INDEX, ids_in_turn(7, 9, 12))
    with pytest.raises(DataError) as caught:
        open_dataset(uri)[0].labels()
    assert "9, 12" in caught.value.message
    assert "7..8, 23, and 255" in caught.value.hint
    toml = INDEX.replace("[0, 255]", '"others"')
    assert open_dataset(made(tmp_path, toml, ids_in_turn(7, 9, 12)))[0].labels().ravel()[:3].tolist() == [0, 255, 255]


def test_a_class_whose_ids_are_ignored_is_no_class_of_the_data(tmp_path: Path) -> None:
    """The ids of the others stay what the files say; a model that knows the class may still be evaluated."""
    toml = 'ignore = 0\nclasses = "labels.txt"'
    uri = made(tmp_path, toml, ids_in_turn(0, 1, 2))
    (tmp_path / "labels.txt").write_text("void\nroad 1 2 3\nsky\n")
    dataset = open_dataset(uri)
    assert (dataset.labels.names, dataset.labels.palette[0]) == (("road", "sky"), (1, 2, 3))
    assert dataset[0].labels().ravel()[:3].tolist() == [255, 0, 1]


def test_one_of_the_ids_of_a_class_may_be_ignored(tmp_path: Path) -> None:
    dataset = open_dataset(made(tmp_path, INDEX.replace("[0, 255]", "[8, 0]"), ids_in_turn(7, 8, 23, 0)))
    assert dataset.labels.names == ("road", "sky")
    assert dataset[0].labels().ravel()[:4].tolist() == [0, 255, 1, 255]


def test_a_class_of_an_ignored_colour(tmp_path: Path) -> None:
    truth = np.array([[[128, 64, 128], [70, 130, 180], [0, 0, 0]]], np.uint8)
    toml = COLOR.replace("[0, 0, 0]", "[[0, 0, 0], [70, 130, 180]]")
    dataset = open_dataset(made(tmp_path, toml, truth))
    assert dataset.labels.names == ("road",)
    assert dataset[0].labels().tolist() == [[0, 255, 255]]


def test_colours_are_mapped(tmp_path: Path) -> None:
    truth = np.array([[[128, 64, 128], [128, 0, 192], [70, 130, 180], [0, 0, 0]]], np.uint8)
    dataset = open_dataset(made(tmp_path, COLOR, truth))
    assert dataset.labels.palette == ((128, 64, 128), (70, 130, 180))
    assert dataset[0].labels().tolist() == [[0, 0, 1, 255]]


def test_colours_of_no_class_are_counted(tmp_path: Path) -> None:
    truth = np.zeros((6, 8, 3), np.uint8)
    truth[0, :5], truth[1, :2] = (9, 8, 7), (255, 0, 1)
    uri = made(tmp_path, COLOR, truth)
    with pytest.raises(DataError) as caught:
        open_dataset(uri)[0].labels()
    assert caught.value.message.endswith("[9, 8, 7] 5 px, [255, 0, 1] 2 px")
    made(tmp_path, COLOR.replace("[0, 0, 0]", '"others"', 1), truth)
    assert (open_dataset(uri)[0].labels() == 255).all()
    many = gradient()
    with pytest.raises(DataError, match=r" and 40 more \("):
        open_dataset(made(tmp_path, COLOR, many))[0].labels()


@given(st.data(), st.sampled_from([1, 2, 4, 8]), st.sampled_from([0, 3]))
def test_palette_and_grey_files_are_read_as_indices(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, depth: int, color_type: int
) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    values = data.draw(st.lists(st.integers(0, 2**depth - 1), min_size=height * width, max_size=height * width))
    ids = np.array(values, np.uint8).reshape(height, width)
    path = tmp_path_factory.getbasetemp() / "indices.png"
    write_palette_png(path, ids, depth, color_type)
    assert np.array_equal(ids_from_path(path), ids)


def test_palette_files_with_colours_are_read_as_colours(tmp_path: Path) -> None:
    uri = made(tmp_path, 'kind = "color"\n[[classes]]\nname="a"\ncolor=[[254, 1, 7],[252, 3, 7]]', gradient())
    write_palette_png(tmp_path / "labels/a.png", ids_in_turn(1, 3))
    assert (open_dataset(uri)[0].labels() == 0).all()


def test_suffixes_and_one_folder_for_both(tmp_path: Path) -> None:
    write_png(tmp_path / "all/b/x.png", gradient())
    write_png(tmp_path / "all/b/x_L.png", ids_in_turn(0, 1))
    (tmp_path / "labels.txt").write_text("a\nb 1 2 3\n")
    (tmp_path / "dataset.toml").write_text(
        'name = "yard"\nimages = "all"\nlabels = "all"\nlabel_suffix = "_L"\nclasses = "labels.txt"'
    )
    dataset = open_dataset(f"folder:{tmp_path}")
    assert (dataset.name, [sample.name for sample in dataset]) == ("folder:yard?", ["b/x"])
    assert dataset.labels.names == ("a", "b")
    before = dataset_sha256(dataset)
    (tmp_path / "labels.txt").write_text("a\nb 1 2 4\n")
    assert dataset_sha256(dataset) != before


def test_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_png(tmp_path / f"{split}/images/x.png", gradient())
        write_png(tmp_path / f"{split}/labels/x.png", ids_in_turn(0))
    toml = 'images = "{split}/images"\nlabels = "{split}/labels"\n[[classes]]\nname = "a"'
    (tmp_path / "mine.toml").write_text(toml)
    uri = f"folder:{tmp_path}/mine.toml"
    assert open_dataset(f"{uri}?split=val").name == "folder:?split=val"
    with pytest.raises(DataError, match=r"split=NAME"):
        open_dataset(uri)
    with pytest.raises(DataError, match=r": 2 \(.*tset/labels, .*tset/images\)"):
        open_dataset(f"{uri}?split=tset")
    (tmp_path / "mine.toml").write_text('splits = ["train", "val"]\n' + toml)
    with pytest.raises(EdgeSegError, match="vall"):
        open_dataset(f"{uri}?split=vall")
    (tmp_path / "mine.toml").write_text('splits = ["val"]\n' + toml)
    assert len(open_dataset(uri)) == 1


@pytest.mark.parametrize(
    ("toml", "code", "value"),
    [
        ("images = ", "ES-FORMAT-TOML", "dataset.toml"),
        ('imags = "x"', "ES-NAME", "images"),
        ("images = 3", "ES-FORMAT", "images = 3"),
        ('kind = "indx"', "ES-NAME", "index"),
        ('splits = "train"', "ES-FORMAT", "splits = 'train'"),
        ("", "ES-FORMAT", "classes"),
        ("classes = [3]", "ES-FORMAT", "classes = 3"),
        ('classes = "none.txt"', "ES-FILE-MISSING", "none.txt"),
        ("[[classes]]\nid = 3", "ES-FORMAT", "name = None"),
        ('[[classes]]\nname = "a"\ncolour = 3', "ES-NAME", "did you mean color"),
        ('[[classes]]\nname = "a"\nid = 256', "ES-FORMAT", "id = 256"),
        ('[[classes]]\nname = "a"\nid = true', "ES-FORMAT", "id = True"),
        ('[[classes]]\nname = "a"\ncolor = [1, 2]', "ES-FORMAT", "[1, 2]"),
        ('[[classes]]\nname = "a"\n[[classes]]\nname = "a"', "ES-FORMAT", "a class twice"),
        ('[[classes]]\nname = "a"\nid = 255', "ES-FORMAT", "255"),
        ('kind = "color"\n[[classes]]\nname = "a"', "ES-FORMAT", "color"),
        ('ignore = 0\n[[classes]]\nname = "a"', "ES-FORMAT", "ignore"),
        ('[[classes]]\nname = "a"', "ES-DATA", "{split}"),
    ],
)
def test_a_mistake_in_the_toml_is_named(tmp_path: Path, toml: str, code: str, value: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        open_dataset(made(tmp_path / "x", toml, ids_in_turn(0)) + "?split=x")
    assert caught.value.code == code
    assert value in str(caught.value)


@given(st.sets(st.integers(0, 255), min_size=1))
def test_spans_name_every_id(ids: set[int]) -> None:
    runs = [part.split("..") for part in spans(ids).split(", ")]
    assert {i for run in runs for i in range(int(run[0]), int(run[-1]) + 1)} == ids
    assert all(int(b[0]) > int(a[-1]) + 1 for a, b in itertools.pairwise(runs))
