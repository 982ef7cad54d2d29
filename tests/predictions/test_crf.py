"""A dense CRF behind the logits: what it changes, what it gains, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_onnx import street_onnx

import edgeseg
from edgeseg.errors import EdgeSegError, FormatError, UnavailableError, UnknownNameError
from edgeseg.metrics import open_metric
from edgeseg.metrics.boundary import boundary_pixels, near
from edgeseg.pixels.upsample import labels_from_logits, upsampled_logits
from edgeseg.predictions.crf import DenseCrf, crf_from_text
from edgeseg.spec import Output, Tiles
from edgeseg.synthetic import StreetCamera

CLASSES, STRIDE, SIZE = 11, 8, (256, 384)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("pydensecrf.densecrf")


def scene(noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A street (H, W, 3), its labels, and logits at a low resolution: shares of the classes, with noise."""
    rgb, labels = StreetCamera(seed=3, width=SIZE[1], height=SIZE[0]).render(0)
    height, width = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    shares = np.eye(CLASSES, dtype=np.float32)[labels].reshape(height, STRIDE, width, STRIDE, CLASSES).mean((1, 3))
    logits = 8 * shares.transpose(2, 0, 1) + np.random.default_rng(0).normal(0, noise, (CLASSES, height, width))
    return rgb, labels, logits.astype(np.float32)


