"""From source to sink: as many frames out as in, the right size, and an end that is always clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from small_clips import make_clip, noise
from small_onnx import street_onnx
from small_streams import Drawn, Judging, Kept

import edgeseg
from edgeseg.errors import DataError
from edgeseg.live.output import DEPTH
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.predictions import semantic
from edgeseg.segmenter import Segmenter
from edgeseg.streaming import StreamReport, inference_stage, stream
from edgeseg.video.frame import Frame
from edgeseg.video.geometry import Geometry
from edgeseg.video.result import Result
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source
from edgeseg.video.truth import truth_sinks

PATIENCE_SECONDS = 120.0  # far more than this takes: only a hang reaches it
# a process that a shell starts in the background is born deaf to SIGINT, and one below nohup to SIGHUP
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); from edgeseg.cli import main; main()"
)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name == "edgeseg-prefetch":
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    with edgeseg.open(street_onnx(tmp_path_factory.mktemp("stream")).path, threads=1) as opened:
        yield opened


def ids_from_png(path: Path) -> np.ndarray:
    """The class ids of a label image, as another reader finds them."""
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
        assert frame.format.name == "pal8"
        return frame.to_ndarray(format="pal8")[0] if isinstance(frame.to_ndarray(), tuple) else frame.to_ndarray()


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_every_frame_of_a_file_comes_out_at_its_size_and_time(segmenter: Segmenter, tmp_path: Path) -> None:
    clip, out = make_clip(tmp_path / "clip.mp4", 12), tmp_path / "out.mp4"
    seen: list[int] = []
    progress: list[tuple[str, int, int | None]] = []
    with open_source(clip) as source, open_sink(out, source.info) as sink:
        report = stream(
            source, segmenter, sink,
            on_result=lambda result: seen.append(result.frame.index), progress=lambda *step: progress.append(step),
        )  # fmt: skip
    written, read = decoded(out), decoded(clip)
    assert len(written) == len(read) == report.frames == 12
    assert {(picture.width, picture.height) for picture in written} == {(160, 96)}
    assert [picture.time for picture in written] == pytest.approx([picture.time for picture in read], abs=1e-3)
    assert seen == list(range(12))
    assert progress == [("stream", n, 12) for n in range(1, 13)]
    assert (report.interrupted, report.warnings) == (False, ())
    assert report.latency["total"].n == 12
    assert report.fps == pytest.approx(12 / report.seconds)


def test_the_overlay_is_the_blend_of_the_mask(segmenter: Segmenter) -> None:
    sink, clear = Kept(), Kept()
    stream(Drawn(3), segmenter, sink, opacity=1.0)
    stream(Drawn(3), segmenter, clear, opacity=0.0)
    for result, untouched in zip(sink.results, clear.results):
        rgb = Drawn.picture(result.frame.index)
        assert np.array_equal(result.overlay, segmenter.segment(rgb).render(rgb, opacity=1.0))
        assert np.array_equal(untouched.overlay, rgb)


def test_an_overlay_is_drawn_once_where_a_sink_wants_one(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, kept = [0], list[Result]()
    overlay = semantic.overlay_labels

    def counted(*given: Any, **named: Any) -> Any:
        drawn[0] += 1
        return overlay(*given, **named)

    monkeypatch.setattr(semantic, "overlay_labels", counted)
    source = Drawn(3)
    assert stream(source, segmenter, open_sink("null", source.info), on_result=kept.append).frames == 3
    assert drawn == [0]
    assert [result.overlay for result in kept] == [None] * 3
    sinks = [Kept(), Kept(), open_sink("null", source.info)]
    assert stream(source, segmenter, sinks).frames == 3
    assert drawn == [3]
    assert [sink.frames_written for sink in sinks] == [3, 3, 3]


def test_a_video_of_overlays_needs_no_rgb_and_has_the_labels_of_the_rgb(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 4, rgb=lambda index: (noise(index) // 4 + 96).repeat(4, 0).repeat(4, 1))
    kept = list[Result]()
    with open_source(clip) as source, open_sink(tmp_path / "rgb.mp4", source.info) as sink:
        stream(source, segmenter, sink, on_result=kept.append)  # a callback may want RGB
    assert all(result.overlay is not None for result in kept)
    for result in kept:
        np.testing.assert_array_equal(result.prediction.labels, segmenter.segment(result.frame.rgb()).labels)
    monkeypatch.setattr(Geometry, "rgb_from_image", lambda *_: pytest.fail("nobody wants RGB"))
    with open_source(clip) as source, open_sink(tmp_path / "planes.mp4", source.info) as sink:
        assert stream(source, segmenter, sink).frames == 4
    pairs = zip(decoded(tmp_path / "rgb.mp4"), decoded(tmp_path / "planes.mp4"))
    away = np.array([a.to_ndarray().astype(int) - b.to_ndarray() for a, b in pairs])
    assert away.shape == (4, 576, 640)
    assert np.abs(away).mean() < 3  # the encoder makes more of a difference of one step
    assert max(abs(plane.mean()) for plane in np.split(away, [384, 480], axis=1)) < 1


def test_every_sink_and_callback_sees_the_labels(segmenter: Segmenter, tmp_path: Path) -> None:
    source, labels = Drawn(3), list[np.ndarray]()
    with open_sink(f"{tmp_path}/masks/", source.info) as masks, open_sink(tmp_path / "out.jsonl", source.info) as lines:
        stream(source, segmenter, [masks, lines], on_result=lambda result: labels.append(result.prediction.labels))
    for index in range(3):
        expected = segmenter.segment(Drawn.picture(index))
        assert np.array_equal(labels[index], expected.labels)
        assert np.array_equal(ids_from_png(tmp_path / "masks" / f"{index:06d}.png"), expected.labels)
        line = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[index])
        assert (line["index"], line["size"], line["shares"]) == (index, [32, 64], expected.shares())
        assert line["rle"] == expected.to_rle()


def test_ground_truth_gives_the_miou_of_one_confusion_matrix(segmenter: Segmenter) -> None:
    uri = "test://street?size=128x64&frames=3&seed=4"
    with open_source(uri) as source:
        (judge,) = truth_sinks(source, segmenter.spec.labels)
        report = stream(source, segmenter, [Kept(), judge])
        confusion = ConfusionMatrix(11, 255)
        for frame in source:
            confusion.update(segmenter.segment(frame.rgb()).labels, source.truth(frame.index))
    assert report.frames == judge.frames_written == 3
    assert judge.confusion.miou() == confusion.miou()
    assert 0 < confusion.miou() < 1
    assert truth_sinks(Drawn(1), segmenter.spec.labels) == []


def test_frames_of_any_size_are_labelled_pixel_by_pixel(segmenter: Segmenter) -> None:
    large = np.random.default_rng(0).integers(0, 256, (90, 170, 3), dtype=np.uint8)
    (result,) = inference_stage(segmenter)(iter([Frame.from_rgb(3, 0.5, large)]))
    mask = segmenter.segment(large)
    assert mask.labels.shape == (90, 170)
    assert np.array_equal(result.prediction.render(large, opacity=1.0), mask.palette[mask.labels])


@pytest.mark.parametrize("frames", [1, 4])
def test_frames_limits_what_is_read_and_written(segmenter: Segmenter, frames: int) -> None:
    source, sink = Drawn(), Kept()
    report = stream(source, segmenter, sink, frames=frames)
    assert report.frames == len(sink.frames) == source.made == frames
    assert not report.interrupted


def test_a_source_that_is_shorter_than_the_limit_ends(segmenter: Segmenter) -> None:
    assert stream(Drawn(3), segmenter, Kept(), frames=10).frames == 3


def test_a_closed_window_ends_the_stream_and_its_last_frame_counts(segmenter: Segmenter) -> None:
    sink = Kept(enough=4)
    report = stream(Drawn(), segmenter, sink)
    assert report.frames == len(sink.frames) == 4
    assert report.interrupted


def test_the_stop_token_ends_the_stream_with_whole_results(segmenter: Segmenter) -> None:
    stop, sink = threading.Event(), Kept()

    def seen(result: Result) -> None:
        if result.frame.index == 4:
            stop.set()

    report = stream(Drawn(), segmenter, sink, on_result=seen, stop=stop)
    assert report.interrupted
    assert report.frames == len(sink.frames) == 5


def test_the_stop_token_ends_a_stream_whose_source_is_silent(segmenter: Segmenter) -> None:
    hangs = threading.Event()

    class Silent(Drawn):
        kind = "live"

        def _frames(self) -> Generator[Frame, None, None]:
            yield Frame.from_rgb(0, 0.0, self.picture())
            hangs.wait(PATIENCE_SECONDS)

    stop = threading.Event()
    try:
        report = stream(Silent(), segmenter, Kept(), on_result=lambda result: stop.set(), stop=stop)
    finally:
        hangs.set()
    assert (report.frames, report.interrupted) == (1, True)


def test_a_callback_that_raises_ends_the_stream(segmenter: Segmenter) -> None:
    def seen(result: Result) -> None:
        if result.frame.index == 2:
            raise KeyboardInterrupt

    sink = Kept()
    with pytest.raises(KeyboardInterrupt):
        stream(Drawn(), segmenter, sink, on_result=seen)
    assert len(sink.frames) == 3


def test_the_library_leaves_signals_alone(segmenter: Segmenter) -> None:
    before, during = signal.getsignal(signal.SIGINT), list[Any]()
    stream(Drawn(1), segmenter, Kept(), on_result=lambda result: during.append(signal.getsignal(signal.SIGINT)))
    assert during == [before]


def test_two_streams_share_a_segmenter(segmenter: Segmenter) -> None:
    alone, sinks = Kept(), [Kept(), Kept()]
    stream(Drawn(8), segmenter, alone)
    reports: list[StreamReport] = []
    threads = [
        threading.Thread(target=lambda sink=sink: reports.append(stream(Drawn(8), segmenter, sink))) for sink in sinks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert [report.latency["total"].n for report in reports] == [8, 8]
    for sink in sinks:
        np.testing.assert_array_equal(sink.overlays, alone.overlays)


def test_an_error_of_the_source_surfaces_behind_the_frames_before_it(segmenter: Segmenter) -> None:
    sink = Kept()
    with pytest.raises(DataError, match="the cable was pulled"):
        stream(Drawn(fails=DataError("the cable was pulled", hint="plug it in"), at=5), segmenter, sink)
    assert [frame.index for frame in sink.frames] == list(range(5))


def test_each_stream_counts_for_itself(segmenter: Segmenter) -> None:
    sink = Kept()
    reports = [stream(Drawn(2), segmenter, sink) for _ in range(2)]
    assert [(report.frames, report.latency["total"].n) for report in reports] == [(2, 2), (2, 2)]


class Torn(Kept):
    """A sink whose disk is full at its frame number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _write(self, result: Result) -> bool:
        if len(self.results) == self.at:
            raise OSError(28, "No space left on device")
        return super()._write(result)


