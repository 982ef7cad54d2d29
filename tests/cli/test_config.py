"""`--config FILE.toml`: options from a file, over which the command line wins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from small_cli import Run, runner
from small_onnx import street_onnx

import edgeseg.conversion
from edgeseg.errors import DataError


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    return runner(monkeypatch, capfd)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments with which the command calls `convert`, which does nothing here."""
    arguments: dict[str, Any] = {}

    def convert(model: str, **rest: Any) -> None:
        arguments.update(rest, model=model)
        raise DataError("nothing is converted", hint="a test")

    monkeypatch.setattr(edgeseg.conversion, "convert", convert)
    return arguments


CONFIG = """
model = "street.onnx"
engine = "onnxruntime"
limit = 7
mask = true
mean = [0.5, 0.5, 0.25]
std = [1, 1, 1]
min-agreement = 1
output = "made"
gpu = ["8.6", "8.9"]
"""


def test_the_example_of_the_guide_is_taken(run: Run, converted: dict[str, Any]) -> None:
    guide = Path(__file__).parents[2] / "docs" / "convert.md"
    if not guide.exists():
        pytest.skip("an installed package has no guide beside it")
    (example,) = re.findall(r"^```toml\n(.*?)^```", guide.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    Path("convert.toml").write_text(example)
    assert run("convert", "street.onnx", "--config", "convert.toml").error_code == "ES-DATA"
    assert (converted["engine"], converted["options"].batch) == ("tensorrt", (1, 2, 4))


def test_the_keys_are_option_names_and_the_command_line_wins(run: Run, converted: dict[str, Any]) -> None:
    Path("convert.toml").write_text(CONFIG)
    assert run("convert", "--config", "convert.toml", "--limit", "5").error_code == "ES-DATA"
    assert (converted["model"], converted["engine"], converted["limit"]) == ("street.onnx", "onnxruntime", 5)
    assert (converted["output"].value, converted["out"]) == ("mask", Path("made"))
    assert (converted["statistics"].mean, converted["statistics"].std) == ((0.5, 0.5, 0.25), (1.0, 1.0, 1.0))
    assert converted["precision"].budget.min_agreement == 1
    assert converted["options"].gpus == ("8.6", "8.9")
    run("convert", "other.onnx", "--engine", "openvino", "--config", "convert.toml")
    assert (converted["model"], converted["engine"], converted["limit"]) == ("other.onnx", "openvino", 7)


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("limt = 5", "ES-NAME", "limit"),
        ("limit = '5'", "ES-FORMAT-CONFIG", "an integer"),
        ("limit = true", "ES-FORMAT-CONFIG", "an integer"),
        ("mask = 1", "ES-FORMAT-CONFIG", "true or false"),
        ("minutes = 'ten'", "ES-FORMAT-CONFIG", "a number"),
        ("ranges = 3", "ES-FORMAT-CONFIG", "a text"),
        ("mean = [1, 2]", "ES-FORMAT-CONFIG", "a list of 3"),
        ("limit = 0", "ES-USAGE", "edgeseg convert --help"),
        ("limit", "ES-FORMAT-TOML", ""),
        ("config = 'other.toml'", "ES-NAME", ""),
    ],
)
def test_a_wrong_key_or_value_is_refused(run: Run, converted: dict[str, Any], line: str, code: str, hint: str) -> None:
    Path("wrong.toml").write_text(line)
    done = run("convert", "street.onnx", "--config", "wrong.toml")
    assert (done.code, done.error_code) == (2, code)
    assert hint in done.lines("hint")[0]
    assert not converted


def test_a_training_takes_its_data_and_scale_from_a_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    import edgeseg.train.request as request

    taken: dict[str, Any] = {}

    def request_from_options(model: str, data: list[str], duration: request.Duration, **rest: Any) -> None:
        taken.update(rest["fields"], model=model, data=data, steps=duration.steps, size=rest["size"])
        raise DataError("nothing is trained", hint="a test")

    monkeypatch.setattr(request, "request_from_options", request_from_options)
    Path("train.toml").write_text(
        "data = ['street:?seed=1', 'street:?seed=2']\nshare = [1, 2]\nsteps = 5\nscale = [0.75, 1.5]\n"
        "learning-rate = 1\nsize = '96x64'\n"
    )
    assert run("train", "bisenetv2", "--config", "train.toml", "--steps", "6").error_code == "ES-DATA"
    assert (taken["data"], taken["steps"], taken["size"]) == (["street:?seed=1", "street:?seed=2"], 6, (64, 96))
    assert (taken["scale"], taken["learning_rate"]) == ((0.75, 1.5), 1.0)
