from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_clips import FakeCapture, make_images

from edgeseg.errors import DataError, FormatError, SizeError, UnavailableError
from edgeseg.video import camera
from edgeseg.video.camera import CameraSource
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


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    make_images(tmp_path, 2)
    cv2.imwrite(str(tmp_path / "img3.png"), np.zeros((8, 9, 3), np.uint8))
    with open_source(tmp_path) as source, pytest.raises(SizeError) as caught:
        list(source)
    assert caught.value.message == f"{tmp_path / 'img3.png'} is 9x8, the images before it 40x30"
    assert caught.value.hint == "resize it, or put images of each size into a folder of their own"


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_an_unreadable_image_is_named(tmp_path: Path, data: bytes) -> None:
    make_images(tmp_path, 1)
    (tmp_path / "img2.png").write_bytes(data)
    with open_source(tmp_path) as source, pytest.raises(FormatError) as caught:
        list(source)
    assert caught.value.message == f"this image cannot be read: {tmp_path / 'img2.png'}"
    assert caught.value.hint == "remove it, or write it again as PNG"


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_source(f"{tmp_path}/*.png")
    assert caught.value.message == f"no images in {tmp_path}/*.png"
    assert caught.value.hint.startswith("put images there: .png, .jpg")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (".?fps=fast", "fps=fast is no frame rate"),
        (".?fps=1/0", "fps=1/0 is no frame rate"),
        (".?fps=-3", "fps=-3 is no frame rate"),
        ("test://street?frames=0", "frames=0 is no whole number from 1"),
        ("test://street?seed=x", "seed=x is no whole number from 0"),
        ("camera:front", "this names no camera: camera:front"),
    ],
)
def test_wrong_options_are_named(uri: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_source(uri)
    assert caught.value.message == message
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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    capture = type("Capture", (FakeCapture,), {})
    monkeypatch.setattr(camera.cv2, "VideoCapture", capture)
    monkeypatch.setattr(camera, "check_device", lambda device: None)
    return capture


def test_a_camera_is_live_and_asked_for_what_is_wished(fake: type[FakeCapture]) -> None:
    with open_source("camera:2?width=1280&height=720&fps=30") as source:
        capture = source._capture
        assert (capture.device, sorted(capture.wishes.values())) == (2, [30.0, 720.0, 1280.0])
        assert (source.info.width, source.info.height) == (64, 48)  # what it gives, not what was asked
        assert (source.info.frames, source.kind, source.info.name) == (None, "live", "camera:2")
        assert next(iter(source)).rgb()[0, 0].tolist() == [30, 20, 10]
    assert capture.released
    assert open_source("/dev/video1").info.name == "camera:1"


def test_camera_times_are_the_clocks_and_rise(fake: type[FakeCapture]) -> None:
    ticks = iter([100.0, 100.5, 100.5, 101.0])
    with CameraSource(0, {}, clock=lambda: next(ticks)) as source:
        times = [frame.pts_seconds for frame in source]
        assert times == pytest.approx([0.5, 0.5, 1.0], abs=1e-5)
        assert times[0] < times[1]
        assert source.warnings == ["camera:0 stopped after 3 frames"]


def test_a_camera_that_changes_its_size(fake: type[FakeCapture]) -> None:
    fake.sizes = ((48, 64), (48, 64), (24, 32))
    with open_source("camera:0") as source, pytest.raises(SizeError) as caught:
        list(source)
    assert caught.value.message == "camera:0 went from 64x48 to 32x24"
    assert caught.value.hint == "ask for one size: camera:0?width=1280&height=720"


def test_a_camera_that_does_not_open(fake: type[FakeCapture]) -> None:
    fake.works = False
    with pytest.raises(UnavailableError) as caught:
        open_source("camera:0")
    assert caught.value.message == "cannot open camera:0"
    assert "/dev/video" in caught.value.hint or "present: " in caught.value.hint


@pytest.mark.skipif(not Path("/dev").is_dir(), reason="there is no /dev on this system")
def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(UnavailableError) as caught:
        open_source("camera:97")
    assert caught.value.message == "there is no camera /dev/video97"
    assert caught.value.hint.startswith(("present: /dev/video", "plug it in: "))
