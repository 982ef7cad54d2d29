"""`edgeseg diff` on data sets, folders and videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from small_cli import Run, runner
from small_onnx import frames, street_onnx

MODELS = ("street.onnx", "other.onnx", "--engine", "onnxruntime", "--threads", "1")
STREETS = "street:?seed=3&frames=9&size=64x32"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with two small nets and a few images."""
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    street_onnx(tmp_path, seed=1, name="other.onnx")
    Path("images").mkdir()
    for index, rgb in enumerate(frames(3)):
        cv2.imwrite(f"images/{index}.png", rgb)
    return runner(monkeypatch, capfd)


def test_with_data_it_has_the_accuracy_of_both(run: Run) -> None:
    data = run("diff", *MODELS, "--data", STREETS, "--max-class-drop", "100", "--json").json()
    assert (data["a"], data["b"], data["images"]) == ("street.onnx", "other.onnx", 9)
    assert 0 <= data["agreement"]["value"] < 1
    assert data["truth"]["images"] == 9
    assert data["truth"]["alarms"] == []
    assert data["layers"] is None


def test_an_alarm_is_exit_code_1(run: Run) -> None:
    words = ("diff", *MODELS, "--data", STREETS, "--max-class-drop", "0")
    done = run(*words)
    assert done.code == 1, done.err
    assert "ALARM" in done.out
    assert done.lines("warning")


def test_images_are_compared_and_those_that_differ_most_are_written(run: Run) -> None:
    done = run("diff", *MODELS, "--images", "images", "--limit", "2", "-o", "out", "--worst", "1")
    assert done.code == 0, done.err
    assert "wrote out/sheet.png" in done.err.splitlines()
    written = {path.name for path in Path("out").iterdir()}
    assert written - {"sheet.png"} in ({"01-0.png"}, {"01-1.png"})
    assert "equal labels" in done.out


def test_a_video_has_the_flicker_of_both(run: Run) -> None:
    data = run("diff", *MODELS, "test://street?size=64x32&frames=5", "--limit", "3", "--json").json()
    assert data["images"] == 3
    assert {side: each["pairs"] for side, each in data["flicker"].items()} == {"a": 2, "b": 2}
    assert "flicker" in run("diff", *MODELS, "test://street?size=64x32&frames=3").out


def test_layers_are_compared_on_demand(run: Run) -> None:
    pytest.importorskip("polygraphy")
    layers = run("diff", *MODELS, "--images", "images", "--layers", "--json").json()["layers"]
    ratios = layers["signal_to_noise_db"]
    assert set(ratios) >= {"c0", "c1", "logits"}
    assert ratios["x0"] is None, "the inputs are equal: no noise"
    assert ratios["logits"] < 10, "other weights"
    assert layers["built"]["matched"] > 0
    same = ("street.onnx", "street.onnx", *MODELS[2:])
    assert set(
        run("diff", *same, "--images", "images", "--layers", "--json").json()["layers"]["signal_to_noise_db"].values()
    ) == {None}
    assert "signal to noise" in run("diff", *MODELS, "--images", "images", "--layers").out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "ES-MISMATCH-OPTIONS"),
        (("--data", STREETS, "--images", "images"), "ES-MISMATCH-OPTIONS"),
        (("--images", "images", *("--engine", "openvino") * 2), "ES-MISMATCH-OPTIONS"),
        (("--images", "nothing"), "ES-FILE-MISSING"),
        (("--data", "camvd:x"), "ES-NAME"),
    ],
)
def test_what_cannot_be_compared_is_refused(run: Run, words: tuple[str, ...], code: str) -> None:
    done = run("diff", *MODELS, *words)
    assert (done.code, done.error_code) == (2, code)
