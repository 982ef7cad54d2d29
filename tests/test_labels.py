"""Label sets from text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
    ("content", "value"),
    [
        (b"", "0 classes"),
        (b"a\nb\na\n", "3 classes"),
        (b"a 1 2 256", "(1, 2, 256)"),
        (b"\xff\xfe\x00\x81", "labels.txt"),
    ],
)
def test_an_invalid_label_file_is_refused(content: bytes, value: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        labels_from_file(path)
    assert caught.value.code == "ES-FORMAT-LABELS"
    assert value in caught.value.message


def test_classes_without_names() -> None:
    assert unnamed_labels(3).names == ("class 0", "class 1", "class 2")


def test_default_palette_is_the_voc_colour_map() -> None:
    palette = default_palette(256)
    assert palette[:8].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
    ]
    assert palette[20].tolist() == [0, 64, 128]  # VOC's tv/monitor
    assert palette[255].tolist() == [224, 224, 192]  # VOC's void
    assert len({tuple(color) for color in palette.tolist()}) == 256
    np.testing.assert_array_equal(default_palette(19), palette[:19])
