"""`edgeseg train --qat` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cli import Run, runner

torch = pytest.importorskip("torch")

STREET = "street:?seed=1&scenes=2&frames=2&size=96x64"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def test_the_tuned_onnx_and_its_ranges_convert(run: Run, tiny_weights: Path) -> None:
    typed = ("train", tiny_weights, "--qat", "--data", STREET, "--steps", "2", "--batch", "2", "-o", "run", "--json")
    made = run(*typed).json()
    assert made["steps"] == 2
    again = run(*typed)
    assert again.json() == {**made, "resumed": 2, "seconds": again.json()["seconds"], "loss": 0}
    options = ("--ranges", made["ranges"], "--precision", "int8", "--engine", "onnxruntime", "--json")
    assert run("convert", made["onnx"], *options).json()["precision"] == "int8"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ohem", "0.7"), "--ohem means nothing with --qat"),
        (("--val", STREET), "--val means nothing with --qat"),
        (("--share", "1", "--share", "2"), "1 --data and 2 --share"),
        (("--ranges", "nothing.json"), "no such file: nothing.json"),
    ],
)
def test_mistakes(run: Run, tiny_weights: Path, options: tuple[str, ...], message: str) -> None:
    done = run("train", tiny_weights, "--qat", "--data", STREET, "--steps", "2", *options)
    assert done.code == 2
    assert done.lines("error") == [message]
    assert len(done.lines("hint")) == 1
