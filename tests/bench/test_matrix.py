"""A matrix of runs: its file, what is kept when it goes on, and what a case that fails leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_bench import FakeClock
from small_onnx import street_onnx

import edgeseg
from edgeseg.bench import matrix as module
from edgeseg.bench.matrix import MatrixCase, MatrixOutcome, matrix_from_file, run_command, run_matrix
from edgeseg.bench.matrix_images import write_images
from edgeseg.bench.record import BenchRecord, command_from_words
from edgeseg.child import PARENT
from edgeseg.errors import FormatError

ROOT = Path(__file__).parents[2]
MATRIX = """
[matrix]
models = ["a", "b"]
sizes = ["64x32"]
engines = ["openvino", "pytorch"]
precisions = ["fp32", "int8"]
n = 12
data = "camvid:${NO_SUCH_VARIABLE}/CamVid"
images = "${SOME_IMAGES}/x"

[[except]]
engine = "pytorch"
precision = "int8"
why = "it only simulates int8"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "matrix.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cases_are_the_product_without_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_IMAGES", "/pictures")
    cases = matrix_from_file(written(tmp_path, MATRIX)).cases
    assert [case.name for case in cases] == [
        f"{model}-64x32-{engine}-{precision}-single-stream"
        for model in "ab"
        for engine, precision in (("openvino", "fp32"), ("openvino", "int8"), ("pytorch", "fp32"))
    ]
    assert {json.dumps(case.options) for case in cases} == {json.dumps({"n": 12, "images": "/pictures/x"})}
    command = cases[0].command(Path("out.json"))
    assert command[command.index("--engine") + 1] == "openvino"
    assert command[command.index("-n") + 1] == "12"
    assert "--data" not in command


def test_a_rate_is_given_to_cameras_alone(tmp_path: Path) -> None:
    text = MATRIX.replace("n = 12", 'rate = 10\nstreams = 2\nscenarios = ["single-stream", "multi-stream"]')
    commands = [case.command(Path("out.json")) for case in matrix_from_file(written(tmp_path, text)).cases]
    single, multi = ([words for words in commands if name in words] for name in ("single-stream", "multi-stream"))
    assert len(single) == len(multi) > 0
    assert all(words.count("--rate") + words.count("--streams") == 2 for words in multi)
    assert not any("--rate" in words or "--streams" in words for words in single)


@pytest.mark.parametrize(
    "text",
    [
        "models = []",
        "[matrix]\nmodels = ['a']",
        MATRIX.replace("n = 12", "rounds = 12"),
        MATRIX.replace("n = 12", "n = true"),
        MATRIX.replace("n = 12", "n = 'many'"),
        MATRIX.replace('models = ["a", "b"]', "models = []"),
        MATRIX.replace('models = ["a", "b"]', "models = [1]"),
        MATRIX.replace("n = 12", 'scenarios = ["server"]'),
        MATRIX.replace('precision = "int8"\nwhy', 'rate = "2"\nwhy'),
        MATRIX.replace("n = 12", "differences = 1"),
        MATRIX + "\n[more]\n",
        MATRIX.replace('"a", "b"', '"a/net.onnx", "b/net.onnx"'),  # one record
        MATRIX.replace('"a", "b"', '"a", "a"'),
    ],
)
def test_an_invalid_matrix_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FormatError) as problem:
        matrix_from_file(written(tmp_path, text))
    assert problem.value.code == "ES-FORMAT-MATRIX"


