"""`build`, `export` and `bench` take the user's images, and say on which they compared and timed."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest
from small_cli import Run, runner
from small_clips import make_clip, quarters
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


@pytest.mark.parametrize(
    ("onnx", "words", "said", "size"),
    [
        ("street.onnx", ("--images", "large"), "large", (160, 96)),
        ("street.onnx", ("--images", "mixed"), "mixed", (0, 0)),
        ("street.onnx", ("--video", "clip.mp4"), "clip.mp4", (160, 96)),
        ("street.onnx", ("--video", "clip.mp4", "--images", "images"), "images", (64, 32)),
        ("street.onnx", ("--frame-size", "128x96"), "synthetic street images", (128, 96)),
        ("float.onnx", ("--frame-size", "128x96"), "grey images", (128, 96)),
        ("float.onnx", (), "grey images", (64, 32)),
    ],
)
def test_bench_times_frames_of_the_size_that_they_have(
    run: Run, onnx: str, words: tuple[str, ...], said: str, size: tuple[int, int]
) -> None:
    for folder in ("large", "mixed"):
        Path(folder).mkdir()
        cv2.imwrite(f"{folder}/0.png", quarters())
    cv2.imwrite("mixed/1.png", quarters(80, 60))
    make_clip(Path("clip.mp4"), 3)
    record = run("bench", onnx, *words, "-n", "2", "--warm-up", "0", "--threads", "1", "--json").json()
    conditions = record["conditions"]
    assert (conditions["images"], conditions["frame_width"], conditions["frame_height"]) == (said, *size)
    assert [row["scope"] for row in record["rows"]] == ["engine", "frame", *["file"] * ("--video" in words)]


def test_a_video_of_one_frame_is_refused(run: Run) -> None:
    make_clip(Path("one.mp4"), 1)
    done = run("bench", "street.onnx", "--video", "one.mp4")
    assert (done.code, done.error_code) == (2, "ES-DATA-SHORT")
    assert done.lines("hint")


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
