from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_clips import make_images, png_header, png_of

from edgeseg.errors import DataError, FileProblem, FormatError, SizeError
from edgeseg.video.source import open_source
from edgeseg.video.truth import GroundTruthSource


def test_images_come_in_natural_order(tmp_path: Path) -> None:
    make_images(tmp_path, 11)
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(f"{tmp_path}?fps=10") as source:
        assert [int(frame.rgb()[0, 0, 0]) for frame in source] == list(range(1, 12))
        assert (source.info.fps, source.info.frames) == (Fraction(10), 11)
        assert [frame.pts_seconds for frame in source] == pytest.approx([n / 10 for n in range(11)])


def test_a_glob_and_a_single_image(tmp_path: Path) -> None:
    make_images(tmp_path, 11)
    assert open_source(f"{tmp_path}/img1*.png").info.frames == 3  # 1, 10, 11
    assert open_source(f"images:{tmp_path}/img?.png?fps=5").info.frames == 9
    assert open_source(tmp_path / "img7.png").info.frames == 1


def test_colours_are_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    assert next(iter(open_source(tmp_path))).rgb()[0, 0].tolist() == [255, 0, 0]


def test_each_image_has_its_own_size(tmp_path: Path) -> None:
    make_images(tmp_path, 2)
    cv2.imwrite(str(tmp_path / "img3.png"), np.zeros((8, 9, 3), np.uint8))
    with open_source(tmp_path) as source:
        sizes = [(frame.size, (source.info.height, source.info.width)) for frame in source]
    assert sizes[2] == ((8, 9), (8, 9))
    assert all(size == stated for size, stated in sizes)


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_an_unreadable_image_is_named(tmp_path: Path, data: bytes) -> None:
    make_images(tmp_path, 1)
    (tmp_path / "img2.png").write_bytes(data)
    with open_source(tmp_path) as source, pytest.raises(FormatError) as caught:
        list(source)
    assert str(tmp_path / "img2.png") in caught.value.message


BAD = [(b"", 1), (b"", 2), (b"no image at all", 4), (png_header(1_000_000, 1_000_000), 4)]


@pytest.mark.parametrize(("data", "bad"), BAD)
def test_bad_images_are_skipped_and_counted_on_request(tmp_path: Path, data: bytes, bad: int) -> None:
    (make_images(tmp_path, 4) / f"img{bad}.png").write_bytes(data)
    good = [n for n in range(1, 5) if n != bad]
    with open_source(f"{tmp_path}?skip_errors=1") as source:
        for _ in range(2):
            frames = list(source)
            assert [int(frame.rgb()[0, 0, 0]) for frame in frames] == good
            assert [frame.index for frame in frames] == [0, 1, 2]
            assert [frame.name for frame in frames] == [f"img{n}.png" for n in good]
            assert [frame.sequence for frame in frames] == [n - 1 for n in good]  # a gap shows what was skipped
            assert [loss.code for loss in source.losses] == ["ES-SOURCE-SKIPPED"]
            assert source.warnings == [loss.message for loss in source.losses]
            assert "1 of 4 images were skipped" in source.warnings[0]
            assert f"img{bad}.png" in source.warnings[0]


def test_what_was_skipped_is_told_where_a_stream_is_left_early(tmp_path: Path) -> None:
    (make_images(tmp_path, 4) / "img1.png").write_bytes(b"")
    with open_source(f"{tmp_path}?skip_errors=1") as source:
        frames = iter(source)
        next(frames)
        frames.close()
        assert [loss.code for loss in source.losses] == ["ES-SOURCE-SKIPPED"]


def test_a_folder_with_no_readable_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FormatError):
        open_source(tmp_path)
    with pytest.raises(DataError):
        open_source(f"{tmp_path}?skip_errors=1")
    with pytest.raises(FormatError):
        open_source(f"{tmp_path}?skip_errors=yes")


@pytest.mark.parametrize("size", [(1_000_000, 1_000_000), (2**19, 2**19)])
def test_an_image_that_states_a_huge_size_is_refused_before_it_is_allocated(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    with pytest.raises(SizeError) as caught:
        open_source(path)
    assert caught.value.code == "ES-SIZE"


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (641, 359), (8000, 6000)])
def test_images_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png_of(*size))
    with open_source(path) as source:
        frames = list(source)
        assert len(frames) == 1
        assert frames[0].name == path.name
        assert (source.info.width, source.info.height) == (frames[0].width, frames[0].height) == size
        assert frames[0].rgb().shape == (size[1], size[0], 3)


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path, 2)

    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(FileProblem) as caught:
        open_source(tmp_path / "img1.png")
    assert caught.value.code == "ES-FILE-READ"
    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(FileProblem) as caught:
        open_source(tmp_path)
    assert caught.value.hint == f"chmod +rx {tmp_path}"


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\*\.png.*\.jpg"):
        open_source(f"{tmp_path}/*.png")


@pytest.mark.parametrize(
    ("uri", "value"),
    [
        (".?fps=fast", "fps=fast"),
        (".?fps=1/0", "fps=1/0"),
        (".?fps=-3", "fps=-3"),
        ("test://street?frames=0", "frames=0"),
        ("test://street?seed=x", "seed=x"),
        ("camera:front", "camera:front"),
    ],
)
def test_wrong_options_are_named(uri: str, value: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_source(uri)
    assert value in caught.value.message
    assert caught.value.hint.startswith("write ")


def test_the_street_camera_knows_the_truth() -> None:
    with open_source("test://street?seed=3&width=64&height=48&fps=12.5") as source:
        assert (source.info.frames, source.info.fps) == (None, Fraction(25, 2))
        frames = iter(source)
        truths = [source.truth(next(frames).index) for _ in range(2)]
        assert isinstance(source, GroundTruthSource)
        third = next(frames)
        assert np.array_equal(source.truth(0), truths[0])  # drawn again
    assert [truth.shape for truth in truths] == [(48, 64)] * 2
    assert not np.array_equal(*truths)
    assert third.pts_seconds == pytest.approx(0.16)
