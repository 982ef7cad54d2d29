"""Streams through an emulated device: what comes out is what the CPU makes of the same frames, in order, all of it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake_tensorrt import FakeTensorRt, install
from small_clips import make_clip
from small_onnx import street_onnx
from small_streams import Drawn, Kept

from edgeseg.artifact import Artifact
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.tensorrt import pipeline
from edgeseg.errors import DataError, UnavailableError
from edgeseg.pixels.yuv import rgb_from_planes
from edgeseg.predictions import semantic
from edgeseg.segmenter import PredictionFuture, Segmenter, open_segmenter
from edgeseg.spec import Output
from edgeseg.streaming import inference_stage, stream
from edgeseg.video.frame import Frame
from edgeseg.video.geometry import Geometry
from edgeseg.video.sink import open_sink
from edgeseg.video.source import FrameSource, open_source

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the fake TensorRT takes its classes from tensorrt_rtx")
STREET = "test://street?size=90x50&frames=9&seed=3"
Array = np.ndarray[Any, Any]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, without: Callable[[str, str], None]) -> FakeTensorRt:
    if shutil.which("c++") is None:
        without("cc", "there is no C++ compiler for the kernels of the emulated device")
    return install(monkeypatch, tensorrt_rtx)


def plan_of(folder: Path, output: Output = Output.LOGITS) -> Artifact:
    return engine_from_onnx(street_onnx(folder, output).path, "tensorrt", out_dir=folder / "out")


@pytest.fixture
def plan(fake: FakeTensorRt, tmp_path: Path) -> Artifact:
    return plan_of(tmp_path)


@pytest.fixture
def device(plan: Artifact) -> Iterator[Segmenter]:
    with open_segmenter(plan.path) as opened:
        assert opened.slots == 2
        yield opened


def on_the_cpu(plan: Artifact) -> Segmenter:
    """The same network, with all that is around it done by the CPU."""

    def missing(*_: object) -> None:
        raise UnavailableError("no nvcc", hint="install it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "PixelKernels", missing)
        opened = open_segmenter(plan.path)
    assert opened.slots == 1
    return opened


@pytest.fixture
def cpu(plan: Artifact) -> Iterator[Segmenter]:
    with on_the_cpu(plan) as opened:
        yield opened


def overlays(source: FrameSource, segmenter: Segmenter, **options: Any) -> list[Array]:
    sink = Kept()
    report = stream(source, segmenter, sink, **options)
    assert [frame.index for frame in sink.frames] == list(range(report.frames))
    assert report.latency["total"].n == report.frames
    return sink.overlays


def labels_of(source: FrameSource, segmenter: Segmenter) -> list[Array]:
    """The labels of a stream for which nobody renders."""
    labels: list[Array] = []
    stream(source, segmenter, [], on_result=lambda result: labels.append(result.prediction.labels))
    return labels


def mjpeg(path: Path, width: int, height: int, frames: int = 5) -> Path:
    """A video as a cheap camera gives it: full range, 4:2:0."""
    with av.open(str(path), "w") as container:
        made = container.add_stream("mjpeg", rate=25)
        made.width, made.height, made.pix_fmt = width, height, "yuvj420p"
        for index in range(frames):
            rgb = np.random.default_rng(index).integers(0, 256, (4, 5, 3), np.uint8)
            picture = av.VideoFrame.from_ndarray(rgb.repeat(30, 0).repeat(30, 1)[:height, :width].copy(), "rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(made.encode(picture))
        container.mux(made.encode())
    return path


@pytest.mark.parametrize("output", Output)
def test_rgb_frames_give_the_very_bytes_of_the_cpu(output: Output, fake: FakeTensorRt, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, output)
    with open_segmenter(plan.path) as device, on_the_cpu(plan) as cpu, open_source(STREET) as source:
        np.testing.assert_array_equal(overlays(source, device), overlays(source, cpu))
        np.testing.assert_array_equal(overlays(source, device, opacity=1.0), overlays(source, cpu, opacity=1.0))
        ours, theirs = (labels_of(source, each) for each in (device, cpu))
        np.testing.assert_array_equal(ours, theirs)


def compared(source: FrameSource, device: Segmenter, cpu: Segmenter, frames: int) -> set[bool]:
    """Hold each of the first frames against the CPU; whether frames had planes, for all that occurred."""
    drawn, kinds = overlays(source, device, frames=frames), set()
    for frame, ours in zip(source, drawn):
        labels, mask = device.submit(frame).result().labels, cpu.segment(frame.rgb())
        np.testing.assert_array_equal(labels, mask.labels)
        np.testing.assert_array_equal(ours, mask.render(frame.rgb()))
        kinds.add(frame.planes() is not None)
    return kinds


@pytest.mark.parametrize(("width", "height"), [(75, 51), (75, 52), (76, 51), (76, 52)])
def test_an_mjpeg_of_an_odd_size(width: int, height: int, device: Segmenter, cpu: Segmenter, tmp_path: Path) -> None:
    with open_source(mjpeg(tmp_path / "odd.avi", width, height)) as source:
        first = next(iter(source)).planes()
        assert first is not None and first.full_range
        assert compared(source, device, cpu, 5) == {True}


def test_a_file_of_limited_range(device: Segmenter, cpu: Segmenter, tmp_path: Path) -> None:
    with open_source(make_clip(tmp_path / "clip.mp4", 7)) as source:
        assert compared(source, device, cpu, 7) == {True}


@pytest.mark.parametrize("name", [
    "car_detection_h264.mp4", "highway_960x540_25fps_h264.mp4", "first_pts_1s.mp4", "full_range_no_frame_count.mkv",
    "mjpeg_300x650.avi",
])  # fmt: skip
def test_real_files(name: str, device: Segmenter, cpu: Segmenter, edgeseg_data: Path) -> None:
    with open_source(edgeseg_data / "video" / name) as source:
        assert compared(source, device, cpu, 4) == {True}


@pytest.mark.parametrize("colorspace", [1, 5, 9])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("layout", ["yuv420p", "nv12"])
def test_the_matrix_and_the_range_of_a_frame_go_with_it(
    colorspace: int, color_range: int, layout: str, device: Segmenter, cpu: Segmenter
) -> None:
    picture = av.VideoFrame.from_ndarray(Drawn.picture(), "rgb24").reformat(format=layout)
    picture.colorspace, picture.color_range = colorspace, color_range
    geometry = Geometry(picture.width, picture.height)
    planes = geometry.planes_from_image(picture)
    assert planes is not None
    frame = Frame(
        0, 0.0, picture.width, picture.height, rgb=lambda: geometry.rgb_from_image(picture), planes=lambda: planes
    )
    rgb = rgb_from_planes(planes)
    for _ in range(3):
        future, expected = device.submit(frame, overlay_opacity=0.5), cpu.segment(rgb)
        np.testing.assert_array_equal(future.result().labels, expected.labels)
        np.testing.assert_array_equal(future.overlay, expected.render(rgb))
    away = np.abs(rgb.astype(int) - frame.rgb())
    # FFmpeg smooths the colours of NV12, so that their edges differ; those of I420 only in its rounding
    assert (away.mean() < 6) if layout == "nv12" else (away.max() <= 3)


def test_a_decoded_frame_goes_up_once_without_rgb_and_a_mask_or_an_overlay_comes_down(
    device: Segmenter, fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> Any:
        raise AssertionError("the CPU has nothing to do with pixels")

    def seen(sizes: list[int], copy: Callable[..., None], array: int) -> Callable[..., None]:
        def copied(*given: Any) -> None:
            sizes.append(given[array].nbytes)
            copy(*given)

        return copied

    up, down = list[int](), list[int]()
    monkeypatch.setattr(Geometry, "rgb_from_image", refused)
    monkeypatch.setattr(semantic, "overlay_labels", refused)
    monkeypatch.setattr(fake.cuda, "_upload", seen(up, fake.cuda._upload, 1))
    monkeypatch.setattr(fake.cuda, "_download", seen(down, fake.cuda._download, 0))
    pixels = 160 * 96
    with open_source(make_clip(tmp_path / "clip.mp4", 12)) as source:
        assert stream(source, device, open_sink("null", source.info)).frames == 12
        assert max(up) == pixels * 3 // 2
        assert set(down) == {pixels}
        lanes, queued = 2, 2  # plainly, then recorded; the graphs do the other frames
        assert len(down) <= lanes * queued
        with open_sink(tmp_path / "out.mp4", source.info) as sink:
            assert stream(source, device, sink).frames == 12
        assert max(up) == pixels * 3 // 2
        assert set(down) == {pixels, 3 * pixels}
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == 12


def test_two_images_are_under_way_and_one_on_a_cpu(
    device: Segmenter, cpu: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for segmenter, slots in ((device, 2), (cpu, 1)):
        under_way, submit = [0], segmenter.submit

        def submitted(*given: Any, **named: Any) -> PredictionFuture:
            future = submit(*given, **named)  # noqa: B023 - called before the loop goes on
            under_way.append(under_way[-1] + 1)  # noqa: B023
            fetch = future.result

            def fetched() -> Any:
                under_way.append(under_way[-1] - 1)  # noqa: B023
                return fetch()

            monkeypatch.setattr(future, "result", fetched)
            return future

        monkeypatch.setattr(segmenter, "submit", submitted)
        results = list(inference_stage(segmenter)(iter(Drawn(6))))
        assert [result.frame.index for result in results] == list(range(6))
        assert (max(under_way), under_way[-1]) == (slots, 0)


def test_errors_lose_no_frame_that_was_begun(device: Segmenter, cpu: Segmenter) -> None:
    wanted = overlays(Drawn(5), cpu)
    for torn in (DataError("the cable was pulled", hint="plug it in"), UnavailableError("no frame", hint="wait")):
        for source in (Drawn(fails=torn, at=5), Drawn(torn=torn, at=5)):
            sink = Kept()
            with pytest.raises(type(torn), match=torn.message):
                stream(source, device, sink)
            np.testing.assert_array_equal(sink.overlays, wanted)


def test_a_stream_that_was_left_early_leaves_nothing_behind(device: Segmenter, cpu: Segmenter) -> None:
    assert stream(Drawn(), device, Kept(enough=4)).frames == 4
    np.testing.assert_array_equal(overlays(Drawn(6), device), overlays(Drawn(6), cpu))


def test_a_device_that_fails_once_does_so_behind_the_frames_before(
    device: Segmenter, cpu: Segmenter, fake: FakeTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, wait, calls = Kept(), fake.cuda.wait, [0]
    overlays(Drawn(6), device)  # the tables are on the device, which waits for their upload

    def failing(stream_: Any) -> None:
        calls[0] += 1
        if calls[0] == 4:
            raise UnavailableError("the GPU fell off the bus", hint="edgeseg doctor")
        wait(stream_)

    monkeypatch.setattr(fake.cuda, "wait", failing)
    with pytest.raises(UnavailableError, match="fell off"):
        stream(Drawn(20), device, sink)
    assert len(sink.frames) == 3
    np.testing.assert_array_equal(overlays(Drawn(6), device), overlays(Drawn(6), cpu))


def test_latency_ends_with_the_mask_however_long_that_lies_there(device: Segmenter) -> None:
    """The emulated device computes at once, within `submit`."""
    rgb = Drawn.picture()
    for _ in range(3):
        device.segment(rgb)
    device.clear_latency()
    began = time.perf_counter()
    future = device.submit(rgb)
    submitted = time.perf_counter()
    time.sleep(0.5)
    asked = time.perf_counter()
    future.result()
    (sample,) = device.latency_samples("total")
    assert 0 < sample < (submitted - began + time.perf_counter() - asked) * 1e3


def test_a_device_with_memory_for_one_context_takes_one_image_at_a_time(
    device: Segmenter, cpu: Segmenter, fake: FakeTensorRt, caplog: pytest.LogCaptureFixture
) -> None:
    fake.problems["context"] = "out of memory"
    np.testing.assert_array_equal(overlays(Drawn(6), device), overlays(Drawn(6), cpu))
    results = inference_stage(device)(iter(Drawn(6)))
    assert [result.frame.index for result in results] == list(range(6))
    assert device.slots == 1
    assert caplog.text.count("one image at a time") == 1


def test_an_image_can_be_begun_while_another_thread_waits_for_its_own(
    device: Segmenter, fake: FakeTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, wait = Drawn.picture(), fake.cuda.wait
    expected = device.segment(rgb).labels
    first = device.submit(rgb)
    waits, go_on = threading.Event(), threading.Event()

    def waiting(stream_: Any) -> None:
        if threading.current_thread() is worker:
            waits.set()
            assert go_on.wait(60)
        wait(stream_)

    worker = threading.Thread(target=first.result)
    monkeypatch.setattr(fake.cuda, "wait", waiting)
    worker.start()
    assert waits.wait(60)
    try:
        np.testing.assert_array_equal(device.segment(rgb).labels, expected)
        assert worker.is_alive()
    finally:
        go_on.set()
        worker.join()
    np.testing.assert_array_equal(first.result().labels, expected)


def test_an_opacity_that_is_none_is_refused_each_time(device: Segmenter) -> None:
    for _ in range(2):
        with pytest.raises(DataError, match=r"opacity 2\.0 is not between 0 and 1"):
            device.submit(Drawn.picture(), overlay_opacity=2.0)
    future = device.submit(Drawn.picture(), overlay_opacity=0.5)
    future.result()
    assert future.overlay is not None
