"""What is particular to each sink; what all share is in tests/contract/test_sinks.py."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from small_clips import corners, quarters
from small_streams import result_of, write_frames

from edgeseg.errors import FileProblem, FormatError, UnavailableError
from edgeseg.video import encoder, sink_window
from edgeseg.video.frame import Frame
from edgeseg.video.sink import StopStream, open_sink
from edgeseg.video.source import SourceInfo, open_source
from edgeseg.video.writer import even_size, i420_from_rgb

INFO = SourceInfo(160, 96, Fraction(25), None, "made up")
UPRIGHT = ["red", "green", "blue", "white"]


def frames(times: list[float], rgb: np.ndarray | None = None) -> list[Frame]:
    return [Frame.from_rgb(n, seconds, quarters() if rgb is None else rgb) for n, seconds in enumerate(times)]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".avi"])
def test_what_is_written_can_be_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    with open_sink(path, INFO) as sink:
        write_frames(sink, frames([n / 25 for n in range(8)]))
        assert not path.exists()  # not before it is whole
    with open_source(path) as source:
        read = list(source)
        assert [frame.pts_seconds for frame in read] == pytest.approx([n / 25 for n in range(8)], abs=1e-3)
        assert source.info.fps == 25
        assert corners(read[-1].rgb()) == UPRIGHT
        error = np.abs(read[-1].rgb().astype(int) - quarters())
        assert np.median(error) <= 4  # the quantiser; a wrong matrix or range is off by ten and more
        assert source.warnings == []
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_times_are_kept(tmp_path: Path, ending: str) -> None:
    times = [1.075, 1.1, 1.15, 3.0, 3.02]
    with open_sink(tmp_path / f"out{ending}", INFO) as sink:
        write_frames(sink, frames(times))
    read = [frame.pts_seconds for frame in open_source(tmp_path / f"out{ending}")]
    assert read == pytest.approx(times, abs=1e-3)  # Matroska counts milliseconds


def test_equal_times_are_moved_apart(tmp_path: Path) -> None:
    with open_sink(tmp_path / "out.mkv", INFO) as sink:
        assert write_frames(sink, frames([0.0, 0.0, 0.0])) == 3
    assert len(list(open_source(tmp_path / "out.mkv"))) == 3


def test_odd_sizes_get_a_copy_of_the_last_row_and_column(tmp_path: Path) -> None:
    rgb = quarters(161, 97)
    with open_sink(tmp_path / "out.mp4", INFO) as sink:
        write_frames(sink, frames([0.0], rgb))
    with open_source(tmp_path / "out.mp4") as source:
        assert (source.info.width, source.info.height) == (162, 98)
        assert corners(next(iter(source)).rgb()) == UPRIGHT
    assert even_size((97, 161)) == (98, 162)
    assert i420_from_rgb(rgb).shape == (147, 162)


def test_an_interrupted_stream_leaves_a_playable_file(tmp_path: Path) -> None:
    def interrupted():
        yield from frames([n / 25 for n in range(5)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / "out.mp4", INFO) as sink:
        write_frames(sink, interrupted())
    assert len(list(open_source(tmp_path / "out.mp4"))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_an_encoder_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(UnavailableError) as caught, open_sink(f"{path}?encoder=mjpeg", INFO) as sink:
        sink.write(result_of(frames([0.0])[0]))  # mjpeg takes full range alone
    assert caught.value.code == "ES-ENCODER"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_camera_keeps_no_names_in_memory(tmp_path: Path) -> None:
    with open_sink(f"{tmp_path}/masks/", INFO) as sink:
        write_frames(sink, frames([n / 25 for n in range(3)]))
    assert len(list((tmp_path / "masks").iterdir())) == 3
    assert sink.files() == (tmp_path / "masks",)
    assert sink._named == set()


def encoding_of(path: Path) -> tuple[str, int]:
    """The codec and the number of frames of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, stream.frames


@pytest.mark.skipif("libx264" not in av.codec.codecs_available, reason="this PyAV has no libx264")
@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_a_video_is_h264_unless_an_encoder_is_named(tmp_path: Path, ending: str) -> None:
    for uri, codec in (("a", "h264"), ("b?encoder=mpeg4", "mpeg4"), ("c?encoder=libx265", "hevc")):
        path = tmp_path / f"{uri[0]}{ending}"
        with open_sink(f"{path}{uri[1:]}", INFO) as sink:
            write_frames(sink, frames([n / 25 for n in range(5)]))
        assert encoding_of(path) == (codec, 5)
        assert sink.notes == ()


