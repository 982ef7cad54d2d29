"""`export --to triton`, and the commands that take a model on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_cli import Run, runner
from small_clips import make_clip
from small_onnx import street_onnx

pytest.importorskip("tritonclient.grpc")

from model_server import Model, opened, serving

from edgeseg.serving import repository_from_model

runner = pytest.fixture(runner)
LOGIN = "YW5uOnNlY3JldA=="  # ann:secret


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A model of the street's classes on a server that wants a login."""
    repository_from_model(street_onnx(tmp_path).path, tmp_path / "repository")
    with serving(opened(Model.from_repository(tmp_path / "repository" / "street"), login=LOGIN)) as server:
        yield f"triton://ann:secret@{server}/street"


def test_a_repository_is_written_and_the_next_command_is_printed(runner: Run, tmp_path: Path) -> None:
    onnx, out = street_onnx(tmp_path).path, tmp_path / "out"
    done = runner("export", onnx, "--to", "triton", "-o", out, "--batch", "4", "--instances", "2", "--name", "road")
    assert done.code == 0
    assert done.lines("next") == ["edgeseg stream SOURCE triton://localhost:8001/road"]
    assert (out / "road" / "config.pbtxt").exists()
    told = runner("export", onnx, "--to", "triton", "-o", out, "--backend", "tensorrt_plan", "--dali", "--json")
    assert told.json() == {
        "repository": str(out),
        "model": "street",
        "backend": "tensorrt_plan",
        "precision": "fp32",
        "input": "64x32",
        "batch": 8,
        "models": ["street", "street-jpeg", "street-decode"],
        "agreement": None,
        "licence": "unknown",
        "plan_script": str(out / "street" / "build_plan.sh"),
    }
    assert "build_plan.sh" in told.lines("note")[0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--to", "torchserve"], "ES-NAME"),
        (["--backend", "openvino"], "ES-MISMATCH-OPTIONS"),
        (["--dali"], "ES-MISMATCH-OPTIONS"),
        (["--to", "triton", "--backend", "openvinno"], "ES-NAME"),
        (["--to", "triton", "--batch", "0"], "ES-USAGE"),
    ],
)
def test_options_that_do_not_fit_are_refused(runner: Run, tmp_path: Path, words: list[str], code: str) -> None:
    done = runner("export", street_onnx(tmp_path).path, "-o", tmp_path / "out", *words)
    assert (done.code, done.error_code) == (2, code)


def test_stream_and_eval_ask_the_server_and_do_not_show_the_password(runner: Run, tmp_path: Path, address: str) -> None:
    clip = make_clip(tmp_path / "drive.mp4", 3)
    streamed = runner("stream", clip, "--engine", address, "-o", f"{tmp_path}/masks/", "--json")
    facts = streamed.json()
    assert (facts["frames"], facts["runtime"], facts["device"]) == (3, "triton", "server")
    assert facts["engine"] == address.replace("ann:secret@", "")
    assert len(list((tmp_path / "masks").iterdir())) == 3
    scored = runner("eval", address, "--data", "street:?seed=1&scenes=2")
    assert scored.code == 0
    assert scored.lines("next") == [f"edgeseg bench {facts['engine']}"]
    assert "secret" not in f"{streamed.out}{streamed.err}{scored.out}{scored.err}"


def test_bench_records_a_server_without_its_password(runner: Run, tmp_path: Path, address: str) -> None:
    path = tmp_path / "record.json"
    done = runner("bench", address, "-n", "20", "--warm-up", "1", "-o", path)
    assert done.code == 0, done.err
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["model"]["engine"], record["model"]["file"]) == ("triton", "street")
    assert record["conditions"]["device"] == "server"
    assert record["command"].startswith("edgeseg bench 'triton://***@127.0.0.1:")
    assert "tritonclient" in record["versions"]
    assert "secret" not in f"{path.read_text(encoding='utf-8')}{done.out}{done.err}"


@pytest.mark.parametrize("command", ["stream", "bench", "eval"])
def test_a_dead_server_ends_a_command_with_a_hint(runner: Run, command: str) -> None:
    with serving(None) as server:
        pass
    address = f"triton://ann:secret@{server}/street"
    words = {"stream": ["test://street", address, "-o", "null"], "bench": [address]}
    done = runner(command, *words.get(command, [address, "--data", "street:?seed=1&scenes=1"]))
    assert (done.code, done.error_code) == (2, "ES-SERVER-UNREACHABLE")
    assert done.lines("hint")
    assert "secret" not in done.err
