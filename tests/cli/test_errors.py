"""Each error that a user can cause: one line of error, one of hint, exit code 2, and nothing half-made left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_clips import make_clip, noise
from small_onnx import float_onnx, frames, street_onnx

from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.video.source import open_source

STREET = "test://street?size=64x48&frames=2"
ONNX = "street.onnx"
CONVERT = ("convert", ONNX, "--engine", "onnxruntime", "-o", "out")

# words of the command line; the code; a value that the error names; a value that the hint names
WRONG: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "no such video": (("stream", "nothing.mp4", ONNX), "ES-FILE-MISSING", "nothing.mp4", ""),
    "no such onnx": (("convert", "nothing.onnx"), "ES-FILE-MISSING", "nothing.onnx", ""),
    "no such engine file": (("bench", "nothing.onnx"), "ES-FILE-MISSING", "nothing.onnx", ""),
    "no such weights": (("export", "nothing.safetensors"), "ES-FILE-MISSING", "nothing.safetensors", ""),
    "no such file to inspect": (("inspect", "nothing.onnx"), "ES-FILE-MISSING", "nothing.onnx", ""),
    "no such recipe": (("convert", "nothing.toml"), "ES-FILE-MISSING", "nothing.toml", ""),
    "text as video": (("stream", "notes.mp4", ONNX), "ES-SOURCE-FORMAT", "notes.mp4", ""),
    "text as a video of another name": (("stream", "notes.txt", ONNX), "ES-SOURCE-FORMAT", "notes.txt", ""),
    "text as onnx": (("convert", "notes.onnx", "-o", "out"), "ES-FORMAT-ONNX", "notes.onnx", "edgeseg models"),
    "text as engine": (("stream", STREET, "notes.onnx"), "ES-FORMAT-ONNX", "notes.onnx", "edgeseg models"),
    "text to inspect": (("inspect", "notes.txt"), "ES-FORMAT-ONNX", "notes.txt", "edgeseg models"),
    "text as weights": (("inspect", "notes.safetensors"), "ES-FORMAT", "notes.safetensors", "edgeseg models"),
    "text as a range table": ((*CONVERT, "--ranges", "notes.txt"), "ES-FORMAT", "range table", "edgeseg calibrate"),
    "unknown model": (("convert", "bisenetv2-stret"), "ES-NAME", "bisenetv2-stret", "bisenetv2-street"),
    "unknown engine": (("convert", ONNX, "--engine", "openvno"), "ES-NAME", "openvno", "openvino"),
    "unknown precision": ((*CONVERT, "--precision", "int4"), "ES-NAME", "int4", "int8"),
    "a precision that the engine lacks": ((*CONVERT, "--precision", "bf16"), "ES-", "bf16", "fp32, int8"),
    "int8 without ranges": ((*CONVERT, "--precision", "int8"), "ES-", "int8", "--images"),
    "no size": ((*CONVERT, "--size", "large"), "ES-SIZE", "large", "WIDTHxHEIGHT"),
    "another size than the onnx": ((*CONVERT, "--size", "128x64"), "ES-MISMATCH", "64x32", "edgeseg export --size"),
    "unknown command": (("covert", "x"), "ES-NAME", "covert", "convert"),
    "unknown option": (("convert", "x", "--presision", "int8"), "ES-USAGE", "--presision", "edgeseg convert --help"),
    "a missing argument": (("stream", "x"), "ES-USAGE", "MODEL", "edgeseg stream --help"),
    "a matrix and a model": (("bench", ONNX, "--matrix", "m"), "ES-MISMATCH-OPTIONS", "--matrix", "--matrix m"),
    "a matrix and options": (
        ("bench", "--matrix", "m", "--threads", "2", "-n", "5", "--file", "--device", "cpu", "--data", "street:"),
        "ES-MISMATCH-OPTIONS", "--data, --device, -n, --file, --threads", "--matrix m",
    ),
    "a matrix without cases": (("bench", "--matrix", "notes.txt"), "ES-FORMAT-TOML", "notes.txt", "matrix.toml"),
    "bench of nothing": (("bench",), "ES-USAGE", "MODEL", "edgeseg bench"),
    "an unknown scenario": (("bench", ONNX, "--scenario", "sever"), "ES-NAME", "sever", "single-stream"),
    "a rate without a camera": (("bench", ONNX, "--rate", "10"), "ES-MISMATCH-OPTIONS", "--rate", "--scenario camera"),
    "no size of a frame": (("bench", ONNX, "--frame-size", "large"), "ES-SIZE", "large", "WIDTHxHEIGHT"),
    "a size of images": (
        ("bench", ONNX, "--frame-size", "64x64", "--images", "dashcam"), "ES-MISMATCH-OPTIONS", "dashcam",
        "leave --frame-size out",
    ),
    "a number that is none": (("bench", ONNX, "-n", "many"), "ES-USAGE", "-n", "edgeseg bench --help"),
    "unknown source": (("stream", "tset://street", ONNX), "ES-NAME", "tset", "test"),
    "unknown option of a source": (("stream", "test://street?sed=1", ONNX), "ES-NAME", "sed", "seed"),
    "unknown ending of a sink": (("stream", STREET, ONNX, "-o", "out.mpg4"), "ES-NAME", ".mpg4", ".mp4"),
    "unknown data set": (("eval", ONNX, "--data", "camvd:x"), "ES-NAME", "camvd", "camvid"),
    "no data set": (("eval", ONNX, "--data", "x"), "ES-NAME", "x", "KIND:x"),
    "label ids out of range": (("eval", ONNX, "--data", "camvid:camvid"), "ES-DATA", "0001TP.png", "255"),
    "classes of another data set": (("eval", "small.onnx", "--data", "street:?frames=1"), "ES-MISMATCH", "small", ""),
    "an empty calibration folder": ((*CONVERT, "--images", "empty"), "ES-DATA", "empty", ""),
    "no calibration folder": (("calibrate", ONNX, "--images", "nothing"), "ES-FILE-MISSING", "nothing", ""),
    "an image that is none": ((*CONVERT, "--images", "broken"), "ES-FORMAT", "broken/0.png", ""),
    "ranges of another model": ((*CONVERT, "--ranges", "small.json"), "ES-RANGES-OTHER", "small", "edgeseg calibrate"),
    "ranges of another model to quantize": (
        ("quantize", ONNX, "--ranges", "small.json"), "ES-RANGES-OTHER", "small", "edgeseg calibrate",
    ),
    "unknown quantisation target": (
        ("quantize", "small.onnx", "--ranges", "small.json", "--target", "openvno"), "ES-NAME", "openvno", "openvino",
    ),
    "a folder that cannot be made": (
        ("convert", ONNX, "--engine", "onnxruntime", "-o", "notes.txt/out"), "ES-FILE-WRITE", "notes.txt/out", "-o",
    ),
    "a folder that cannot be made for a video": (
        ("stream", STREET, ONNX, "-o", "notes.txt/x.mp4"), "ES-FILE-WRITE", "notes.txt", "-o",
    ),
    "a folder that cannot be made for a table": (
        ("calibrate", "small.onnx", "--images", "images", "-o", "notes.txt/x.json"), "ES-FILE-WRITE", "notes.txt", "-o",
    ),
    "a folder that cannot be made for an int8 onnx": (
        ("quantize", "small.onnx", "--ranges", "small.json", "-o", "notes.txt/x.onnx"), "ES-FILE-WRITE", "notes", "-o",
    ),
    "an engine that a file is not of": (
        ("bench", ONNX, "--precision", "int8"), "ES-MISMATCH-ENGINE", "fp32", "edgeseg convert",
    ),
}  # fmt: skip

WRONG_WEIGHTS: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "a size that breaks the rule": (
        ("convert", "tiny.safetensors", "--size", "100x100"), "ES-SIZE", "multiples of 32", "96x96 or 128x128",
    ),
    "a size that breaks the rule to export": (
        ("export", "tiny.safetensors", "--size", "20x20", "-o", "out"), "ES-SIZE", "20x20", "64x64",
    ),
    "text as weights to convert": (("convert", "notes.safetensors"), "ES-FORMAT", "notes", "edgeseg models"),
    "text as weights to export": (("export", "notes.txt"), "ES-FORMAT", "notes.txt", "edgeseg models"),
    "weights of another family": (
        ("convert", "wrong.safetensors", "-o", "out"), "ES-MISMATCH", "bisenetv2 light", "family",
    ),
    "weights of another family to export": (
        ("export", "wrong.safetensors", "-o", "out"), "ES-MISMATCH", "bisenetv2 light", "family",
    ),
    "an empty calibration folder": (("convert", "tiny.safetensors", "--images", "empty"), "ES-DATA", "empty", ""),
    "no model": (("export",), "ES-NAME", "", "edgeseg export bisenetv2-street"),
}  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that is wrong in some way, which the commands run in."""
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "notes.mp4", "notes.onnx", "notes.safetensors"):
        (tmp_path / name).write_text("buy milk\n" * 50)
    for name in ("empty", "images", "broken", "camvid/test/images", "camvid/test/labels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "broken" / "0.png").write_text("no picture")
    cv2.imwrite("images/0.png", frames(1)[0])
    cv2.imwrite("camvid/test/images/0001TP.png", frames(1)[0])
    cv2.imwrite("camvid/test/labels/0001TP.png", np.full((32, 64), 42, np.uint8))
    street_onnx(tmp_path)
    ranges_from_images(float_onnx(tmp_path, name="small.onnx").path, frames(1)).write("small.json")
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_refusal(run: Run, desk: Path, words: tuple[str, ...], code: str, value: str, advice: str) -> None:
    """The command refuses in two lines, with `code` or a narrower one, and leaves the folder as it was."""
    before = everything_in(desk)
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 2, done.err
    (error,), (hint,) = done.lines("error"), done.lines("hint")
    assert done.error_code.startswith(code)
    assert value in error
    assert hint
    assert advice in hint
    assert everything_in(desk) == before


@pytest.mark.parametrize("case", WRONG)
def test_an_error_is_two_lines(run: Run, desk: Path, case: str) -> None:
    check_refusal(run, desk, *WRONG[case])


@pytest.mark.parametrize("case", WRONG_WEIGHTS)
def test_an_error_with_weights_is_two_lines(run: Run, desk: Path, tiny_weights: Path, case: str) -> None:
    from small_nets import small_spec, write_state

    from edgeseg.models import open_family

    Path("tiny.safetensors").write_bytes(tiny_weights.read_bytes())
    state = open_family("segformer").build(small_spec("segformer")).state_dict()
    write_state(Path("wrong.safetensors"), state, small_spec("bisenetv2"))
    check_refusal(run, desk, *WRONG_WEIGHTS[case])


@pytest.mark.parametrize(("engine", "module"), [("openvino", "openvino"), ("onnxruntime", "onnxruntime")])
def test_an_engine_that_is_not_installed(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch, engine: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # makes its import fail
    words = ("convert", ONNX, "--engine", engine, "-o", "out")
    check_refusal(run, desk, words, "ES-MISSING", engine, f"pip install {engine}")


@pytest.mark.parametrize("command", ["convert", "export"])
def test_weights_without_torch(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes its import fail
    words = (command, "bisenetv2-street", "-o", "out")
    check_refusal(run, desk, words, "ES-MISSING", "torch", "edgeseg[export]")


def test_a_truncated_video_keeps_its_frames_and_says_what_was_lost(run: Run, desk: Path) -> None:
    clip = make_clip(desk / "cut.mp4", 20, rgb=noise, options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    done = run("stream", "cut.mp4", ONNX, "-o", "out.mp4", "--json")
    data = done.json()
    assert 5 < data["frames"] < 15
    (cut_short,) = (loss for loss in data["losses"] if loss["code"] == "ES-SOURCE-CUT-SHORT")
    assert f"{data['frames']} of 20 frames" in cut_short["message"]
    assert data["warnings"] == done.lines("warning")
    assert (desk / "out.mp4").exists()


def test_a_source_that_fails_in_the_middle_leaves_a_playable_video(run: Run, desk: Path) -> None:
    (desk / "many").mkdir()
    for index in range(2):
        cv2.imwrite(f"many/{index}.png", np.zeros((32, 64, 3), np.uint8))
    (desk / "many" / "2.png").write_bytes(b"torn")
    done = run("stream", "many", ONNX, "-o", "out.mp4")
    assert done.code == 2
    assert done.error_code.startswith("ES-FORMAT")
    assert "many/2.png" in done.lines("error")[0]
    assert [path.name for path in desk.glob(".*")] == []
    with open_source("out.mp4") as written:
        assert len(list(written)) == 2
        assert written.warnings == []


def test_with_json_the_error_is_json_too(run: Run, desk: Path) -> None:
    done = run("convert", "nothing.onnx", "--json")
    assert done.code == 2
    error = json.loads(done.out)["error"]
    assert (error["code"], [error["message"]], [error["hint"]]) == (
        "ES-FILE-MISSING", done.lines("error"), done.lines("hint"),
    )  # fmt: skip


TERMINATED = """
import os, signal, sys
import edgeseg.conversion as conversion
from edgeseg.cli import main

def terminate(*_, **__):
    print(*(path.name for path in conversion.Path("out").iterdir()))
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()

conversion.float_onnx = terminate
sys.argv = ["edgeseg", "convert", "street.onnx", "--engine", "onnxruntime", "-o", "out"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
def test_a_terminated_conversion_leaves_no_temporary_folder(desk: Path) -> None:
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert done.stdout.startswith(".edgeseg-")
    assert not Path("out").exists()
