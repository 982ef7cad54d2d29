"""The table of peers: environments, contenders in processes of their own, rounds in turn, and what is concluded."""

from __future__ import annotations

import ast
import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import small_onnx

from edgeseg.errors import FileProblem, FormatError, UnavailableError
from edgeseg.segmenter import open_segmenter
from edgeseg.synthetic import StreetCamera

FOLDER = Path(__file__).parents[2] / "benchmarks"
CONTENDER = """
import sys
sys.path.insert(0, {folder!r})
import numpy as np
from turns import parser_of, serve

class Fake:
    facts = {{"runtime": "fake", "precision": "int8", "versions": {{}}}}
    def __init__(self, options, images):
        print("a library that prints on stdout")
        assert len(images) == 2 and options.threads == 3
    def engine(self):
        print("chatter")
    def frame(self, bgr):
        if bgr[0, 0, 0] == 99:
            raise ValueError("this frame is not to its liking")
        return bgr[..., 2] > 100  # red
    def file(self, source, target, on_frame):
        for _ in range(3):
            on_frame()

serve(Fake, parser_of("a fake").parse_args())
"""
APP = """[Step 10/11] Measuring performance (Start inference synchronously, limits: 1000 ms duration)
[ INFO ] First inference took 9.12 ms
[Step 11/11] Dumping statistics report
[ INFO ] Count:            120 iterations
[ INFO ] Latency:
[ INFO ]    Median:        8.21 ms
[ INFO ]    Average:       8.30 ms
"""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import modules of the benchmarks by name, and forget them afterwards."""
    own = set(sys.modules)
    for folder in (FOLDER, FOLDER / "peers"):
        monkeypatch.syspath_prepend(str(folder))

    def imported(name: str) -> ModuleType:
        return __import__(name)

    yield imported
    for name in set(sys.modules) - own:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(FOLDER)):
            del sys.modules[name]


@pytest.fixture
def worker(load: Any, tmp_path: Path) -> Iterator[Any]:
    """A contender in a process of its own."""
    script, frames = tmp_path / "fake.py", tmp_path / "frames.npz"
    script.write_text(CONTENDER.format(folder=str(FOLDER / "peers")))
    np.savez(frames, images=np.full((2, 4, 6, 3), (200, 10, 20), np.uint8))
    command = [sys.executable, script, "--frames", frames, "--threads", "3"]
    found = load("contenders").Worker(command, tmp_path / "log.txt")
    yield found
    found.close()


def test_a_contender_answers_what_it_is_asked(worker: Any, tmp_path: Path) -> None:
    assert worker.scopes == ["engine", "file", "frame"]
    assert worker.facts["runtime"] == "fake"
    answer = worker.ask(scope="engine", seconds=0)
    assert len(answer["samples"]) == 1  # at least one
    assert answer["spent_seconds"] >= answer["cpu_seconds"] >= 0 < answer["wall_seconds"]
    assert len(worker.ask(scope="file", source="a", target="b")["samples"]) == 3
    images = np.zeros((1, 4, 6, 3), np.uint8)
    images[0, :2, :, 0] = 250  # rgb: red, which the contender finds last in its bgr
    np.savez(tmp_path / "evaluated.npz", images=images)
    worker.ask(labels=str(tmp_path / "evaluated.npz"), target=str(tmp_path / "labels.npy"))
    assert np.load(tmp_path / "labels.npy")[0].tolist() == [[1] * 6] * 2 + [[0] * 6] * 2
    assert worker.rss_mib() > 1


def test_a_contender_that_fails_says_why(worker: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", images=np.full((1, 4, 6, 3), 99, np.uint8))
    with pytest.raises(FileProblem, match="not to its liking"):
        worker.ask(labels=str(tmp_path / "bad.npz"), target=str(tmp_path / "labels.npy"))


def test_a_turn_leaves_its_first_call_out(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = load("turns")
    now = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])
    calls: list[int] = []

    def call(index: int) -> None:
        calls.append(index)
        now[0] += 5.0 if len(calls) == 1 else 0.25

    answer = turns.turn(call, [(0,), (1,), (2,)], 1.0)
    assert answer["samples"] == [250.0] * 4
    assert answer["wall_seconds"] == 1.0
    assert calls == [0, 1, 2, 0, 1]


def test_benchmark_app_is_measured_from_its_first_inference_to_its_summary(load: Any) -> None:
    contenders = load("contenders")
    cpu = iter([1.5, 2.25])
    text, marks = contenders.watched(io.StringIO(APP), (contenders.FIRST, contenders.LAST), lambda: next(cpu))
    assert [meter for _, meter in marks] == [1.5, 2.25]
    assert contenders.figures_from_app(text) == {"p50_ms": 8.21, "mean_ms": 8.30, "n": 120}
    with pytest.raises(FormatError):
        contenders.figures_from_app(text.replace("Median", "Middle"))


def test_benchmark_app_runs_in_the_precision_of_the_file(load: Any, tmp_path: Path) -> None:
    program = tmp_path / "benchmark_app"
    program.write_text(f"#!{sys.executable}\nimport sys\nassert sys.argv[-4:-2] == ['-infer_precision', 'f32']\n"
                       f"print({APP!r})\n")  # fmt: skip
    program.chmod(0o755)
    contenders = load("contenders")
    app = contenders.BenchmarkApp(tmp_path / "x.onnx", "fp32", 2, {}, program=[str(program)])
    answer = app.ask(scope="engine", seconds=0.2)
    assert answer["p50_ms"] == 8.21
    assert answer["cpu_seconds"] >= 0
    with pytest.raises(FileProblem):
        contenders.BenchmarkApp(tmp_path / "x.onnx", "int8", 2, {}, program=[str(program)]).ask(
            scope="engine", seconds=1
        )


class Pip:
    """Takes the calls that would install."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[list[str]] = []
        self._fails = fails

    def __call__(self, command: Sequence[str | Path]) -> None:
        self.calls.append([str(word) for word in command])
        if self._fails and self._fails in self.calls[-1]:
            raise FileProblem("no such package", hint="try another")


