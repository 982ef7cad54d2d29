"""Video files with everything that real ones have: turns, odd pixels, gaps, damage."""

from __future__ import annotations

import functools
import itertools
import os
import threading
import traceback
from collections.abc import Iterator
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from small_clips import corners, make_avi_with_placeholder, make_clip, noise, quarters

from edgeseg.capture.probe import probe
from edgeseg.errors import EdgeSegError, FileProblem, FormatError, UnavailableError
from edgeseg.video import reader
from edgeseg.video.file import FileSource
from edgeseg.video.geometry import Geometry
from edgeseg.video.source import address_from_uri, open_source

UPRIGHT = ["red", "green", "blue", "white"]


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_videos_are_upright(tmp_path: Path, degrees: int, hflip: bool) -> None:
    clip = make_clip(tmp_path / "turned.mp4", turn={"degrees": degrees, "hflip": hflip})
    expected = np.rot90(quarters(), degrees // 90)  # both turn counter-clockwise
    expected = expected[:, ::-1] if hflip else expected  # and mirror after it
    with open_source(clip) as source:
        frame = next(iter(source))
        assert (source.info.height, source.info.width) == expected.shape[:2] == frame.rgb().shape[:2]
        assert corners(frame.rgb()) == corners(expected)
        assert (frame.planes() is None) == (degrees != 0 or hflip)


def test_a_turn_is_the_one_that_opencv_makes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "turned.mp4", turn={"degrees": 90})
    bgr = cv2.VideoCapture(str(clip)).read()[1]
    assert corners(next(iter(open_source(clip))).rgb()) == corners(bgr[:, :, ::-1])


def test_pixels_become_square_and_no_row_is_lost(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "wide.mp4", pixel_aspect=Fraction(4, 3))
    with open_source(clip) as source:
        assert (source.info.width, source.info.height) == (213, 96)  # 160 * 4 / 3
        frame = next(iter(source))
        assert corners(frame.rgb()) == UPRIGHT
        assert frame.planes() is None


@pytest.mark.parametrize("size", [(161, 97), (33, 31), (162, 96)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    flat = np.full((size[1], size[0], 3), (200, 30, 30), np.uint8)
    clip = make_clip(tmp_path / "odd.mkv", 2, rgb=lambda index: flat)
    with open_source(clip) as source:
        rgb = next(iter(source)).rgb().astype(int)
    assert rgb.shape == flat.shape
    assert np.abs(rgb - flat).max() <= 12  # 8-bit YUV and the quantiser; a lost edge would be off by 100


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "gap.mp4", pts=lambda index: index + 50 * (index > 5))
    times = [frame.pts_seconds for frame in open_source(clip)]
    assert times == pytest.approx([n / 25 + 2 * (n > 5) for n in range(12)])


def test_planes_are_the_decoders_own(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    planes = next(iter(open_source(clip))).planes()
    assert planes is not None
    assert [array.shape for array in planes.arrays] == [(96, 160), (48, 80), (48, 80)]
    assert (planes.layout, planes.matrix, planes.full_range) == ("I420", "bt601", False)
    assert not planes.arrays[0].flags.writeable
    with av.open(str(clip)) as container:
        picture = next(container.decode(video=0))
        assert np.array_equal(np.concatenate([a.ravel() for a in planes.arrays]), picture.to_ndarray().ravel())


@pytest.mark.parametrize(("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_follow_the_stated_matrix_and_range(matrix: int, kr: float, kb: float, full_range: bool) -> None:
    y, u, v = 150, 90, 180
    picture = av.VideoFrame(64, 64, "yuv420p")
    for plane, value in zip(picture.planes, (y, u, v)):
        plane.update(bytes([value]) * plane.buffer_size)
    picture.colorspace, picture.color_range = matrix, 2 if full_range else 1
    luma, chroma = (y / 255, 255) if full_range else ((y - 16) / 219, 224)
    red = luma + 2 * (1 - kr) * (v - 128) / chroma  # ITU-R BT.601, BT.709, BT.2020
    blue = luma + 2 * (1 - kb) * (u - 128) / chroma
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    rgb = Geometry(64, 64).rgb_from_image(picture)
    assert np.abs(rgb[32, 32] - 255 * np.array([red, green, blue])).max() <= 2.5  # FFmpeg's fixed point
    planes = Geometry(64, 64).planes_from_image(picture)
    assert planes is not None
    assert (planes.matrix, planes.full_range) == ({1: "bt709", 6: "bt601", 9: "bt2020"}[matrix], full_range)


def test_nv12_planes_have_interleaved_colours() -> None:
    picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24").reformat(format="nv12")
    planes = Geometry(160, 96).planes_from_image(picture)
    assert planes is not None
    assert (planes.layout, [array.shape for array in planes.arrays]) == ("NV12", [(96, 160), (48, 80, 2)])


def test_a_picture_of_another_size_is_scaled_to_the_first() -> None:
    picture = av.VideoFrame.from_ndarray(quarters(80, 48), format="rgb24")
    rgb = Geometry(160, 96).rgb_from_image(picture)
    assert rgb.shape == (96, 160, 3)
    assert corners(rgb) == UPRIGHT


def test_a_truncated_mp4_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 24, rgb=noise, options={"movflags": "faststart"})
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    with open_source(clip) as source:
        read = len(list(source))
        assert 12 <= read <= 18  # about two thirds
        assert source.info.frames == 24
        assert source.warnings[0] == f"{clip}: the file is cut short: {read} of 24 frames could be read"
        list(source)
        assert len([line for line in source.warnings if "cut short" in line]) == 1  # counted anew each time


def test_a_truncated_mkv_says_how_far_it_goes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 100, rgb=noise)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with open_source(clip) as source:
        frames = list(source)
        assert 40 <= len(frames) <= 55
        assert source.info.frames is None
        assert source.warnings[0].startswith(f"{clip}: the file is cut short: read to ")
        assert "of 4.00 s" in source.warnings[0]


def test_damaged_packets_are_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 24, rgb=noise, options={"movflags": "faststart"})
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40_000] = bytes(40_000)
    clip.write_bytes(data)
    with open_source(clip) as source:
        frames = list(source)
        assert 12 <= len(frames) <= 24
        assert any("damaged frames: " in line or "could not be decoded: " in line for line in source.warnings)


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", rgb=noise)
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError) as caught:
        open_source(clip)
    assert caught.value.code == "ES-SOURCE-CUT-SHORT"
    assert ".mkv" in caught.value.hint


