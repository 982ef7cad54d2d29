"""Files that are rare and yet come: without frames, without video, with another size inside, with wrong times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import corners, make_clip, noise, quarters

from edgeseg.errors import FormatError
from edgeseg.video.source import open_source

UPRIGHT = ["red", "green", "blue", "white"]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi", ".ts"])
def test_a_file_with_a_video_stream_and_no_frame_says_so(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"empty{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        container.start_encoding()
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert caught.value.code in (
        "ES-SOURCE-UNDECODABLE",
        "ES-SOURCE-FORMAT",
    )  # MPEG-TS names no stream without a packet
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("ending", "codec"), [(".mp4", "aac"), (".mkv", "aac"), (".wav", "pcm_s16le"), (".mp3", "libmp3lame")]
)
def test_a_file_with_sound_alone_is_no_video(tmp_path: Path, ending: str, codec: str) -> None:
    path = tmp_path / f"sound{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        samples.sample_rate, samples.pts = 44100, 0
        resampler = av.AudioResampler(stream.format, "mono", 44100, stream.frame_size or None)
        for part in [*resampler.resample(samples), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with pytest.raises(FormatError) as caught:
        open_source(path)
    assert caught.value.code == "ES-SOURCE-FORMAT"


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def h264_part(path: Path, first: int, size: tuple[int, int] = (160, 96), frames: int = 12) -> Path:
    return make_clip(
        path, frames, rgb=lambda index: quarters(*size), pts=lambda index: first + index, codec="libx264",
        codec_options={"bf": "0"}, options={"muxdelay": "0"},
    )  # fmt: skip


def test_frames_of_another_size_within_a_file_are_scaled_to_the_first(tmp_path: Path) -> None:
    small, large = h264_part(tmp_path / "a.ts", 0), h264_part(tmp_path / "b.ts", 12, (320, 192))
    with open_source(joined(tmp_path / "clip.ts", small, large)) as source:
        frames = list(source)
        assert source.losses == []
    assert [frame.size for frame in frames] == [(96, 160)] * 24
    assert [corners(frame.rgb()) for frame in frames] == [UPRIGHT] * 24
    assert [frame.planes() is None for frame in frames] == [False] * 12 + [True] * 12
    assert np.diff([frame.pts_seconds for frame in frames]) == pytest.approx([0.04] * 23, abs=1e-3)


def test_times_that_start_anew_go_on_behind_those_before(tmp_path: Path) -> None:
    """Two recordings, one behind the other: the second begins at the times of the first."""
    first, second = h264_part(tmp_path / "a.ts", 100), h264_part(tmp_path / "b.ts", 25, frames=30)
    with open_source(joined(tmp_path / "clip.ts", first, second)) as source:
        times = [frame.pts_seconds for frame in source]
    assert np.diff(times) == pytest.approx([0.04] * 41, abs=1e-3)


def clip_with_times(path: Path, times: list[int]) -> Path:
    """A file whose packets have these times in hundredths of a second, whatever a muxer would say to them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 100)
        packets = []
        for index in range(len(times)):
            picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24").reformat(format="yuvj420p")
            picture.pts, picture.time_base = 4 * index, Fraction(1, 100)
            packets += stream.encode(picture)
        packets += stream.encode()
        for index, (packet, pts) in enumerate(zip(packets, times)):
            packet.dts, packet.pts, packet.time_base, packet.stream = 4 * index - 1000, pts, Fraction(1, 100), stream
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 4, 8, 7, 12, 16], [0, 0.04, 0.08, 0.08, 0.12, 0.16]),  # jitter
        ([0, 4, 4, 4, 12, 16], [0, 0.04, 0.04, 0.04, 0.12, 0.16]),  # doubled
    ],
)
def test_times_that_do_not_rise_are_moved_by_a_tick(tmp_path: Path, times: list[int], expected: list[float]) -> None:
    with open_source(clip_with_times(tmp_path / "clip.nut", times)) as source:
        read = [frame.pts_seconds for frame in source]
    assert [seconds - read[0] for seconds in read] == pytest.approx(expected, abs=0.025)
    assert read == sorted(set(read))


def test_times_that_vary_are_kept(tmp_path: Path) -> None:
    at = [0, 1, 2, 5, 6, 20, 21, 22, 60, 61]
    for name in ("clip.mp4", "clip.mkv"):
        clip = make_clip(tmp_path / name, len(at), pts=lambda index: at[index])
        assert [frame.pts_seconds for frame in open_source(clip)] == pytest.approx([n / 25 for n in at], abs=1e-3)


def stated(path: Path, frames: int) -> Path:
    """The AVI with another number of frames in its headers (dwTotalFrames and dwLength)."""
    data = bytearray(path.read_bytes())
    for chunk, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        at = data.index(chunk) + offset
        data[at : at + 4] = frames.to_bytes(4, "little")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("frames", [0, 5, 24, 5000])
def test_the_number_of_frames_in_the_header_decides_nothing(tmp_path: Path, frames: int) -> None:
    clip = stated(make_clip(tmp_path / "clip.avi", 24, rgb=noise), frames)
    with open_source(clip) as source:
        assert len(list(source)) == 24
        assert source.info.frames == (frames or None)


@pytest.mark.skipif("libx265" not in av.codec.codecs_available, reason="this PyAV has no libx265")
def test_hevc_of_10_bits(tmp_path: Path) -> None:
    quiet = {"x265-params": "log-level=none", "crf": "10"}
    clip = make_clip(tmp_path / "clip.mp4", 5, codec="libx265", codec_options=quiet, pixel_format="yuv420p10le")
    with open_source(clip) as source:
        frames = list(source)
        assert source.losses == []
    assert len(frames) == 5
    assert frames[0].planes() is None  # of more than 8 bits
    error = np.abs(frames[-1].rgb().astype(int) - quarters())
    assert np.median(error) <= 4  # the quantiser


def test_a_gif_keeps_its_times(tmp_path: Path) -> None:
    at = [0, 5, 10, 35]
    clip = make_clip(
        tmp_path / "clip.gif", 4, codec="gif", codec_options={}, pixel_format="rgb8", pts=lambda index: at[index],
        rgb=lambda index: np.roll(quarters(), 8 * index, 1),
    )  # fmt: skip
    times = [frame.pts_seconds for frame in open_source(clip)]
    assert times == pytest.approx([n / 25 for n in at], abs=0.011)  # GIF counts hundredths
