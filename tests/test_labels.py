"""Label sets from text files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import FormatError
from edgeseg.labels import default_palette, labels_from_file, unnamed_labels


def test_names_and_colours(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("# cityscapes\nroad 128 64 128\n\ntraffic light, 250, 170, 30\nrider  # no colour\nlevel 2\n")
    labels = labels_from_file(path)
    assert labels.names == ("road", "traffic light", "rider", "level 2")
    assert labels.palette[:2] == ((128, 64, 128), (250, 170, 30))
    assert labels.palette[2:] == tuple(tuple(color) for color in default_palette(4).tolist()[2:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names 0 classes"),
        ("a\nb\na\n", "names 3 classes, 2 of them different"),
        ("a 1 2 256", r"\(1, 2, 256\) is no colour"),
    ],
)
def test_what_is_no_label_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        labels_from_file(path)


def test_a_binary_file_is_no_label_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(FormatError, match="not a text file"):
        labels_from_file(path)


def test_classes_without_names() -> None:
    assert unnamed_labels(3).names == ("class 0", "class 1", "class 2")
