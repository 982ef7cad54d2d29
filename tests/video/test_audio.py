"""The sound of a file is copied where the output can hold it; else its loss is reported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import make_clip, quarters
from small_onnx import street_onnx
from small_streams import result_of

import edgeseg
from edgeseg.streaming import losses_of, stream
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source


def clip_with_sound(path: Path, seconds: float = 2.0, codec: str = "aac", start: int = 0) -> Path:
    """A video of 25 fps, with a tone of the same length."""
    rate = 44_100
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout="mono")
        tone = (10_000 * np.sin(np.arange(int(seconds * rate)) / 20)).astype(np.int16)[None]
        samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = rate, start * rate // 25, Fraction(1, rate)
        resampler = av.AudioResampler(sound.format, "mono", rate, sound.frame_size or None)
        for part in [*resampler.resample(samples), *resampler.resample(None)]:
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
        for index in range(round(25 * seconds)):
            picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
            picture.pts, picture.time_base = start + index, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode())
    return path


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """The times and the bytes of the packets of sound."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


def copy(source: Path, output: Path, frames: int | None = None) -> list[str]:
    """Write the frames of `source` to `output`; the codes of the losses."""
    with open_source(source) as clip, open_sink(output, clip.info) as sink:
        for frame in clip:
            if frames is not None and frame.index >= frames:
                break
            sink.write(result_of(frame))
        return [loss.code for loss in losses_of(clip, [sink])]


@pytest.mark.parametrize(("source", "codec"), [("in.mp4", "aac"), ("in.mkv", "pcm_s16le"), ("in.mkv", "aac")])
@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.mov"])
def test_sound_is_copied_packet_by_packet(tmp_path: Path, source: str, codec: str, output: str) -> None:
    clip = clip_with_sound(tmp_path / source, codec=codec)
    assert copy(clip, tmp_path / output) == []
    before = [(seconds, data) for seconds, data in sound_of(clip) if seconds >= 0]  # the encoder's delay is before
    after = sound_of(tmp_path / output)
    copied = b"".join(data for _, data in after)
    assert b"".join(data for _, data in before).startswith(copied)
    assert len(copied) > 0.95 * sum(len(data) for _, data in before)  # to the end of the video
    assert after[0][0] == pytest.approx(before[0][0], abs=2e-3)  # Matroska counts milliseconds
    if codec == "aac":  # PCM is one packet in one file, and many in another
        assert after[-1][0] == pytest.approx(2.0, abs=0.1)
    times = [frame.pts_seconds for frame in open_source(tmp_path / output)]
    assert times == pytest.approx([index / 25 for index in range(50)], abs=2e-3)


def test_sound_stays_with_the_picture_where_a_file_begins_late(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "in.mkv", start=100)
    assert copy(clip, tmp_path / "out.mkv") == []
    assert next(iter(open_source(tmp_path / "out.mkv"))).pts_seconds == pytest.approx(4.0, abs=2e-3)
    assert sound_of(tmp_path / "out.mkv")[0][0] == pytest.approx(sound_of(clip)[0][0], abs=2e-3)


def test_sound_ends_with_the_last_frame(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "in.mp4")
    assert copy(clip, tmp_path / "out.mp4", frames=25) == []
    assert 0.9 < sound_of(tmp_path / "out.mp4")[-1][0] < 1.0


@pytest.mark.parametrize("output", ["out.webm", "masks/", "out.jsonl", "%S.mp4?segment=60"])
def test_what_cannot_hold_the_sound_reports_its_loss(tmp_path: Path, output: str) -> None:
    clip = clip_with_sound(tmp_path / "in.mp4", 0.2)
    with open_source(clip) as source, open_sink(f"{tmp_path}/{output}", source.info) as sink:
        for frame in source:
            sink.write(result_of(frame))
        assert [loss.code for loss in losses_of(source, [sink])] == ["ES-SOURCE-AUDIO"]


def test_a_stream_reports_no_loss_of_sound_that_is_copied(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "in.mp4", 0.2)
    with edgeseg.open(street_onnx(tmp_path).path) as segmenter, open_source(clip) as source:
        with open_sink(tmp_path / "out.mp4", source.info) as sink:
            assert stream(source, segmenter, sink).losses == ()
        with open_sink("null", source.info) as sink:
            assert [loss.code for loss in stream(source, segmenter, sink).losses] == ["ES-SOURCE-AUDIO"]
    assert sound_of(tmp_path / "out.mp4")


def test_sound_that_the_file_format_refuses_costs_no_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "in.mkv", 12, audio=True)

    def refuse(self: object, seconds: float) -> None:
        raise av.error.InvalidDataError(1, "no extradata")

    monkeypatch.setattr("edgeseg.video.audio.AudioCopy.packets_until", refuse)
    with open_source(clip) as source, open_sink(tmp_path / "out.mp4", source.info) as sink:
        for frame in source:
            sink.write(result_of(frame))
        assert not sink.copies_audio
    assert len(list(open_source(tmp_path / "out.mp4"))) == 12


@pytest.mark.parametrize("joined", [False, True])
def test_sound_that_is_left_out_behind_a_new_start_is_reported(tmp_path: Path, joined: bool) -> None:
    parts = [clip_with_sound(tmp_path / f"{n}.ts", 2.0, "mp2").read_bytes() for n in range(1 + joined)]
    (tmp_path / "clip.ts").write_bytes(b"".join(parts))
    with open_source(tmp_path / "clip.ts") as clip, open_sink(tmp_path / "out.mkv", clip.info) as sink:
        for frame in clip:
            sink.write(result_of(frame))
    assert sink.copies_audio
    assert len(sink.notes) == joined