def test_a_sink_of_a_recording_that_fails_stops_alone(segmenter: Segmenter) -> None:
    torn, good = Torn(2), Kept()
    report = stream(Drawn(5), segmenter, [torn, good])
    assert (report.frames, len(torn.frames), len(good.frames)) == (5, 2, 5)
    assert [failure.code for failure in report.failures] == ["ES-SINK"]
    assert len(report.warnings) == 1


def test_the_error_of_the_last_sink_ends_a_recording(segmenter: Segmenter) -> None:
    sinks = [Torn(2), Torn(4)]
    with pytest.raises(OSError, match="No space"):
        stream(Drawn(1000), segmenter, sinks)
    assert [len(sink.frames) for sink in sinks] == [2, 4]


def test_a_sink_that_only_measures_does_not_keep_a_recording_alive(segmenter: Segmenter) -> None:
    judge, torn = Judging(), Torn(2)
    with pytest.raises(OSError, match="No space"):
        stream(Drawn(1000), segmenter, [judge, torn])
    assert (len(judge.frames), len(torn.frames)) == (3, 2)
    assert stream(Drawn(4), segmenter, Judging()).frames == 4


def test_a_report_is_plain_data(segmenter: Segmenter) -> None:
    data = stream(Drawn(2), segmenter, Kept()).to_dict()
    keys = {"frames", "dropped", "seconds", "fps", "cpu_ms_per_frame", "foreign_cores", "latency", "interrupted"}
    assert set(data) == keys | {"warnings", "losses", "failures"}
    assert data["frames"] == 2
    assert data["cpu_ms_per_frame"] > 0
    empty = StreamReport(0, 0.0, {}, stream(Drawn(1), segmenter, Kept()).load, True, ())
    assert (empty.fps, empty.to_dict()["cpu_ms_per_frame"]) == (0.0, None)


