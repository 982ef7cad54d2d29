"""Each error that a user can cause: one line of error, one of hint, exit code 2, and nothing half-made left behind."""

from __future__ import annotations

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

# what is typed; what the error says; what the hint says
WRONG: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no such video": (("stream", "nothing.mp4", ONNX), "no such file: nothing.mp4", "check the path"),
    "no such onnx": (("convert", "nothing.onnx"), "no such file: nothing.onnx", "check the path"),
    "no such engine file": (("bench", "nothing.onnx"), "no such file: nothing.onnx", "check the path"),
    "no such weights": (("export", "nothing.safetensors"), "no such file: nothing.safetensors", "check the path"),
    "no such file to inspect": (("inspect", "nothing.onnx"), "no such file: nothing.onnx", "check the path"),
    "no such recipe": (("convert", "nothing.toml"), "no such file: nothing.toml", "check the path"),
    "text as video": (("stream", "notes.mp4", ONNX), "notes.mp4", "name a video file"),
    "text as a video of another name": (("stream", "notes.txt", ONNX), "notes.txt", "name a video file"),
    "text as onnx": (("convert", "notes.onnx", "-o", "out"), "notes.onnx is not a valid ONNX file", "edgeseg models"),
    "text as engine": (("stream", STREET, "notes.onnx"), "notes.onnx is not a valid ONNX file", "edgeseg models"),
    "text to inspect": (("inspect", "notes.txt"), "notes.txt is not a valid ONNX file", "edgeseg models"),
    "text as weights": (("inspect", "notes.safetensors"), "notes.safetensors is not a weights file", "edgeseg models"),
    "text as a range table": ((*CONVERT, "--ranges", "notes.txt"), "the range table is not JSON", "edgeseg calibrate"),
    "unknown model": (("convert", "bisenetv2-stret"), "unknown model: bisenetv2-stret", "mean bisenetv2-street?"),
    "unknown engine": (("convert", ONNX, "--engine", "openvno"), "unknown engine: openvno", "did you mean openvino?"),
    "unknown precision": ((*CONVERT, "--precision", "int4"), "unknown precision: int4", "did you mean int8?"),
    "a precision that the engine lacks": (
        (*CONVERT, "--precision", "bf16"), "the engine onnxruntime makes no bf16", "it makes: fp32, int8",
    ),
    "int8 without ranges": ((*CONVERT, "--precision", "int8"), "int8 needs ranges", "--images FOLDER"),
    "no size": ((*CONVERT, "--size", "large"), "not a size: large", "WIDTHxHEIGHT"),
    "another size than the onnx": ((*CONVERT, "--size", "128x64"), "was exported at 64x32", "edgeseg export --size"),
    "unknown command": (("covert", "x"), "unknown command: covert", "did you mean convert?"),
    "unknown option": (("convert", "x", "--presision", "int8"), "No such option", "--help"),
    "a missing argument": (("stream", "x"), "MODEL", "--help"),
    "a number that is none": (("bench", ONNX, "-n", "many"), "Invalid value for '-n'", "edgeseg bench --help"),
    "unknown source": (("stream", "tset://street", ONNX), "unknown kind of source: tset", "did you mean test?"),
    "unknown option of a source": (("stream", "test://street?sed=1", ONNX), "street: sed", "did you mean seed?"),
    "unknown ending of a sink": (
        ("stream", STREET, ONNX, "-o", "out.mpg4"), "unknown output ending: .mpg4", "did you mean .mp4?",
    ),
    "unknown data set": (("eval", ONNX, "--data", "camvd:x"), "unknown data set: camvd", "did you mean camvid?"),
    "no data set": (("eval", ONNX, "--data", "x"), "no data set is named in x", "write NAME:x"),
    "label ids out of range": (("eval", ONNX, "--data", "camvid:camvid"), "has label ids 42", "use 0..10, and 255"),
    "classes of another data set": (("eval", "small.onnx", "--data", "street:?frames=1"), "small knows 5", "classes"),
    "an empty calibration folder": ((*CONVERT, "--images", "empty"), "no images in empty", "name a folder with images"),
    "no calibration folder": (("calibrate", ONNX, "--images", "nothing"), "no such folder: nothing", "check the path"),
    "an image that is none": ((*CONVERT, "--images", "broken"), "this image cannot be read", "remove it"),
    "ranges of another model": (
        (*CONVERT, "--ranges", "small.json"), "the range table is of small", "edgeseg calibrate",
    ),
    "ranges of another model to quantize": (
        ("quantize", ONNX, "--ranges", "small.json"), "the range table is of small", "edgeseg calibrate",
    ),
    "unknown quantisation target": (
        ("quantize", "small.onnx", "--ranges", "small.json", "--target", "openvno"), "openvno", "mean openvino?",
    ),
    "a folder that cannot be made": (
        ("convert", ONNX, "--engine", "onnxruntime", "-o", "notes.txt/out"), "cannot write to notes.txt/out", "with -o",
    ),
    "a folder that cannot be made for a video": (
        ("stream", STREET, ONNX, "-o", "notes.txt/x.mp4"), "cannot write to notes.txt", "with -o",
    ),
    "a folder that cannot be made for a table": (
        ("calibrate", "small.onnx", "--images", "images", "-o", "notes.txt/x.json"), "cannot write to notes.txt", "-o",
    ),
    "a folder that cannot be made for an int8 onnx": (
        ("quantize", "small.onnx", "--ranges", "small.json", "-o", "notes.txt/x.onnx"), "cannot write", "with -o",
    ),
    "an engine that a file is not of": (
        ("bench", ONNX, "--precision", "int8"), "has the precision fp32, and int8 was asked for", "edgeseg convert",
    ),
    "no camera": (("stream", "camera:97", ONNX), "there is no camera /dev/video97", ""),
}  # fmt: skip