SUBTITLES = "1\n00:00:01,000 --> 00:00:02,000\nhello\n"


@pytest.mark.parametrize(
    ("name", "text"), [("a.mp4", "hello " * 50), ("b.mp4", ""), ("c.txt", "hello\n" * 300), ("d.srt", SUBTITLES)]
)
def test_what_is_no_video_says_so(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert caught.value.code == "ES-SOURCE-FORMAT"
    assert caught.value.hint.startswith("name a video file (.mp4, ")


def test_missing_files_and_a_video_with_no_frame(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="no such file: "):
        open_source(tmp_path / "none.mp4")
    clip = make_clip(tmp_path / "clip.mkv", 1, rgb=noise)
    clip.write_bytes(clip.read_bytes()[:700])
    with pytest.raises(FormatError) as caught:
        open_source(clip)
    assert caught.value.code == "ES-SOURCE-UNDECODABLE"


def test_a_read_error_keeps_what_the_decoder_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 24, codec="libx264", codec_options={"bf": "2"})

    class Failing:
        """A container whose disk fails behind 12 packets."""

        def __init__(self) -> None:
            self.real = av.open(str(clip))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def demux(self, stream: Any) -> Iterator[Any]:
            yield from itertools.islice(self.real.demux(stream), 12)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(reader, "open_container", lambda *arguments: Failing())
    with open_source(clip) as source:
        times = [frame.pts_seconds for frame in source]
        assert len(times) == 12
        assert times[:11] == pytest.approx([n / 25 for n in range(11)], abs=2e-3)
        assert times[11] <= 13 / 25  # a frame that refers to one later may be missing
        assert source.losses[0].code == "ES-SOURCE-ENDED"


def test_a_placeholder_in_an_avi_is_no_loss(tmp_path: Path) -> None:
    clip = make_avi_with_placeholder(tmp_path / "clip.avi", 24)
    with open_source(clip) as source:
        assert len(list(source)) == 24
        assert source.info.frames == 25  # as the header counts
        assert source.losses == []
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with open_source(clip) as source:
        assert len(list(source)) < 20
        assert source.losses[0].code == "ES-SOURCE-CUT-SHORT"


def test_audio_is_named_once(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 12, audio=True)
    with open_source(clip) as source:
        for _ in range(2):
            assert len(list(source)) == 12
            assert [loss.code for loss in source.losses] == ["ES-SOURCE-AUDIO"]
            assert source.warnings == [f"{clip}: audio is not copied"]
        next(iter(source))
        assert len(source.warnings) == 1  # a stream that is left early says so, too