@pytest.fixture
def environments(load: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, whose environments are empty folders."""
    module = load("environments")
    monkeypatch.setattr(
        module.venv, "create", lambda home, with_pip: (home / "lib/python3/site-packages").mkdir(parents=True)
    )
    monkeypatch.setattr(module, "package_version", lambda name: {"torch": "2.13.0+cpu"}.get(name, "1.0"))
    return module


def test_an_environment_is_made_once(environments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = Pip()
    for _ in range(2):
        python = environments.python_of("nncf", tmp_path, run=pip)
    assert python.parent.parent == tmp_path / "nncf"
    (call,) = pip.calls
    assert {"nncf==3.4.0", "openvino==1.0", "onnx==1.0"} <= set(call)
    monkeypatch.setattr(environments, "package_version", lambda name: "1.1")  # of our OpenVINO, which it must have too
    environments.python_of("nncf", tmp_path, run=pip)
    assert "openvino==1.1" in pip.calls[-1]


def test_torch_is_lent_and_never_installed(environments: Any, tmp_path: Path) -> None:
    pip = Pip()
    environments.python_of("ultralytics", tmp_path, run=pip)
    alone, others = pip.calls
    assert "--no-deps" in alone
    assert not {"torch", "--no-deps"} & set(others)
    assert (tmp_path / "ultralytics" / "constraints.txt").read_text() == "torch==2.13.0\n"
    (lent,) = (tmp_path / "ultralytics").rglob("lent.pth")
    folders = lent.read_text().splitlines()
    assert folders and all(Path(folder).name in ("site-packages", "dist-packages") for folder in folders)


def test_an_environment_that_fails_leaves_nothing(
    environments: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileProblem, match="no such package"):
        environments.python_of("nncf", tmp_path, run=Pip(fails="nncf==3.4.0"))
    assert not (tmp_path / "nncf").exists()
    monkeypatch.setattr(environments, "package_version", lambda name: "")
    with pytest.raises(UnavailableError):
        environments.python_of("dfine", tmp_path, run=Pip())


class Fake:
    """A contender whose image takes `cpu_ms`; it fails at its turn number `fails_at`."""

    def __init__(self, log: list[str], name: str, cpu_ms: float, fails_at: int = 0) -> None:
        self.facts = {"runtime": "fake", "precision": "int8", "versions": {"fake": "1"}}
        self.scopes = ("engine", "frame")
        self._log, self._name, self._cpu_ms, self._fails_at = log, name, cpu_ms, fails_at
        self.closed = False

    def ask(self, **request: Any) -> dict[str, Any]:
        self._log.append(self._name)
        if self._log.count(self._name) == self._fails_at:
            raise FileProblem("it fell over", hint="pick it up")
        seconds = 4e-3 * self._cpu_ms
        return {"samples": [self._cpu_ms] * 4} | dict.fromkeys(
            ("cpu_seconds", "wall_seconds", "spent_seconds"), seconds
        )

    def rss_mib(self) -> float:
        return 100.0

    def close(self) -> None:
        self.closed = True


def test_rounds_alternate_and_a_contender_that_fails_is_left_out(load: Any) -> None:
    table, log = load("table"), list[str]()
    run = table.Run()
    broken = Fake(log, "b", 9.0, fails_at=3)
    run.start("ours", iter([("edgeseg x int8", Fake(log, "a", 5.0))]))
    run.start("peers", iter([("b", broken), ("c", Fake(log, "c", 6.0))]))
    run.rounds(3, 0.1)
    assert log == list("aabbcc" + "ccb" + "aa" + "aacc")  # network and frame of each
    assert broken.closed and run.left_out == {"b": "it fell over"}
    assert set(run.figures) == {"edgeseg x int8", "c"}
    run.close()
    assert {each.rss_mib for each in run.figures.values()} == {100.0}


def test_a_peer_that_does_not_start_is_left_out_and_ours_is_not(load: Any) -> None:
    table = load("table")
    run = table.Run()

    def no_rows() -> Iterator[Any]:
        raise UnavailableError("no torch", hint="pip install torch")
        yield

    run.start("torch", no_rows())
    assert run.left_out == {"torch": "no torch"}
    with pytest.raises(UnavailableError):
        run.start("edgeseg", no_rows())


def figures(comparison: ModuleType, cpu_ms: float, *, precision: str = "int8", **more: Any) -> Any:
    """The figures of a contender: three turns of the network and of a frame, which takes 2 ms more."""
    found = comparison.Figures({"runtime": "fake", "precision": precision}, more.pop("same_network", True), **more)
    for scope, time in (("engine", cpu_ms), ("frame", cpu_ms + 2)):
        answer = {"samples": [time] * 5, "cpu_seconds": 5e-3 * time, "wall_seconds": 5e-3 * time}
        found.turns[scope] = [comparison.turn_from_answer(answer, 0.25)] * 3
    return found


def verdicts_of(comparison: ModuleType, contenders: Mapping[str, Any]) -> dict[str, bool]:
    return {verdict.found: verdict.met for verdict in comparison.verdicts(contenders)}


def test_verdicts_say_by_how_much_ours_does_not_lead(load: Any) -> None:
    comparison = load("comparison")
    contenders = {
        "edgeseg openvino int8": figures(comparison, 10.0, miou=0.80),
        "edgeseg openvino fp32": figures(comparison, 30.0, precision="fp32"),
        "usual loop": figures(comparison, 28.0, precision="fp32"),
        "nncf int8": figures(comparison, 8.0, miou=0.805),
        "benchmark_app of edgeseg openvino int8": figures(comparison, 9.0),
        "ultralytics": figures(comparison, 4.0, precision="fp32", same_network=False),
    }
    found = verdicts_of(comparison, contenders)
    assert [text.split(" takes ")[1].split(" times ")[0] for text in found if " takes " in text] == [
        *("1.250", "1.200"),  # network and frame, of the peer with the least, which is no other network
        "1.071",  # fp32 alone
        "1.111",  # the same file in benchmark_app
        "2.00",  # 12 ms a frame, and 6 ms of another network
    ]
    assert not any(found.values())
    assert any("+0.50 points" in text for text in found)


def test_verdicts_say_that_ours_leads(load: Any) -> None:
    comparison = load("comparison")
    contenders = {
        "edgeseg openvino int8": figures(comparison, 8.0, miou=0.8049),
        "edgeseg openvino fp32": figures(comparison, 20.0, precision="fp32"),
        "nncf int8": figures(comparison, 8.0, miou=0.805),
        "torch eager fp32": figures(comparison, 90.0, precision="fp32"),
        "benchmark_app of edgeseg openvino int8": figures(comparison, 7.8),
    }
    found = verdicts_of(comparison, contenders)
    assert len(found) == 5
    assert all(found.values())


def test_every_contender_has_a_row_with_both_its_times(load: Any) -> None:
    comparison = load("comparison")
    contenders = {"edgeseg openvino int8": figures(comparison, 8.0), "dfine-seg": figures(comparison, 50.0)}
    contenders["dfine-seg"].facts = {**contenders["dfine-seg"].facts, "network": "N", "note": "random weights"}
    rows = comparison.summary_table(contenders).rows
    assert [row[0] for row in rows] == ["edgeseg openvino int8", "dfine-seg (N, random weights)"]
    assert [row[3:7] for row in rows] == [["8.0", "8.0", "10.0", "10.0"], ["50.0", "50.0", "52.0", "52.0"]]
    table = comparison.scope_table(contenders, "engine", "the network")
    assert [row[-2:] for row in table.rows] == [["1.00", "0.25"], ["6.25", "0.25"]]
    assert comparison.scope_table(contenders, "file", "a video") is None
    assert json.loads(json.dumps(comparison.plain(contenders["dfine-seg"])))["turns"]["frame"][0]["n"] == 5


def test_the_usual_code_around_a_quantised_file_gives_the_labels_of_ours(load: Any, tmp_path: Path) -> None:
    path = Path(small_onnx.float_onnx(tmp_path).path)
    options = Namespace(onnx=path, file=path, float=path, runtime="onnxruntime", threads=1)
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    quantised = load("quantised_turns").Quantised(options, [bgr])
    with open_segmenter(path, engine="onnxruntime", threads=1) as segmenter:
        labels = segmenter.segment(rgb).labels
    assert quantised.engine().shape[:2] == (1, small_onnx.CLASSES)
    assert (quantised.frame(bgr) == labels).mean() > 0.98  # OpenCV resizes in 11 bits, and so rounds otherwise
    usual = load("naive_turns").Usual(options, [bgr])
    assert usual.engine().shape[0] == small_onnx.CLASSES
    assert usual.frame(bgr).shape == (64, 96)


@pytest.mark.slow
def test_the_network_in_torch_sees_what_the_camera_saw(load: Any) -> None:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        options = Namespace(model="bisenetv2-street", size="256x128", mode="eager", bf16=False, threads=1)
        rgb, truth = StreetCamera(901, 256, 128).render(0)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        network = load("torch_turns").TorchNetwork(options, [bgr])
        right, wrong = ((network.frame(image) == truth).mean() for image in (bgr, rgb))
    finally:
        torch.set_num_threads(threads)
    assert network.engine().shape[:2] == (1, 11)
    assert right > 0.8
    assert right > wrong + 0.02  # in the wrong order of channels


def test_what_foreign_interpreters_run_imports_nothing_of_edgeseg() -> None:
    for name in ("turns", "torchvision_operators", "ultralytics_turns", "dfine_turns"):
        tree = ast.parse((FOLDER / "peers" / f"{name}.py").read_text(encoding="utf-8"))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [module for module in modules if module.startswith("edgeseg")], name
