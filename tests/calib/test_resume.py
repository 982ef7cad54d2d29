"""An interrupted calibration resumes, and gives the table of an uninterrupted one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from residual_onnx import residual_onnx
from small_cli import Run, runner
from small_onnx import frames

from edgeseg.calib.calibrate import CHECKPOINT_IMAGES, ranges_from_images
from edgeseg.calib.calibration import Calibration
from edgeseg.calib.range import RangeTable

KILLED = """
import os, signal, sys
from edgeseg.calib.calibration import Calibration
run = Calibration.run
def killed_at_20(self, rgb):
    if self.images.count == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(self, rgb)
Calibration.run = killed_at_20
from edgeseg.cli import main
sys.argv = ["edgeseg", *sys.argv[1:]]
main()
"""
WORDS = ("calibrate", "residual.onnx", "--images", "images")
IMAGES = 24


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """In a folder with a network and images."""
    monkeypatch.chdir(tmp_path)
    residual_onnx(tmp_path)
    write_images(tmp_path / "images", frames(IMAGES))
    return runner(monkeypatch, capfd)


@pytest.fixture
def image_numbers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the images that the network ran on."""
    numbers: list[int] = []
    before = Calibration.run

    def counting(self: Calibration, rgb: Any) -> Any:
        numbers.append(self.images.count)
        return before(self, rgb)

    monkeypatch.setattr(Calibration, "run", counting)
    return numbers


def write_images(folder: Path, images: np.ndarray) -> None:
    folder.mkdir()
    for index, rgb in enumerate(images):
        cv2.imwrite(str(folder / f"{index:02}.png"), rgb[..., ::-1])


def stop_at(monkeypatch: pytest.MonkeyPatch, image: int, method: str) -> None:
    """Ctrl-C when `method` is called for that image."""
    before = getattr(Calibration, method)

    def stopped(self: Calibration, *arguments: Any) -> Any:
        if self.images.count == image:
            signal.raise_signal(signal.SIGINT)
        return before(self, *arguments)

    monkeypatch.setattr(Calibration, method, stopped)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_calibration_resumes(run: Run, image_numbers: list[int]) -> None:
    assert run(*WORDS, "-o", "whole.json").code == 0
    image_numbers.clear()
    words = (*WORDS, "-o", "killed.json")
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert RangeTable.open("killed.json.partial").images == CHECKPOINT_IMAGES
    assert not Path("killed.json").exists()
    assert run(*words, "--json").json()["images"] == IMAGES
    assert image_numbers == list(range(CHECKPOINT_IMAGES, IMAGES))
    assert Path("killed.json").read_bytes() == Path("whole.json").read_bytes()
    assert not Path("killed.json.partial").exists()
    assert not Path("whole.json.partial").exists()


# An interrupt while an image is added leaves incomplete statistics: the last checkpoint counts.
@pytest.mark.parametrize(
    ("image", "method", "saved"), [(5, "run", 5), (CHECKPOINT_IMAGES + 2, "add", CHECKPOINT_IMAGES)]
)
def test_ctrl_c_loses_at_most_the_images_since_a_checkpoint(
    run: Run, image_numbers: list[int], monkeypatch: pytest.MonkeyPatch, image: int, method: str, saved: int
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, image, method)
        done = run(*WORDS, "-o", "cut.json")
    assert done.code == 130
    assert "cut.json.partial" in done.err
    assert "Traceback" not in done.err
    assert RangeTable.open("cut.json.partial").images == saved
    image_numbers.clear()
    assert run(*WORDS, "-o", "cut.json").code == 0
    assert image_numbers == list(range(saved, IMAGES))
    run(*WORDS, "-o", "whole.json")
    assert Path("cut.json").read_bytes() == Path("whole.json").read_bytes()


def test_a_calibration_that_ended_before_its_table_was_written(tmp_path: Path, image_numbers: list[int]) -> None:
    path, partial = residual_onnx(tmp_path).path, tmp_path / "t.json.partial"
    images = frames(CHECKPOINT_IMAGES)
    whole = ranges_from_images(path, images, partial=partial)
    image_numbers.clear()
    steps: list[tuple[str, int, int | None]] = []
    again = ranges_from_images(path, images, partial=partial, progress=lambda *step: steps.append(step))
    assert again.to_json() == whole.to_json()
    assert (image_numbers, steps) == ([], [("calibrate", CHECKPOINT_IMAGES, CHECKPOINT_IMAGES)])


@pytest.mark.parametrize("change", ["network", "first image", "fewer images", "order"])
def test_a_partial_of_something_else_is_not_used(
    tmp_path: Path, image_numbers: list[int], caplog: pytest.LogCaptureFixture, change: str
) -> None:
    path, partial = residual_onnx(tmp_path).path, tmp_path / "t.json.partial"
    images = frames(CHECKPOINT_IMAGES)
    ranges_from_images(path, images, partial=partial)
    if change == "network":
        path = residual_onnx(tmp_path, "other.onnx", seed=3).path
    elif change == "first image":
        images = np.concatenate([images[:1] + 1, images[1:]])
    else:
        images = images[:-1] if change == "fewer images" else images[::-1]
    expected = ranges_from_images(path, images)
    image_numbers.clear()
    caplog.clear()
    assert ranges_from_images(path, images, partial=partial).to_json() == expected.to_json()
    assert image_numbers == list(range(len(images)))
    assert str(partial) in caplog.text


def test_a_partial_that_cannot_be_read_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, partial = residual_onnx(tmp_path).path, tmp_path / "t.json.partial"
    partial.write_text("buy milk")
    assert ranges_from_images(path, frames(2), partial=partial).images == 2
    assert str(partial) in caplog.text


def test_a_partial_of_an_older_release_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, partial = residual_onnx(tmp_path).path, tmp_path / "t.json.partial"
    data = json.loads(ranges_from_images(path, frames(2)).to_json())
    for row in data["tensors"].values():
        row.pop("channels", None)
    partial.write_text(json.dumps(data))
    table = ranges_from_images(path, frames(3), partial=partial)
    assert table.to_json() == ranges_from_images(path, frames(3)).to_json()
    assert str(partial) in caplog.text
