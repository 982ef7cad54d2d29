"""A matrix of runs: its file, what is kept when it goes on, and what a case that fails leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_bench import FakeClock
from small_onnx import street_onnx

import edgeseg
from edgeseg.bench.matrix import MatrixCase, MatrixOutcome, matrix_from_file, run_command, run_matrix
from edgeseg.bench.matrix_images import write_images
from edgeseg.errors import FormatError
from edgeseg.video.child import PARENT

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
        record = {**self.record, "status": self.status, "model": {**self.record["model"], **model}}
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
        cases, tmp_path, on_begin=lambda number, case, left: said.append(left), run=runs, clock=runs.clock.now
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
    list(write_images(found, draw))
    assert len(commands) == 3  # the one that exists is kept


CASE = f"""
import os, signal
from edgeseg.video.child import end_with_parent
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
