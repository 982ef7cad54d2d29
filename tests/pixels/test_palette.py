from __future__ import annotations

import numpy as np

from edgeseg.labels import default_palette
from edgeseg.pixels.palette import colors_from_labels


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


def test_colors_from_labels() -> None:
    labels = np.array([[0, 1, 2], [3, 254, 255]], np.uint8)
    palette = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
    black = [0, 0, 0]
    assert colors_from_labels(labels, palette).tolist() == [palette.tolist(), [black, black, black]]
    full = np.full((256, 3), 9, np.uint8)
    assert colors_from_labels(labels, full)[1].tolist() == [[9, 9, 9], [9, 9, 9], black]
