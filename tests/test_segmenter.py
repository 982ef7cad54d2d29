from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, float_onnx, frames

import edgeseg
from edgeseg.engines import open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.options import RunOptions
from edgeseg.errors import EdgeSegError, SizeError
from edgeseg.pixels.upsample import labels_from_logits_numpy
from edgeseg.predictions import SemanticMask
from edgeseg.provenance import BuildInfo
from edgeseg.segmenter import Segmenter
from edgeseg.spec import Output


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    return edgeseg.open(float_onnx(tmp_path).path, threads=1)


def test_masks_are_the_exact_upsampling_of_the_logits(tmp_path: Path, segmenter: Segmenter) -> None:
    rgb = frames(1)[0]
    artifact = float_onnx(tmp_path)
    with open_engine("onnxruntime").open(artifact, RunOptions(threads=1)) as backend:
        logits = backend.infer({"rgb": rgb[None]})["logits"][0].copy()
    mask = segmenter.segment(rgb)
    expected = labels_from_logits_numpy(logits, (HEIGHT, WIDTH))
    # two runtimes sum in different orders: a pixel whose two best logits all but tie may differ
    assert (mask.labels == expected).mean() > 0.999
    assert mask.labels.shape == (HEIGHT, WIDTH)
    assert mask.labels.dtype == np.uint8


def test_a_picture_of_any_size_gives_a_mask_of_its_size_or_of_the_one_asked_for(segmenter: Segmenter) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (77, 123, 3), dtype=np.uint8)
    assert segmenter.segment(rgb).labels.shape == (77, 123)
    assert segmenter.segment(rgb, (10, 20)).labels.shape == (10, 20)


def test_a_mask_engine_is_taken_to_the_size_by_nearest_neighbour(tmp_path: Path) -> None:
    with edgeseg.open(float_onnx(tmp_path, Output.MASK).path) as segmenter:
        small = segmenter.segment(frames(1)[0], (HEIGHT // 2, WIDTH // 2)).labels
        large = segmenter.segment(frames(1)[0], (HEIGHT, WIDTH)).labels
    assert np.array_equal(large, small.repeat(2, 0).repeat(2, 1))


def test_batches_and_the_queue_keep_the_order(segmenter: Segmenter) -> None:
    pictures = list(frames(3))
    one_by_one = [segmenter.segment(rgb).labels for rgb in pictures]
    assert all(np.array_equal(a.labels, b) for a, b in zip(segmenter.segment_batch(pictures), one_by_one))
    futures = [segmenter.submit(rgb) for rgb in pictures]
    assert all(np.array_equal(future.result().labels, labels) for future, labels in zip(futures, one_by_one))
    assert futures[0].result() is futures[0].result()


def test_results_outlive_the_next_call(segmenter: Segmenter) -> None:
    first = segmenter.segment(frames(2)[0])
    kept = first.labels.copy()
    segmenter.segment(frames(2)[1])
    assert np.array_equal(first.labels, kept)


def test_read_only_frames_are_taken(segmenter: Segmenter) -> None:
    rgb = frames(1)[0]
    expected = segmenter.segment(rgb).labels
    rgb.flags.writeable = False
    assert np.array_equal(segmenter.segment(rgb).labels, expected)


def test_latency_has_every_stage_and_leaves_the_warm_up_out(segmenter: Segmenter) -> None:
    assert segmenter.latency() == {}
    for rgb in frames(3):
        segmenter.segment(rgb)
    latency = segmenter.latency()
    assert set(latency) == {"total", "resize", "infer", "upsample"}
    assert all(summary.n == 3 for summary in latency.values())
    parts = sum(latency[stage].mean_ms for stage in ("resize", "infer", "upsample"))
    assert parts <= latency["total"].mean_ms * (1 + 1e-9)  # sums of floats


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (3, 10, 10, 3)])
def test_what_is_no_picture_is_refused(segmenter: Segmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(SizeError, match=r"\(H, W, 3\)"):
        segmenter.segment(np.zeros(shape, np.uint8))
    with pytest.raises(SizeError, match="float64"):
        segmenter.segment(np.zeros((8, 8, 3)))


def test_a_mask_has_shares_and_an_overlay() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, :2] = 3
    mask = SemanticMask(labels, SPEC.labels)
    assert mask.shares() == {"a": 0.75, "b": 0.0, "c": 0.0, "d": 0.25, "e": 0.0}
    assert mask.palette.shape == (CLASSES, 3)
    rgb = np.full((8, 16, 3), 100, np.uint8)
    painted = mask.render(rgb, opacity=1.0)
    assert np.array_equal(painted[:, :4], np.broadcast_to(mask.palette[3], (8, 4, 3)))
    assert np.array_equal(mask.render(rgb, opacity=0.0), rgb)