class Runs:
    """Stands in for the processes: writes records of a real run, or fails, and takes 60 s."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        onnx = street_onnx(folder).path
        self.clock, self.commands = clock, list[list[str]]()
        self.failing, self.status = "", "settled"
        with edgeseg.open(onnx, threads=1) as segmenter:
            size = (segmenter.spec.input.height, segmenter.spec.input.width, 3)
            import numpy as np

            self.record = edgeseg.benchmark(segmenter, [np.zeros(size, np.uint8)], edgeseg.BenchOptions(n=10)).to_dict()

    def __call__(self, command: list[str]) -> tuple[int, str]:
        self.commands.append(command)
        self.clock.work(60.0)
        value = {flag: command[command.index(flag) + 1] for flag in ("--engine", "--precision", "--size", "--output")}
        if self.failing and self.failing in command:
            return 2, "loading\nerror [ES-RUN]: it does not load\nhint: update it\n"
        width, height = map(int, value["--size"].split("x"))
        model = {"engine": value["--engine"], "precision": value["--precision"], "width": width, "height": height}
        typed = command_from_words(command[3:])  # behind python -m edgeseg
        model = {**self.record["model"], **model}
        record = {**self.record, "status": self.status, "model": model, "command": typed}
        path = Path(value["--output"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        return 0, ""


@pytest.fixture
def cases(tmp_path: Path) -> list[MatrixCase]:
    return list(matrix_from_file(written(tmp_path, MATRIX)).cases)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, FakeClock())


def outcomes(cases: list[MatrixCase], folder: Path, runs: Runs, again: bool = False) -> list[MatrixOutcome]:
    return list(run_matrix(cases, folder, again=again, run=runs, clock=runs.clock.now))


def test_a_matrix_that_was_killed_goes_on_with_what_is_missing(
    tmp_path: Path, cases: list[MatrixCase], runs: Runs
) -> None:
    begun = run_matrix(cases, tmp_path, run=runs, clock=runs.clock.now)
    for _ in range(2):
        next(begun)
    begun.close()  # killed here
    found = outcomes(cases, tmp_path, runs)
    assert len(runs.commands) == len(cases)
    assert [each.seconds for each in found] == [0.0] * 2 + [60.0] * (len(cases) - 2)
    assert all(each.record is not None and each.record.status == "settled" for each in found)
    outcomes(cases, tmp_path, runs, again=True)
    assert len(runs.commands) == 2 * len(cases)


def test_what_did_not_settle_is_measured_again(tmp_path: Path, cases: list[MatrixCase], runs: Runs) -> None:
    runs.status = "inconclusive"
    outcomes(cases, tmp_path, runs)
    outcomes(cases, tmp_path, runs)
    assert len(runs.commands) == 2 * len(cases)


def reasons_to_repeat(cases: list[MatrixCase], folder: Path, runs: Runs) -> list[str]:
    """Why cases of a matrix that has run are measured again."""
    reasons: list[str] = []
    list(run_matrix(cases, folder, run=runs, clock=runs.clock.now, on_begin=lambda *of: reasons.append(of[-1])))
    return reasons


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data["device"].update(memory_mib=1), "device.memory_mib was 1"),
        (lambda data: data["device"].pop("governor"), "device.governor was None"),
        (lambda data: data["versions"].update(edgeseg="0.0.1"), "versions.edgeseg was '0.0.1'"),
        (lambda data: data.update(command=data["command"].replace("-n 12", "-n 13")), "-n 13"),
        (lambda data: data.update(command=data["command"].replace("-n 12", "-n 12 --threads 1")), "--threads 1"),
        (lambda data: data.update(command=data["command"].replace("int8", "fp32")), "fp32"),
        (lambda data: data.update(command="edgeseg bench 'a"), "edgeseg bench 'a"),
        (lambda data: data.update(status="invalid"), "it is invalid"),
        (lambda data: data.pop("rows"), "damaged"),
        (lambda data: data["device"]["state"].clear(), ""),
        (lambda data: data["versions"].update(other="1"), ""),
        (lambda data: data.update(command=data["command"].replace("-n 12", "-n 12 --data camvid:x")), ""),
    ],
)
def test_a_record_of_another_command_device_or_version_is_measured_again(
    tmp_path: Path, cases: list[MatrixCase], runs: Runs, change: Callable[[Any], object], reason: str
) -> None:
    case = next(case for case in cases if case.precision == "int8")
    (measured,) = outcomes([case], tmp_path, runs)
    assert reasons_to_repeat([case], tmp_path, runs) == []
    data = json.loads(measured.path.read_text(encoding="utf-8"))
    change(data)
    measured.path.write_text(json.dumps(data), encoding="utf-8")
    reasons = reasons_to_repeat([case], tmp_path, runs)
    assert len(reasons) == len(runs.commands) - 1 == bool(reason)
    assert all(reason in each for each in reasons)
    assert reasons_to_repeat([case], tmp_path, runs) == []


def test_another_model_of_the_same_name_is_measured_again(tmp_path: Path, runs: Runs) -> None:
    onnx = tmp_path / "street.onnx"
    of_case = ("64x32", "onnxruntime", "fp32", "auto", "single-stream", {"n": 12})
    for case, reasons in ((MatrixCase(str(onnx), *of_case), []), (MatrixCase("bisenetv2-street", *of_case), ["other"])):
        outcomes([case], tmp_path, runs)
        assert len(reasons_to_repeat([case], tmp_path, runs)) == len(reasons)
    street_onnx(tmp_path, seed=1)
    assert reasons_to_repeat([MatrixCase(str(onnx), *of_case)], tmp_path, runs) == ["the model is another one"]


@pytest.mark.parametrize("data", ["/data", None])
def test_the_committed_records_count_on_the_device_that_made_them(
    monkeypatch: pytest.MonkeyPatch, data: str | None
) -> None:
    monkeypatch.delenv("EDGESEG_DATA", raising=False)
    if data is not None:
        monkeypatch.setenv("EDGESEG_DATA", data)
    cases = matrix_from_file(ROOT / "benchmarks" / "matrix.toml").cases
    assert len(cases) == 40
    for case in cases:
        record = BenchRecord.read(ROOT / "benchmarks" / "results" / "intel-xeon-amx-2c" / "bench" / f"{case.name}.json")
        monkeypatch.setattr(module, "versions_with", lambda engine, versions=record.versions: versions)
        device = {name: value for name, value in record.device.items() if name != "state"}
        assert case.reason_to_repeat(record, device) == ""


def test_a_case_that_fails_has_its_reason_and_the_others_go_on(
    tmp_path: Path, cases: list[MatrixCase], runs: Runs
) -> None:
    runs.failing = "pytorch"
    found = outcomes(cases, tmp_path, runs)
    failed = [each for each in found if each.record is None]
    assert [each.case.engine for each in failed] == ["pytorch", "pytorch"]
    assert all("ES-RUN" in each.error for each in failed)
    assert len(found) == len(cases)


def test_the_time_that_is_left_is_that_of_the_cases_so_far(tmp_path: Path, cases: list[MatrixCase], runs: Runs) -> None:
    said: list[float | None] = []
    for _ in run_matrix(
        cases, tmp_path, on_begin=lambda number, case, left, reason: said.append(left), run=runs, clock=runs.clock.now
    ):
        pass
    assert said == [None, *(60.0 * left for left in range(len(cases) - 1, 0, -1))]


def test_int8_records_get_an_image_of_where_they_differ_from_float(
    tmp_path: Path, cases: list[MatrixCase], runs: Runs
) -> None:
    cases = [dataclasses.replace(case, options={"data": "camvid:x"}) for case in cases]
    found = outcomes(cases, tmp_path, runs)
    commands: list[list[str]] = []

    def draw(command: list[str]) -> tuple[int, str]:
        commands.append(command)
        if "b" in command:
            return 2, "it does not load"
        Path(command[-1], "sheet.png").write_bytes(b"drawn")
        return 1, ""  # a class lost

    images = list(write_images(found, draw))
    assert [path.name for path, _ in images] == [f"{m}-64x32-openvino-int8-single-stream.diff.png" for m in "ab"]
    assert [problem for _, problem in images] == ["", "it does not load"]
    assert images[0][0].read_bytes() == b"drawn"
    assert all(command.count("--precision") == 2 for command in commands)
    list(write_images(outcomes(cases, tmp_path, runs), draw))
    assert len(commands) == 3  # the one that exists is kept
    list(write_images(outcomes(cases, tmp_path, runs, again=True), draw))
    assert len(commands) == 5  # unless it is of an older record


CASE = f"""
import os, signal
from edgeseg.child import end_with_parent
end_with_parent(int(os.environ["{PARENT}"]))
pipe = open("pipe", "w")
print(os.getpid(), file=pipe, flush=True)
signal.pause()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process of its parent's end")
def test_a_case_ends_with_a_matrix_that_is_killed(tmp_path: Path) -> None:
    """The case keeps a pipe open for as long as it lives."""
    os.mkfifo(tmp_path / "pipe")
    matrix = f"import sys; from edgeseg.bench.matrix import run_command; run_command([sys.executable, '-c', {CASE!r}])"
    process = subprocess.Popen([sys.executable, "-c", matrix], cwd=tmp_path)
    with (tmp_path / "pipe").open() as pipe:
        case = int(pipe.readline())
        process.kill()
        process.wait()
        ended, _, _ = select.select([pipe], [], [], 60)
        if not ended:
            os.kill(case, signal.SIGKILL)
    assert ended


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as above")
def test_a_command_whose_matrix_is_gone_does_nothing() -> None:
    words = [sys.executable, "-m", "edgeseg", "--version"]
    orphan = subprocess.run(words, env={**os.environ, PARENT: "1"}, capture_output=True, text=True, check=False)
    assert (orphan.returncode, orphan.stdout) == (1, "")
    assert run_command(words) == (0, "")


