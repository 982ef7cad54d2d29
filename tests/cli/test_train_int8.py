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
    options = ("--ranges", made["ranges"], "--precision", "int8", "--engine", "onnxruntime", "--json", "--force")
    assert run("convert", made["onnx"], *options).json()["precision"] == "int8"


@pytest.mark.parametrize(
    ("options", "code", "value"),
    [
        (("--ohem", "0.7"), "ES-MISMATCH-OPTIONS", "--ohem"),
        (("--val", STREET), "ES-MISMATCH-OPTIONS", "--val"),
        (("--device", "cuda"), "ES-MISMATCH-OPTIONS", "--device"),
        (("--scale", "2", "1"), "ES-DATA", "--scale 2 1"),
        (("--share", "1", "--share", "2"), "ES-DATA", "--share"),
        (("--ranges", "nothing.json"), "ES-FILE-MISSING", "nothing.json"),
    ],
)
def test_mistakes(run: Run, tiny_weights: Path, options: tuple[str, ...], code: str, value: str) -> None:
    done = run("train", tiny_weights, "--qat", "--data", STREET, "--steps", "2", *options)
    assert done.code == 2
    assert done.error_code.startswith(code)
    assert value in done.lines("error")[0]
    assert len(done.lines("hint")) == 1


def test_no_file_that_it_begins_with_is_overwritten(run: Run, tiny_onnx: Path, tmp_path: Path) -> None:
    source, table = tmp_path / "tiny.onnx", tmp_path / "tiny.ranges.json"
    source.write_bytes(tiny_onnx.read_bytes())
    table.write_text("{}")
    for words in ((source, "-o", "."), (tiny_onnx, "--ranges", table, "-o", tmp_path)):
        done = run("train", *words, "--qat", "--data", STREET, "--steps", "1")
        assert done.code == 2
        assert "would overwrite its source" in done.lines("error")[0]
        assert done.lines("hint") == ["name another folder with -o"]
    assert source.read_bytes() == tiny_onnx.read_bytes()
    assert table.read_text() == "{}"


def test_ctrl_c_in_a_tuning_that_began_anew(run: Run, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeseg.train.qat.tuner.Tuner.step", interrupted)
    done = run("train", tiny_onnx, "--qat", "--data", STREET, "--steps", "1", "-o", "run", "--restart")
    assert done.code == 130
    assert "the same command without --restart resumes from run/tiny.qat.pt" in done.err
