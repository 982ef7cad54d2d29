"""Videos of planes: they keep the colours of the source, and take RGB in between."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import quarters

from edgeseg.pixels.overlay_planes import overlay_planes
from edgeseg.pixels.planes import Matrix, Planes, yuv_from_rgb
from edgeseg.video.source import open_source
from edgeseg.video.writer import VideoWriter

ENDS = (slice(0, 40), slice(-40, None))
CODES = {"bt601": 5, "bt709": 1}  # of AVColorSpace
pytestmark = pytest.mark.skipif("libx264" not in av.codec.codecs_available, reason="this PyAV has no libx264")


def drawn(matrix: Matrix, full_range: bool, size: tuple[int, int] = (96, 160)) -> Planes:
    """An overlay without labels: the picture itself."""
    yuv = np.rint(yuv_from_rgb(quarters(size[1], size[0]), matrix, full_range)).astype(np.uint8)
    arrays = (yuv[..., 0], yuv[::2, ::2, 1], yuv[::2, ::2, 2])
    palette = np.empty((0, 3), np.uint8)
    return overlay_planes(Planes("I420", arrays, matrix, full_range), np.zeros((1, 1), np.uint8), palette)


def write(path: Path, images: list[Planes | np.ndarray], size: tuple[int, int], encoder: str = "libx264") -> None:
    writer = VideoWriter(str(path), size, encoder, Fraction(25))
    for number, image in enumerate(images):
        writer.write(image, number / 25)
    writer.finish()


def assert_shows_the_picture(path: Path, frames: int) -> None:
    with open_source(path) as source:
        decoded = [frame.rgb().astype(int) for frame in source]
    assert len(decoded) == frames
    for rgb in decoded:
        away = np.abs(rgb - quarters(rgb.shape[1], rgb.shape[0]))
        # Without the inner edges, where colours mix. Another matrix or range would be off by 10 and more.
        assert max(away[rows, columns].max() for rows in ENDS for columns in ENDS) <= 6


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", CODES)
def test_a_video_has_the_colours_of_its_first_image(
    matrix: Matrix, full_range: bool, encoder: str, tmp_path: Path
) -> None:
    if encoder not in av.codec.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")
    path, other = tmp_path / "out.mp4", drawn("bt709" if matrix == "bt601" else "bt601", not full_range)
    write(path, [drawn(matrix, full_range), quarters(), other, quarters(80, 48)], (96, 160), encoder)
    with av.open(str(path)) as container:
        image = next(container.decode(video=0))
        assert (image.colorspace in (CODES[matrix], CODES[matrix] + 1), image.color_range) == (True, 1 + full_range)
    assert_shows_the_picture(path, 4)


@pytest.mark.parametrize("size", [(96, 160), (98, 160), (97, 161), (90, 162)])
def test_every_height_keeps_its_colours(size: tuple[int, int], tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", [quarters(size[1], size[0])], size)
    assert_shows_the_picture(tmp_path / "out.mp4", 1)


@pytest.mark.parametrize(("matrix", "size"), [("bt2020", (96, 160)), ("bt709", (97, 161))])
def test_what_a_video_cannot_hold_becomes_rgb_first(matrix: Matrix, size: tuple[int, int], tmp_path: Path) -> None:
    write(tmp_path / "out.mkv", [drawn(matrix, False, size), quarters(size[1], size[0])], size)
    assert_shows_the_picture(tmp_path / "out.mkv", 2)