def test_a_truncated_video_gives_its_frames_and_says_what_was_lost(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 20, rgb=noise, options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    sink = Kept()
    with open_source(clip) as source:
        report = stream(source, segmenter, sink)
    assert 5 < report.frames == len(sink.frames) < 15
    assert any(f"cut short: {report.frames} of 20 frames" in warning for warning in report.warnings)


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_kill_and_a_closed_terminal_leave_a_playable_file(tmp_path: Path, number: signal.Signals) -> None:
    model = street_onnx(tmp_path).path
    words = ["stream", "test://street?size=64x48", str(model), "-o", "out.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(path.stat().st_size for path in tmp_path.glob("out.partial-*.mp4")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no frame was written"
            time.sleep(0.05)
        process.send_signal(number)
        if number == signal.SIGHUP:  # a closed terminal may send several
            process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "wrote out.mp4" in err
    assert "Traceback" not in err
    pictures = decoded(tmp_path / "out.mp4")
    assert pictures
    assert (pictures[0].width, pictures[0].height) == (64, 48)
    assert f" {len(pictures)} " in out
    assert list(tmp_path.glob("out.partial-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_every_real_file_gives_as_many_frames_as_decode(
    segmenter: Segmenter, edgeseg_data: Path, tmp_path: Path, large: bool
) -> None:
    clips = sorted(path for path in (edgeseg_data / "video").iterdir() if path.suffix in (".mp4", ".mkv", ".avi"))
    clips = [clip for clip in clips if ("4k" in clip.name) is large]
    assert clips
    for clip in clips:
        with av.open(str(clip)) as container:
            count = sum(1 for _ in container.decode(video=0))
        out = tmp_path / f"{clip.stem}.mp4"
        with open_source(clip) as source, open_sink(out, source.info) as sink:
            report = stream(source, segmenter, sink)
            width, height = source.info.width, source.info.height
        assert report.frames == count, clip.name
        assert not any("cut short" in warning for warning in report.warnings), clip.name
        with av.open(str(out)) as container:
            assert sum(packet.size > 0 for packet in container.demux(video=0)) == count, clip.name
            stream_of = container.streams.video[0]
            # colours are stored at half the size: an odd side gets one more
            assert (stream_of.width, stream_of.height) == (width + width % 2, height + height % 2), clip.name
        out.unlink()


class Camera(Drawn):
    """A live source that gives a frame every 5 ms, whether or not somebody takes it."""

    kind = "live"

    def _frames(self) -> Generator[Frame, None, None]:
        for frame in super()._frames():
            time.sleep(0.005)
            yield Frame.from_rgb(frame.index, frame.pts_seconds, frame.rgb(), captured_at=time.monotonic())


class Slow(Kept):
    """Takes four times as long over a result."""

    def _write(self, result: Result) -> bool:
        time.sleep(0.02)
        return super()._write(result)


class Held(Kept):
    """A sink that is busy with its first result until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.may_go_on = threading.Event(), threading.Event()

    def _write(self, result: Result) -> bool:
        self.began.set()
        assert self.may_go_on.wait(PATIENCE_SECONDS)
        return super()._write(result)


class Ahead(Drawn):
    """A live source whose every frame is computed before the next one comes. At its end the sink may go on."""

    kind = "live"

    def __init__(self, frames: int, sink: Held) -> None:
        super().__init__(frames)
        self.sink, self.computed = sink, threading.Semaphore(0)

    def _frames(self) -> Generator[Frame, None, None]:
        for frame in super()._frames():
            yield Frame.from_rgb(frame.index, frame.pts_seconds, frame.rgb(), captured_at=time.monotonic())
            assert self.computed.acquire(timeout=PATIENCE_SECONDS), "the sink holds up the model"
        self.sink.may_go_on.set()


def test_of_a_live_source_the_newest_frame_counts_and_the_lag_does_not_grow(segmenter: Segmenter) -> None:
    sink = Held()
    camera = Ahead(30, sink)

    def on_result(result: Result) -> None:
        assert sink.began.wait(PATIENCE_SECONDS)
        camera.computed.release()

    report = stream(camera, segmenter, sink, on_result=on_result)
    assert report.frames == 30  # the sink holds up neither the camera nor the model
    assert [frame.index for frame in sink.frames] == [0, *range(30 - DEPTH, 30)]  # of those that waited the newest


def test_of_a_live_source_as_many_frames_are_written_as_asked_for(segmenter: Segmenter) -> None:
    assert stream(Camera(100_000), segmenter, Slow(), frames=10).frames == 10


def test_of_a_recording_every_frame_counts_however_slow_the_sink_is(segmenter: Segmenter) -> None:
    report = stream(Drawn(30), segmenter, Slow())
    assert (report.frames, report.dropped) == (30, 0)