def test_without_an_h264_encoder_a_video_is_mpeg4_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "encoder_opens", lambda name: name == "mpeg4")
    with open_sink(tmp_path / "out.mp4", INFO) as sink:
        write_frames(sink, frames([0.0, 0.04]))
    assert encoding_of(tmp_path / "out.mp4") == ("mpeg4", 2)
    assert len(sink.notes) == 1
    assert open_sink(tmp_path / "other.avi", INFO).notes == ()  # AVI is always MPEG-4


def test_a_folder_is_no_video_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(FileProblem, match="this is a folder, not a file: "):
        open_sink(f"file:{tmp_path}/out.mp4", INFO)
    (tmp_path / "plain").write_text("")
    with pytest.raises(FileProblem, match="cannot write to "):
        open_sink(f"{tmp_path}/plain/out.mp4", INFO)


@pytest.mark.parametrize(("place", "pattern"), [("images:out/", "%06d.png"), ("out/a-%03d.jpg", "a-%03d.jpg")])
def test_images_are_numbered(tmp_path: Path, place: str, pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_sink(place, INFO) as sink:
        write_frames(sink, frames([0.0, 0.04]))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [pattern % 0, pattern % 1]
    assert corners(cv2.imread(str(tmp_path / "out" / (pattern % 1)))[:, :, ::-1]) == UPRIGHT


def test_png_keeps_every_pixel(tmp_path: Path) -> None:
    with open_sink(f"images:{tmp_path}/out/", INFO) as sink:
        write_frames(sink, frames([0.0]))
    assert np.array_equal(next(iter(open_source(tmp_path / "out"))).rgb(), quarters())


def test_a_pattern_needs_a_number(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        open_sink(tmp_path / "out.png", INFO)
    assert str(tmp_path / "out.png") in caught.value.message
    assert str(tmp_path / "out-%06d.png") in caught.value.hint


def test_a_window_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_window.cv2, "getBuildInformation", lambda: "  GUI:    QT5")
    monkeypatch.setattr(sink_window.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UnavailableError) as caught:
        open_sink("window", INFO)
    assert "DISPLAY" in caught.value.message


def test_a_window_on_a_screen_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_window.cv2, "getBuildInformation", lambda: "  GUI:    QT5")
    monkeypatch.setenv("DISPLAY", ":9876")
    with pytest.raises(UnavailableError, match=":9876"):
        open_sink("window", INFO)


def test_an_opencv_without_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_window.cv2, "getBuildInformation", lambda: "  GUI:    NONE")
    with pytest.raises(UnavailableError) as caught:
        open_sink("window", INFO)
    assert "OpenCV" in caught.value.message
    assert caught.value.hint.startswith("pip install opencv-python")


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_a_key_stops_the_stream(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    pressed = iter([-1, ord(key)])
    for name in ("namedWindow", "imshow", "resizeWindow", "destroyAllWindows"):
        monkeypatch.setattr(sink_window.cv2, name, lambda *arguments: None)
    monkeypatch.setattr(sink_window.cv2, "waitKey", lambda milliseconds: next(pressed))
    monkeypatch.setattr(sink_window.cv2, "getWindowProperty", lambda *arguments: 1.0)
    monkeypatch.setattr(sink_window, "check_window", lambda: None)
    with open_sink("window", INFO) as sink:
        assert write_frames(sink, frames([0.0, 0.04, 0.08])) == 2
    pressed = iter([ord(key)])
    with open_sink("window", INFO) as sink, pytest.raises(StopStream):
        sink.write(result_of(frames([0.0])[0]))


def test_make_clip_is_1080p(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "make_clip.py"
    without = {key: value for key, value in os.environ.items() if key != "EDGESEG_DATA"}
    without["PYTHONPATH"] = str(script.parents[1])
    run = [sys.executable, str(script), str(tmp_path / "clip.mp4"), "--seconds", "0.2"]
    refused = subprocess.run(run, env=without, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the source clip is not known: EDGESEG_DATA is not set\nhint: ")
    if "EDGESEG_DATA" not in os.environ:
        pytest.skip("EDGESEG_DATA is not set: no clip to scale")
    subprocess.run(run, env={**without, "EDGESEG_DATA": os.environ["EDGESEG_DATA"]}, check=True, capture_output=True)
    info = open_source(tmp_path / "clip.mp4").info
    assert (info.width, info.height, info.fps, info.frames) == (1920, 1080, 25, 5)
