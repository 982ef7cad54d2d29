"""`build`, `export` and `bench` take the user's images, and say on which they compared and timed."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest
from small_cli import Run, runner
from small_onnx import float_onnx, frames, street_onnx


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with a network of street classes, one of others, and a few images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    street_onnx(tmp_path)
    float_onnx(tmp_path)
    Path("images").mkdir()
    for index, rgb in enumerate(frames(5)):
        cv2.imwrite(f"images/{index}.png", rgb)
    return runner(monkeypatch, capfd)


@pytest.mark.parametrize(
    ("onnx", "images", "said"),
    [
        ("street.onnx", (), "synthetic street images"),
        ("float.onnx", (), "noise"),
        ("float.onnx", ("--images", "images"), "images"),
        ("float.onnx", ("--images", "images/*.png"), "images/*.png"),
    ],
)
def test_build_says_on_which_images_it_compared(run: Run, onnx: str, images: tuple[str, ...], said: str) -> None:
    pytest.importorskip("onnxruntime")
    done = run("build", onnx, "--engine", "onnxruntime", *images, "-o", "made", "--json")
    assert done.json()["agreement"]["images"] == said
    table = run("build", onnx, "--engine", "onnxruntime", *images, "-o", "made")
    assert f"4: {said}" in table.out


@pytest.mark.parametrize(
    ("onnx", "images", "said"),
    [
        ("street.onnx", (), "synthetic street images"),
        ("float.onnx", (), "grey images"),
        ("float.onnx", ("--images", "images"), "images"),
    ],
)
def test_bench_says_on_which_images_it_timed(run: Run, onnx: str, images: tuple[str, ...], said: str) -> None:
    words = ("bench", onnx, *images, "-n", "2", "--warm-up", "0")
    assert run(*words, "--json").json()["conditions"]["images"] == said
    assert f"on {said}" in " ".join(run(*words).out.split())  # a narrow title is wrapped


def test_export_says_on_which_images_it_compared(run: Run, tiny_weights: Path) -> None:
    words = ("export", str(tiny_weights), "-o", "made", "--json")
    assert run(*words, "--images", "images").json()["images"] == "images"


def test_a_folder_that_is_not_there_is_refused(run: Run) -> None:
    for words in (("build", "float.onnx"), ("bench", "float.onnx")):
        done = run(*words, "--images", "none")
        assert done.code == 2
        assert done.lines("hint")


def test_a_dry_run_needs_no_tensorrt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, program in (("tensorrt", "trtexec"), ("tensorrt_rtx", "tensorrt_rtx")):
        monkeypatch.setitem(sys.modules, name, None)  # the import fails
        done = run("build", "float.onnx", "--engine", name, "--dry-run", "--level", "4")
        assert done.code == 0, done.err
        assert done.out.startswith(f"{program} --onnx=float.onnx --saveEngine=float.plan")
        assert "--builderOptimizationLevel=4" in done.out
        assert ("--stronglyTyped" in done.out) == (name == "tensorrt")
        assert not Path("engines").exists()