def test_an_unknown_codec_is_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi")
    clip.write_bytes(clip.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(FormatError) as caught:
        open_source(clip)
    assert caught.value.code == "ES-SOURCE-CODEC"


def test_a_number_may_be_meant_as_a_camera() -> None:
    with pytest.raises(FileProblem) as caught:
        open_source("0")
    assert (caught.value.code, caught.value.hint) == ("ES-FILE", "for a camera write camera:0")


def test_a_gif_with_transparent_pixels(tmp_path: Path) -> None:
    clip = tmp_path / "clip.gif"
    rgba = np.zeros((12, 16, 4), np.uint8)
    rgba[:, 8:] = 255, 0, 0, 255
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 12, "rgb8"
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="rgb8")
            picture.pts, picture.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    data = bytearray(clip.read_bytes())
    at = data.index(b"\x21\xf9\x04")  # the graphic control extension: flags, delay, transparent index
    data[at + 3], data[at + 6] = data[at + 3] | 1, 0  # black is transparent
    clip.write_bytes(data)
    with open_source(clip) as source:
        frames = list(source)
        assert len(frames) == 3
        assert frames[0].rgb()[6, 12].tolist() == [252, 0, 0]  # of 8 bits in all
        assert frames[0].rgb()[6, 2].tolist() == [255, 255, 255]  # on white, as FFmpeg puts it
        assert source.losses == []


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 5)])
def test_tiny_videos(tmp_path: Path, size: tuple[int, int]) -> None:
    flat = np.full((size[1], size[0], 3), (200, 30, 30), np.uint8)
    clip = make_clip(tmp_path / "tiny.mkv", 2, rgb=lambda index: flat, codec="ffv1", pixel_format="bgr0")
    with open_source(clip) as source:
        assert [frame.rgb().tolist() for frame in source] == [flat.tolist()] * 2


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "clip.mp4").rename(tmp_path / "concat:a.mp4")
    monkeypatch.chdir(tmp_path)
    with open_source("concat:a.mp4") as source:
        assert len(list(source)) == 12


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_password_is_never_shown(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    address = f"{scheme}://admin:s3c/r@et@127.0.0.1:9/live?token=s3cret"
    with pytest.raises(UnavailableError) as caught:
        probe(address)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    assert caught.value.message.startswith(f"cannot open {scheme}://***@127.0.0.1:9/live?***: ")
    assert caught.value.code == "ES-SOURCE-AUTH"
    assert "%2F" in caught.value.hint
    assert "s3c" not in shown
    assert "admin" not in shown


def test_a_file_on_a_server_is_a_recording_and_its_name_has_no_password(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", options={"movflags": "faststart"})

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_source(f"http://admin:s3cret@127.0.0.1:{server.server_port}/clip.mp4") as source:
            assert source.kind == "recording"  # it has a length
            assert source.info.name == f"http://***@127.0.0.1:{server.server_port}/clip.mp4"
            assert len(list(source)) == 12
            assert "s3cret" not in repr(vars(source))
        server.shutdown()


GEOMETRY = {
    "car_detection_h264.mp4": (768, 432, 377),
    "first_pts_1s.mp4": (480, 320, 24),
    "full_range_no_frame_count.mkv": (640, 480, None),
    "hevc_4k.mkv": (3840, 2160, None),
    "highway_1280x720_h264.mp4": (1280, 720, 38),
    "highway_960x540_25fps_h264.mp4": (960, 540, 221),
    "mjpeg_300x650.avi": (300, 650, 8),
    "street_camera_640x352_24fps_one_gap.mp4": (640, 352, 661),
}


@pytest.fixture
def real() -> Path:
    if "EDGESEG_DATA" not in os.environ:
        pytest.skip("EDGESEG_DATA is not set: no real videos")
    return Path(os.environ["EDGESEG_DATA"]) / "video"


@pytest.mark.parametrize("name", GEOMETRY)
def test_real_files_give_every_frame(real: Path, name: str) -> None:
    with av.open(str(real / name)) as container:
        decoded = sum(1 for _ in container.decode(video=0))
    width, height, frames = GEOMETRY[name]
    with FileSource(address_from_uri(real / name)) as source:
        assert (source.info.width, source.info.height, source.info.frames) == (width, height, frames)
        indices = [frame.index for frame in source]
        assert indices == list(range(decoded))
        assert [line for line in source.warnings if "cut short" in line] == []


def test_real_timestamps(real: Path) -> None:
    first = next(iter(open_source(real / "first_pts_1s.mp4")))
    assert first.pts_seconds == pytest.approx(1.075)
    times = np.array([frame.pts_seconds for frame in open_source(real / "street_camera_640x352_24fps_one_gap.mp4")])
    steps = np.diff(times)
    assert (steps > 1.5 / 24).sum() == 1  # the gap: one frame is missing
    assert np.median(steps) == pytest.approx(1 / 24, abs=1e-3)  # written in milliseconds


def test_real_full_range_is_not_stretched_twice(real: Path) -> None:
    frame = next(iter(open_source(real / "full_range_no_frame_count.mkv")))
    planes = frame.planes()
    assert planes is not None
    assert planes.full_range
    grey = frame.rgb().astype(float) @ [0.299, 0.587, 0.114]
    assert abs(grey.mean() - planes.arrays[0].mean()) < 1.5  # taken as limited range it would be off by several


def test_errors_are_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(EdgeSegError) as caught:
        open_source(tmp_path)
    assert caught.value.message == f"no images in {tmp_path}"