def test_a_command_gets_variables_besides() -> None:
    words = [sys.executable, "-c", "import os, sys; sys.stderr.write(os.environ['EDGESEG_X'] + os.environ['PATH'])"]
    assert run_command(words, {"EDGESEG_X": "y"}) == (0, f"y{os.environ['PATH']}")


@pytest.mark.slow
def test_a_matrix_from_the_command_line(tmp_path: Path) -> None:
    onnx = street_onnx(tmp_path).path
    width, height = edgeseg.open(onnx).spec.input.width, edgeseg.open(onnx).spec.input.height
    text = f"""
[matrix]
models = ["{onnx.name}", "missing.onnx"]
sizes = ["{width}x{height}"]
engines = ["onnxruntime"]
precisions = ["fp32"]
n = 5
warm_up = 1
threads = 1
"""
    matrix = written(tmp_path, text)
    command = [sys.executable, "-m", "edgeseg", "bench", "--matrix", str(matrix), "-o", "out", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)
    assert ended.returncode == 1, ended.stderr
    good, bad = json.loads(ended.stdout)
    assert (good["error"], bad["status"]) == ("", "failed")
    assert "ES-FILE-MISSING" in bad["error"]
    record = edgeseg.BenchRecord.read(tmp_path / good["record"])
    assert (record.model.file, record.status, record.attempts) == (onnx.name, "inconclusive", 1)
    assert str(tmp_path) not in Path(tmp_path / good["record"]).read_text(encoding="utf-8")
