"""What `make gpu` does, without a GPU: jobs that go on where they were stopped, and steps on an emulated device.

Times of a GPU, NVIDIA's libraries and torch's CUDA are not here: no figure of theirs can be tested without one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from emulated_cuda import library_path
from fake_tensorrt import install
from small_onnx import float_onnx, street_onnx

from edgeseg.artifact import Artifact, artifact_from_onnx
from edgeseg.engines.tensorrt.cuda.cuda import no_driver
from edgeseg.errors import FileProblem, UnavailableError
from edgeseg.spec import Precision

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the fake TensorRT takes its classes from tensorrt_rtx")
FOLDER = Path(__file__).parents[2] / "benchmarks"
SUMMARY = {"n": 3, "mean_ms": 2.0, "p50_ms": 2.0, "p90_ms": 2.0, "p99_ms": 2.0, "max_ms": 2.0}


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def work(tmp_path: Path) -> Any:
    from gpu_steps.work import Work

    return Work(tmp_path / "work", samples=4, warm_up=1)


@pytest.fixture
def net(work: Any) -> str:
    """A net whose float ONNX was brought along."""
    work.part("onnx")
    return street_onnx(work.folder / "onnx", name="small.onnx").path.stem


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A device and a TensorRT that are emulated; the C++ compiler makes the kernels."""
    try:
        library_path()
    except UnavailableError as problem:
        from conftest import skip_without

        skip_without("cc", problem.message)
    return install(monkeypatch, tensorrt_rtx).cuda


def outcome(results: Any) -> dict[str, Any]:
    return {"found": results, "seconds": 1.0, "foreign_cores": 0.0}


def test_a_rerun_does_what_has_not_finished_and_what_is_to_be_done_anew(work: Any) -> None:
    import gpu

    calls: list[str] = []

    def run(job: str, into: Any) -> None:
        calls.append(job)
        failed = {"error": "it rained", "seconds": 1.0, "foreign_cores": 0.0}
        into.save(job, failed if job == "kernels" and calls.count(job) == 1 else outcome({}))

    steps = ("rtx", "kernels", "torch")
    gpu.measure(work, steps, run)
    torch_jobs = [job for job in calls if job.startswith("torch/")]
    assert calls == ["rtx", "kernels", *torch_jobs]
    assert len(torch_jobs) == 8
    gpu.measure(work, steps, run)
    assert calls[10:] == ["kernels"]
    gpu.measure(work, steps, run)
    assert calls[11:] == []
    work.remove("torch")
    gpu.measure(work, steps, run)
    assert calls[11:] == torch_jobs