WRONG_WEIGHTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "a size that breaks the rule": (
        ("convert", "tiny.safetensors", "--size", "100x100"), "does not take 100x100: it takes multiples of 32",
        "use 96x96 or 128x128",
    ),
    "a size that breaks the rule to export": (
        ("export", "tiny.safetensors", "--size", "20x20", "-o", "out"), "does not take 20x20", "use 64x64",
    ),
    "text as weights to convert": (("convert", "notes.safetensors"), "not a weights file", "edgeseg models"),
    "text as weights to export": (("export", "notes.txt"), "not a weights file: notes.txt", "edgeseg models"),
    "weights of another family": (
        ("convert", "wrong.safetensors", "-o", "out"), "these weights are not of bisenetv2 light", "name the family",
    ),
    "weights of another family to export": (
        ("export", "wrong.safetensors", "-o", "out"), "these weights are not of bisenetv2 light", "name the family",
    ),
    "an empty calibration folder": (
        ("convert", "tiny.safetensors", "--images", "empty"), "no images in empty", "name a folder with images",
    ),
    "no model": (("export",), "no model was named", "edgeseg export bisenetv2-street"),
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


def check_refusal(run: Run, desk: Path, words: tuple[str, ...], error: str, hint: str) -> None:
    """The command says so in two lines and leaves the folder as it was."""
    before = everything_in(desk)
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 2, done.err
    (said,), (advised,) = done.lines("error"), done.lines("hint")
    assert error in said
    assert hint in advised
    assert advised
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
    check_refusal(run, desk, words, f"the engine {engine} is not available", f"pip install {engine}")


@pytest.mark.parametrize("command", ["convert", "export"])
def test_weights_without_torch(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # makes its import fail
    words = (command, "bisenetv2-street", "-o", "out")
    check_refusal(run, desk, words, "weights are converted with torch, which is not installed", "edgeseg[export]")


def test_a_truncated_video_keeps_its_frames_and_says_what_was_lost(run: Run, desk: Path) -> None:
    clip = make_clip(desk / "cut.mp4", 20, rgb=noise, options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    done = run("stream", "cut.mp4", ONNX, "-o", "out.mp4", "--json")
    data = done.json()
    assert 5 < data["frames"] < 15
    assert any(
        f"cut.mp4: the file is cut short: {data['frames']} of 20 frames" in text for text in done.lines("warning")
    )
    assert data["warnings"] == done.lines("warning")
    assert (desk / "out.mp4").exists()


def test_a_source_that_fails_in_the_middle_leaves_a_playable_video(run: Run, desk: Path) -> None:
    (desk / "many").mkdir()
    for index in range(2):
        cv2.imwrite(f"many/{index}.png", np.zeros((32, 64, 3), np.uint8))
    (desk / "many" / "2.png").write_bytes(b"torn")
    done = run("stream", "many", ONNX, "-o", "out.mp4")
    assert (done.code, done.lines("error")) == (2, ["this image cannot be read: many/2.png"])
    assert [path.name for path in desk.glob(".*")] == []
    with open_source("out.mp4") as written:
        assert len(list(written)) == 2
        assert written.warnings == []