def figures(labels: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Mean boundary F and mIoU."""
    metrics = [open_metric(name)(CLASSES) for name in ("boundary", "miou")]
    for metric in metrics:
        metric.update(labels, truth)
    results = [metric.result().overall for metric in metrics]
    return results[0]["mean_boundary_f"], results[1]["miou"]


def test_noisy_logits_get_better_boundaries(library: Any) -> None:
    rgb, truth, logits = scene(2.0)
    before = figures(labels_from_logits(logits, SIZE), truth)
    for crf in (DenseCrf(iterations=5), DenseCrf(iterations=5, alpha=20, beta=5, smoothness=1)):
        after = figures(crf.labels(upsampled_logits(logits, SIZE), rgb), truth)
        assert after[0] > before[0] + 0.03  # 0.75 to 0.80 and 0.83
        assert after[1] > before[1] + 0.02  # 0.62 to 0.66 and 0.69


def test_it_changes_labels_near_edges_alone(library: Any) -> None:
    """Within the reach of the upsampling from an edge of the labels; the inside of a region stays."""
    rgb, _, logits = scene(0.0)
    before = labels_from_logits(logits, SIZE)
    after = DenseCrf().labels(upsampled_logits(logits, SIZE), rgb)
    changed = after != before
    edges = boundary_pixels(before, np.ones(SIZE, bool))
    assert 0.005 < changed.mean() < 0.1
    assert not (changed & ~near(edges, 2 * STRIDE)).any()
    assert near(edges, 2 * STRIDE).mean() < 0.7


def test_boundaries_move_to_those_of_the_image(library: Any) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 40:] = (200, 60, 60)
    logits = np.zeros((2, 64, 96), np.float32)
    logits[1] = np.clip((np.arange(96) - 45.5) / 4, -3, 3)  # the edge lies 6 pixels too far right
    labels = DenseCrf().labels(logits, rgb)
    np.testing.assert_array_equal(labels, np.broadcast_to(np.arange(96) >= 40, (64, 96)))
    even = DenseCrf().labels(logits, np.zeros_like(rgb))
    first = even.argmax(1)  # no edge in the image: the one of the network stays, which lies between 45 and 46
    assert set(first) <= {45, 46, 47}


def test_equal_inputs_give_equal_labels_and_the_inputs_stay(library: Any) -> None:
    rgb, _, logits = scene(1.0)
    full = upsampled_logits(logits, SIZE)
    copies = full.copy(), rgb.copy()
    np.testing.assert_array_equal(DenseCrf(3).labels(full, rgb), DenseCrf(3).labels(full + 500, rgb))
    np.testing.assert_array_equal(full, copies[0])
    np.testing.assert_array_equal(rgb, copies[1])


def test_a_segmenter_refines_at_the_size_of_the_mask(library: Any, tmp_path: Path) -> None:
    rgb = StreetCamera(seed=1, width=128, height=64).render(0)[0]
    path = street_onnx(tmp_path).path
    crf = DenseCrf(iterations=2)
    with edgeseg.open(path, engine="onnxruntime", crf=crf) as refined, edgeseg.open(path, engine="onnxruntime") as raw:
        labels = refined.segment(rgb).labels
        assert labels.shape == (64, 128)
        assert not np.array_equal(labels, raw.segment(rgb).labels)
        assert refined.segment(rgb, (30, 50)).labels.shape == (30, 50)
        (batched,) = refined.segment_batch([rgb])
        np.testing.assert_array_equal(batched.labels, labels)
        assert set(refined.latency()) == {"total", "resize", "infer", "upsample", "crf"}
        assert (refined.crf_text, raw.crf_text) == ("iterations=2", "")


def test_eval_and_stream_take_it(library: Any, run: Run, tmp_path: Path) -> None:
    model = street_onnx(tmp_path).path
    words = ("eval", model, "--data", "street:?scenes=1&frames=2&size=128x64", "--engine", "onnxruntime", "--json")
    raw, refined = run(*words).json(), run(*words, "--crf", "iterations=2").json()
    assert (raw["crf"], refined["crf"]) == (None, "iterations=2")
    assert raw["miou"] != refined["miou"]
    assert "crf" in refined["latency"]
    words = ("stream", "test://street?size=128x64&frames=1", model)
    for folder, options in (("raw", ()), ("refined", ("--crf", "on"))):
        assert run(*words, *options, "-o", f"{folder}/").code == 0
    masks = [cv2.imread(f"{folder}/000000.png", cv2.IMREAD_UNCHANGED) for folder in ("raw", "refined")]
    assert masks[0].shape[:2] == masks[1].shape[:2] == (64, 128)
    assert not np.array_equal(*masks)
    Path("run.toml").write_text(
        f"""model = "{model.name}"
crf = "iterations=2"
[streams.a]
source = "test://street?size=128x64&frames=1"
output = ["run/"]
""",
        encoding="utf-8",
    )
    assert run("stream", "run.toml").code == 0
    assert cv2.imread("run/000000.png", cv2.IMREAD_UNCHANGED).shape[:2] == (64, 128)


def test_an_engine_that_gives_masks_is_refused(run: Run, tmp_path: Path) -> None:
    mask = street_onnx(tmp_path, Output.MASK, name="mask.onnx").path
    done = run("eval", mask, "--data", "street:?frames=1&size=128x64", "--crf", "on")
    assert (done.code, done.error_code) == (2, "ES-CRF")
    assert "convert without --mask" in done.lines("hint")[0]


@pytest.mark.parametrize("tiles", ["hann", Tiles(8, "centre")])
def test_tiles_are_refused(tmp_path: Path, tiles: Any) -> None:
    with pytest.raises(EdgeSegError) as caught:
        edgeseg.open(street_onnx(tmp_path).path, engine="onnxruntime", tiles=tiles, crf="on")
    assert caught.value.code == "ES-CRF"


def test_without_the_package_the_hint_has_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    with pytest.raises(UnavailableError) as caught:
        edgeseg.open(street_onnx(tmp_path).path, engine="onnxruntime", crf="on")
    assert caught.value.code == "ES-MISSING-CRF"
    assert "edgeseg[crf]" in caught.value.hint


def test_a_crf_is_a_text() -> None:
    assert crf_from_text("on") == DenseCrf()
    assert str(DenseCrf()) == "on"
    crf = crf_from_text("iterations=5&beta=5&alpha=20.5")
    assert crf == DenseCrf(5, beta=5, alpha=20.5)
    assert crf_from_text(str(crf)) == crf
    assert json.dumps(str(crf)) == '"iterations=5&alpha=20.5&beta=5"'


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("strong", UnknownNameError, "strong"),
        ("bta=3", UnknownNameError, "beta"),
        ("beta=0", FormatError, "beta"),
        ("iterations=0", FormatError, "iterations"),
        ("iterations=1.5", FormatError, "iterations"),
        ("gamma=nan", FormatError, "gamma"),
    ],
)
def test_mistakes(text: str, error: type[Exception], word: str) -> None:
    with pytest.raises(error, match=word):
        crf_from_text(text)