def test_the_public_names_are_there() -> None:
    for name in edgeseg.__all__:
        assert getattr(edgeseg, name) is not None
    assert {"benchmark", "convert", "evaluate", "open", "stream"} <= set(edgeseg.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = edgeseg.nothing
    with pytest.raises(AttributeError, match="SemanticMask"):
        _ = edgeseg.Mask


def test_threads_share_a_segmenter(segmenter: Segmenter) -> None:
    pictures = list(frames(4))
    alone = [segmenter.segment(rgb).labels for rgb in pictures]
    wrong: list[object] = []

    def work() -> None:
        for _ in range(15):
            for rgb, labels in zip(pictures, alone):
                try:
                    if not np.array_equal(segmenter.segment(rgb).labels, labels):
                        wrong.append("labels")
                except Exception as problem:
                    wrong.append(problem)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_reasonable_images_are_taken(segmenter: Segmenter, tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    rgb = frames(1)[0]
    expected = segmenter.segment(rgb).labels
    path = tmp_path / "photo.png"
    pil.fromarray(rgb).save(path)
    for image in (
        rgb.tolist(),
        pil.fromarray(rgb),
        pil.fromarray(rgb).convert("RGBA"),
        path,
        str(path),
        rgb[::-1][::-1],
    ):
        assert np.array_equal(segmenter.segment(image).labels, expected)
    for size in ((10, 20), [10, 20], np.array([10, 20]), "20x10"):
        assert segmenter.segment(rgb, size).labels.shape == (10, 20)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (None, "ES-DATA"),
        (3, "ES-DATA"),
        (object(), "ES-DATA"),
        ([[1, 2], [3]], "ES-DATA"),
        ([], "ES-SIZE"),
        (np.zeros((0, 5, 3), np.uint8), "ES-SIZE"),
        (np.zeros((5, 5), np.uint8), "ES-SIZE"),
        ([[[300, 0, 0]]], "ES-SIZE"),
        ("no such.png", "ES-FILE-MISSING"),
        (Path(__file__), "ES-FORMAT"),
    ],
)
def test_what_is_no_image_is_refused_with_a_code(segmenter: Segmenter, image: Any, code: str) -> None:
    for call in (segmenter.segment, segmenter.submit, lambda each: segmenter.segment_batch([each])):
        with pytest.raises(EdgeSegError) as caught:
            call(image)
        assert caught.value.code == code
        assert caught.value.hint


@pytest.mark.parametrize("size", ["large", "0x3", (0, 3), (3,), (1, 2, 3), 5, ("a", "b"), (1.5, 2), (math.inf, 2)])
def test_what_is_no_size_is_refused_with_a_code(segmenter: Segmenter, size: Any) -> None:
    with pytest.raises(SizeError) as caught:
        segmenter.segment(frames(1)[0], size)
    assert caught.value.code == "ES-SIZE"


def test_a_pil_image_is_turned_as_its_exif_says(segmenter: Segmenter) -> None:
    pil = pytest.importorskip("PIL.Image")
    image = pil.fromarray(np.zeros((20, 30, 3), np.uint8))
    image.getexif()[0x0112] = 6  # a quarter turn
    assert segmenter.segment(image).labels.shape == (30, 20)


@pytest.mark.parametrize(("first", "calls"), [(3, 2), (-1, 1), (1, 5)])
def test_a_batch_is_used_where_the_engine_has_one(tmp_path: Path, first: int, calls: int) -> None:
    """first: the size of the input's first dimension; -1 with an engine that was built for up to 8."""
    artifact = float_onnx(tmp_path)
    with open_engine("onnxruntime").open(artifact) as single:
        counted = BatchBackend(single, first)
        built = dataclasses.replace(artifact, build=BuildInfo(options={"batch": [1, 2, 8]})) if first < 0 else artifact
        segmenter = Segmenter(built, counted)
        pictures = list(frames(5))
        segmenter.warm_up()  # one image, whatever the engine takes at once
        counted.calls = 0
        masks = segmenter.segment_batch(pictures, "20x10")
        assert counted.calls == calls
        assert [mask.labels.shape for mask in masks] == [(10, 20)] * 5
        alone = Segmenter(artifact, single)
        for rgb, mask in zip(pictures, masks):
            assert np.array_equal(mask.labels, alone.segment(rgb, (10, 20)).labels)


class BatchBackend(Backend):
    """A backend that takes several images at once, and computes them one after the other on `single`."""

    def __init__(self, single: Backend, first: int) -> None:
        inputs = tuple(dataclasses.replace(spec, shape=(first, *spec.shape[1:])) for spec in single.inputs)
        super().__init__("batch", inputs, single.outputs)
        self.single, self.calls = single, 0

    def _infer(self, feed: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls += 1
        (frames_in,) = feed.values()
        found = [dict(self.single.infer({self.inputs[0].name: frame[None]})) for frame in frames_in]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def _close(self) -> None:
        pass