def test_a_job_that_fails_is_one_line(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    def fail(item: str, into: Any) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(gpu, "open_step", lambda name: SimpleNamespace(run=fail))
    gpu.run_here("kernels", work)
    assert work.outcome("kernels")["error"] == "RuntimeError: first"
    assert work.results("kernels") == {}


def test_a_process_that_dies_is_a_job_that_failed(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    def die(words: list[str]) -> None:
        raise FileProblem("exit code -11: ", hint="try it")

    monkeypatch.setattr(gpu, "run_child", die)
    gpu.run_apart("engines/small.fp32", work)
    assert work.outcome("engines/small.fp32")["error"] == "exit code -11:  (try it)"


def test_a_job_runs_in_a_process_of_its_own(work: Any) -> None:
    import gpu

    gpu.run_apart("device", work)
    results = work.outcome("device")
    assert results["seconds"] > 0
    assert "found" in results or "no NVIDIA driver" in results["error"] or "CUDA_ERROR" in results["error"]


def test_without_a_gpu_it_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gpu

    def facts() -> None:
        raise no_driver()

    monkeypatch.setattr(gpu, "gpu_facts", facts)
    words = ["gpu.py", "--work", tmp_path / "work", "--json-out", tmp_path / "gpu.json"]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    assert gpu.main() == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failed", [False, True])
def test_the_exit_code_tells_whether_a_job_failed(
    failed: bool, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    def run(job: str, into: Any) -> None:
        into.save(job, {"error": "no", "seconds": 1.0, "foreign_cores": 0.0} if failed else outcome({}))

    monkeypatch.setattr(gpu, "gpu_facts", lambda: {"gpu": "NVIDIA X"})
    monkeypatch.setattr(gpu, "run_apart", run)
    monkeypatch.setattr(gpu, "command_line", lambda: "", raising=False)
    monkeypatch.setattr(gpu, "publish", lambda record, place: None)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--work", str(work.folder), "--only", "layers"])
    assert gpu.main() == int(failed)


def test_figures_of_an_engine(work: Any, net: str, cuda: Any) -> None:
    from gpu_steps import engines

    results = engines.run(f"{net}.fp32", work)["tensorrt"]
    assert [summary["n"] for summary in results["stages"].values()] == [4, 4, 4]
    assert list(results["stages"]) == ["h2d", "compute", "d2h"]
    assert results["end_to_end"]["fps"] > 0
    assert results["infer"]["n"] == 4
    assert results["agreement"]["labels"] > 0.999  # the same ONNX, not optimised: single ties may fall otherwise
    assert results["accuracy"] == {"miou": None, "why": "random weights"}
    assert results["on_device"]
    again = {path: path.stat().st_mtime_ns for path in (work.folder / "plans").rglob("*.plan")}
    engines.run(f"{net}.fp32", work)
    assert {path: path.stat().st_mtime_ns for path in (work.folder / "plans").rglob("*.plan")} == again


def test_an_engine_that_fails_is_one_line_beside_the_others(
    work: Any, net: str, cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_steps import engines

    monkeypatch.setattr(engines, "engines_here", lambda into: {"tensorrt_rtx": "default", "tensorrt": "default"})
    monkeypatch.setattr(engines, "plan_of_net", fails_for_rtx(engines.plan_of_net))
    results = engines.run(f"{net}.fp32", work)
    assert results["tensorrt_rtx"] == {"error": "RuntimeError: no"}
    assert "stages" in results["tensorrt"]


def fails_for_rtx(plan_of_net: Any) -> Any:
    def plan(net: str, precision: Any, engine: str, made_for: str, work: Any) -> Any:
        if engine == "tensorrt_rtx":
            raise RuntimeError("no")
        return plan_of_net(net, precision, engine, made_for, work)

    return plan


def test_frames_a_second_by_threads(work: Any, net: str, cuda: Any) -> None:
    from gpu_steps import pipeline

    results = pipeline.run(f"{net}.fp32", work)["tensorrt"]
    assert "error" not in results, results
    assert list(results["infer"]) == list(results["pipelined"]) == ["1", "2", "4"]
    assert list(results["streamed"]) == ["mask", "overlay"]
    several = [fps for step in ("infer", "pipelined", "streamed") for fps in results[step].values()]
    assert min(*several, results["one_by_one"], results["compute_fps"]) > 0


def test_a_thread_that_fails_stops_the_others(work: Any) -> None:
    from gpu_steps.timing import fps_of_threads

    def fail() -> None:
        raise UnavailableError("gone", hint="none")

    with pytest.raises(UnavailableError, match="gone"):
        fps_of_threads([lambda: None, fail], work)


def test_kernels_are_held_against_their_twins(work: Any, cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_steps import kernels

    monkeypatch.setattr(kernels, "SIZE", (64, 128))
    monkeypatch.setattr(kernels, "open_cuda", lambda: cuda)
    results = kernels.run("", work)["kernels"]
    assert len(results) == 2 + 2 * 2 * 2
    assert all(each["ms"]["n"] == 4 for each in results.values())
    assert results["resize"]["equal"] == results["overlay"]["equal"] == 1
    assert min(each["equal"] for each in results.values()) >= 0.9999  # ties between classes, as in the verdict


def test_each_cuda_layer_is_timed_or_says_why_not(
    work: Any, net: str, cuda: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_steps import layers

    def open_cuda(device: str, layer: str) -> Any:
        if layer == "pycuda":
            raise UnavailableError("pycuda is not installed", hint="pip install pycuda")
        return cuda

    monkeypatch.setattr(layers, "open_cuda", open_cuda)
    monkeypatch.setattr(layers, "NET", net)
    monkeypatch.setattr(layers, "PRECISION", Precision.FP32)
    results = layers.run("", work)["layers"]
    assert results["pycuda"] == {"error": "pycuda is not installed (pip install pycuda)"}
    assert results["cuda-python"]["n"] >= 4


def test_forms_of_rtx_are_tried_in_turn(work: Any, net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_steps import rtx
    from gpu_steps.plans import engines_here

    install(monkeypatch, tensorrt_rtx, name="tensorrt_rtx")
    monkeypatch.setattr(rtx, "NET", net)
    results = rtx.run("", work)
    assert results["works"] == "default"
    assert results["forms"]["default"]["agreement"]["labels"] > 0.999  # as above
    assert list(results["forms"]) == ["default", "current", "8.0"]
    # The fake refuses every compute capability, as RTX does with one that it does not make.
    assert "capabilities current" in results["forms"]["current"]["error"]
    work.save("rtx", outcome(results))
    assert engines_here(work)["tensorrt_rtx"] == "default"


def test_rtx_compiles_for_another_gpu_than_the_sidecar_says(work: Any, tmp_path: Path) -> None:
    """The real builder, which needs no GPU."""
    from gpu_steps.plans import built

    source = float_onnx(tmp_path)
    plain, ampere = (built(source, "tensorrt_rtx", made_for, work, "small") for made_for in ("default", "8.0"))
    assert plain.path.read_bytes() != ampere.path.read_bytes()
    assert "gpus" not in Artifact.open(ampere.path).build.options


def test_no_engine_here_says_why_for_each(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_steps import engines

    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError) as caught:
        engines.run("small.fp32", work)
    assert "the engine tensorrt is not available" in caught.value.message
    assert "(step rtx)" in caught.value.message
    assert "--redo rtx" in caught.value.hint


def test_a_record_of_everything_is_published_and_reported(
    work: Any, net: str, cuda: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu
    import record
    import report
    from gpu_steps import engines, pipeline

    for job, results in whole_run().items():
        work.save(job, outcome(results))
    work.save("engines/bisenetv2-camvid.fp32", outcome(engines.run(f"{net}.fp32", work)))
    work.save("pipeline/bisenetv2-camvid.fp16", outcome(pipeline.run(f"{net}.fp32", work)))
    work.save("engines/icnet-camvid.int8", {"error": "it | rained", "seconds": 1.0, "foreign_cores": 0.0})
    monkeypatch.setattr(record, "command_line", lambda: "python benchmarks/gpu.py --json-out")
    made = gpu.record_from_work(work)
    record.publish(made, tmp_path / "results" / "nvidia-x" / "gpu.json")
    assert len(made.tables) == 8
    for table in made.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.title
    text = report.report(tmp_path / "results")
    assert "## nvidia-x" in text
    assert "| engines/icnet-camvid.int8 | it / rained |" in text
    assert json.loads((tmp_path / "results" / "nvidia-x" / "gpu.json").read_text())["data"]["jobs"]["rtx"]["found"]


def whole_run() -> dict[str, Any]:
    """Made up outcomes of the steps that only a GPU can run, and of one large net."""
    stages = {"h2d": SUMMARY, "compute": SUMMARY, "d2h": SUMMARY}
    large = {"stages": stages, "output": [1, 19, 128, 256], "agreement": {"labels": 1.0}, "accuracy": {"miou": None}}
    large |= {"infer": {"fps": 500.0}, "end_to_end": {"fps": 400.0}, "on_device": True}
    threads = {"1": 300.0, "2": 460.0, "4": 470.0}
    pipelined = {"compute_fps": 500.0, "infer": threads, "one_by_one": 200.0, "pipelined": threads}
    pipelined |= {"streamed": {"mask": 440.0, "overlay": 300.0}}
    kernel = {"ms": {**SUMMARY, "p50_ms": 0.1}, "equal": 1.0, "most_away": 0}
    return {
        "device": {"gpu": {"gpu": "X"}, "state": {}, "libraries": {"torch": {"usable": False, "why": "none"}}},
        "rtx": {"net": "n", "forms": {"default": {"runs": False, "error": "no"}}, "works": ""},
        "engines/bisenetv2-2048x1024.fp16": {"tensorrt": large, "tensorrt_rtx": {"error": "no"}},
        "kernels": {"size": [1024, 2048], "classes": 19, "kernels": {"labels street 1/8 fp32": kernel}},
        "pipeline/bisenetv2-2048x1024.fp16": {"tensorrt": pipelined},
        "torch/bisenetv2-2048x1024": {"eager": SUMMARY, "graph": SUMMARY, "compile": {"error": "no"}},
        "torch/bisenetv1-2048x1024": {"eager": SUMMARY, "graph": {**SUMMARY, "p50_ms": 0.5}, "compile": SUMMARY},
        "layers": {"engine": "tensorrt", "net": "n", "layers": {"pycuda": SUMMARY, "cuda-python": {"error": "no"}}},
    }  # fmt: skip


def test_verdicts_hold_the_worst_against_the_target() -> None:
    from gpu_steps.verdicts import verdicts_from_outcomes

    outcomes = {job: outcome(results) for job, results in whole_run().items()}
    finished, twins, agreement, post, pipelined = verdicts_from_outcomes(outcomes, [*outcomes, "missing"])
    assert (finished.found, finished.met) == ("8 of 9 jobs finished, 1 engines in them failed", False)
    assert twins.met
    assert (agreement.found, agreement.met) == ("nothing was measured", False)
    # 0.1 ms of labels beside 2 ms of the engine, and beside 0.5 ms of torch's graph where no engine ran
    assert "20.0% at the worst (bisenetv1-2048x1024 fp16 on torch's CUDA graph)" in post.found
    assert not post.met
    assert "94% at the worst of 1" in pipelined.found
    assert not pipelined.met


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bisenetv2", pytest.param("segformer", marks=pytest.mark.nightly)])
def test_a_random_net_has_the_same_weights_and_ranges_at_every_size(
    family: str, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from gpu_steps import nets

    monkeypatch.setattr(nets, "CALIBRATION", (96, 64))
    monkeypatch.setattr(nets, "RANDOM", (f"{family}-128x96",))
    int8 = nets.onnx_of_net(f"{family}-128x96", Precision.INT8, "tensorrt", work)  # refused with ranges of others
    assert int8.precision is Precision.INT8
    half = nets.onnx_of_net(f"{family}-128x96", Precision.FP16, "tensorrt", work)
    assert half.precision is Precision.FP16
    assert (artifact_from_onnx(int8.path).spec.input.width, len(int8.spec.labels)) == (128, 19)
