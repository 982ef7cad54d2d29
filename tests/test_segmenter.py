from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, float_onnx, frames

import edgeseg
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.errors import SizeError
from edgeseg.pixels.upsample import labels_from_logits_numpy
from edgeseg.segmenter import Mask, Segmenter
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
    for rgb in pictures:
        segmenter.submit(rgb)
    assert all(np.array_equal(segmenter.result().labels, labels) for labels in one_by_one)
    with pytest.raises(IndexError):
        segmenter.result()


def test_results_outlive_the_next_call(segmenter: Segmenter) -> None:
    first = segmenter.segment(frames(2)[0])
    kept = first.labels.copy()
    segmenter.segment(frames(2)[1])
    assert first.owns_memory
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
    assert parts <= latency["total"].mean_ms


@pytest.mark.parametrize("shape", [(10, 10), (10, 10, 4), (3, 10, 10, 3)])
def test_what_is_no_picture_is_refused(segmenter: Segmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(SizeError, match="a picture is"):
        segmenter.segment(np.zeros(shape, np.uint8))
    with pytest.raises(SizeError, match="float64"):
        segmenter.segment(np.zeros((8, 8, 3)))


def test_a_mask_has_shares_and_an_overlay() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, :2] = 3
    mask = Mask(labels, SPEC.labels)
    assert mask.shares() == {"a": 0.75, "b": 0.0, "c": 0.0, "d": 0.25, "e": 0.0}
    assert mask.palette.shape == (CLASSES, 3)
    rgb = np.full((8, 16, 3), 100, np.uint8)
    painted = mask.overlay(rgb, opacity=1.0)
    assert np.array_equal(painted[:, :4], np.broadcast_to(mask.palette[3], (8, 4, 3)))
    assert np.array_equal(mask.overlay(rgb, opacity=0.0), rgb)


def test_the_public_names_are_there() -> None:
    for name in edgeseg.__all__:
        assert getattr(edgeseg, name) is not None
    assert set(edgeseg.__all__) == set(edgeseg._PUBLIC)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = edgeseg.nothing
