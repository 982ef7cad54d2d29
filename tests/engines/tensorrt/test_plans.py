"""TensorRT engines on an emulated device: what a build is told and tells, and every way in which a plan is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from emulated_cuda import EmulatedCuda
from fake_tensorrt import FakeTensorRt, install
from small_cli import runner
from small_onnx import float_onnx, frames

from edgeseg.artifact import Artifact, sidecar_path
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.engines.tensorrt import backend, device, engines, pipeline
from edgeseg.errors import EdgeSegError, FormatError, MismatchError, SizeError, UnavailableError
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Output

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="the fake TensorRT takes its classes from tensorrt_rtx")
NO_DRIVER = "Cuda Runtime (In generateForCurrent at x.cpp:1 (cudaError 35: CUDA driver version is insufficient))"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
    return install(monkeypatch, tensorrt_rtx)


def build(folder: Path, **options: Any) -> Artifact:
    source, asked = float_onnx(folder).path, BuildOptions(**options)
    return engine_from_onnx(source, "tensorrt", out_dir=folder / "out", options=asked, frames=frames(1))


def sidecar(plan: Artifact, **changes: Any) -> None:
    """Change what the sidecar of `plan` says of its build or device."""
    path = sidecar_path(plan.path)
    data = json.loads(path.read_text())
    for key, value in changes.items():
        data[key].update(value)
    path.write_text(json.dumps(data))


def test_the_sidecar_says_how_to_build_it_again_and_what_became_of_each_layer(
    fake: FakeTensorRt, tmp_path: Path
) -> None:
    plan = build(tmp_path, level=4, batch=(1, 2, 3), timing_cache=tmp_path / "timings")
    assert plan.path.name == "small.tensorrt.fp32.plan"
    assert plan.build.onnx == "float.onnx"
    assert list(plan.build.profile) == [[count, 32, 64, 3] for count in (1, 2, 3)]
    assert plan.build.options["level"] == 4
    assert str(tmp_path) not in sidecar_path(plan.path).read_text()
    assert "--builderOptimizationLevel=4" in plan.build.trtexec
    assert plan.build.plan_bytes == plan.path.stat().st_size
    assert [layer["nodes"] for layer in plan.build.layers] == [["conv0"], ["conv1"], ["conv2"]]
    assert (plan.device["gpu"], plan.device["compute_capability"]) == ("emulated", "cpu")
    assert [path.name for path in (tmp_path / "timings").iterdir()] == ["tensorrt-1.7.1.116-emulated.cache"]


def test_timings_are_read_again_and_a_workspace_that_is_not_given_leaves_half_of_what_is_free(
    fake: FakeTensorRt, tmp_path: Path
) -> None:
    build(tmp_path, timing_cache=tmp_path / "timings")
    assert fake.told["timings"] == b""
    build(tmp_path, timing_cache=tmp_path / "timings")
    assert fake.told["timings"] == b"timings"
    free = 8192 << 20
    assert 0.25 * free < fake.told["workspace"] <= 0.5 * free


def test_what_a_dla_leaves_to_the_gpu_is_told_and_in_the_sidecar(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(monkeypatch, tensorrt_rtx, dla_cores=2)
    assert build(tmp_path, dla=1).build.fell_back == ("layer1", "layer2")
    assert "2 of 3 layers; the GPU runs them: layer1, layer2" in caplog.text


def test_a_build_runs_on_the_gpu_that_is_asked_for(
    fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current: list[str] = []

    def opened(text: str) -> EmulatedCuda:
        cuda = EmulatedCuda(memory_mib=8192)
        monkeypatch.setattr(cuda, "_push", lambda: current.append(text))
        monkeypatch.setattr(cuda, "_pop", current.pop)
        monkeypatch.setattr(cuda, "_check_current", lambda call: None)
        return cuda

    def builder(*_: object) -> Any:
        raise UnavailableError(f"building on {current}", hint="")

    monkeypatch.setattr(device, "open_cuda", opened)
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    monkeypatch.setattr(engines, "plan_from_request", builder)
    with pytest.raises(UnavailableError, match=r"building on \['cuda:1'\]"):
        build(tmp_path, device="cuda:1")
    assert not current


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(fake: FakeTensorRt, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as problem:
        build(tmp_path, device="cuda:1")
    assert problem.value.code == "ES-DEVICE-MISSING"
    assert "cuda:0" in problem.value.hint


def test_a_named_gpu_is_not_built_for_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "gpu_count", lambda: 0)
    source = float_onnx(tmp_path).path
    with pytest.raises(UnavailableError):
        engine_from_onnx(source, "tensorrt_rtx", out_dir=tmp_path / "out", options=BuildOptions(device="cuda:0"))


@pytest.mark.parametrize(
    ("name", "opened"),
    [("auto", "cuda:0"), ("gpu", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("gpu:1", "cuda:1")],
)
def test_a_plan_runs_on_the_gpu_that_is_named_when_it_is_opened(
    name: str, opened: str, fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, asked = build(tmp_path, device="cuda:0"), list[str]()
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    monkeypatch.setattr(backend, "open_cuda", lambda text: asked.append(text) or fake.cuda)
    with open_engine("tensorrt").open(plan, RunOptions(name)) as loaded:
        assert loaded.infer({"rgb": frames(1)})["logits"].any()
    assert asked == [opened]


def test_a_plan_whose_gpu_is_another_kind_than_the_one_it_is_opened_on_is_refused(
    fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, other = build(tmp_path), EmulatedCuda()
    monkeypatch.setattr(other, "facts", lambda: {**fake.cuda.facts(), "compute_capability": "8.7"})
    monkeypatch.setattr(device, "gpu_count", lambda: 2)
    monkeypatch.setattr(backend, "open_cuda", {"cuda:0": fake.cuda, "cuda:1": other}.__getitem__)
    with pytest.raises(MismatchError) as problem:
        open_engine("tensorrt").open(plan, RunOptions("cuda:1"))
    assert problem.value.code == "ES-MISMATCH-GPU"


@pytest.mark.parametrize("output", Output)
def test_a_segmenter_gives_the_labels_of_the_cpu(
    output: Output, fake: FakeTensorRt, tmp_path: Path, without: Callable[[str, str], None]
) -> None:
    if shutil.which("c++") is None:
        without("cc", "there is no C++ compiler for the kernels of the emulated device")
    source = float_onnx(tmp_path, output).path
    plan = engine_from_onnx(source, "tensorrt", out_dir=tmp_path / "out")
    pictures = [frames(1)[0], resize_rgb(frames(2)[1], (50, 70)), resize_rgb(frames(1)[0], (100, 90))]
    with open_segmenter(plan.path) as ours, open_segmenter(source) as cpu:
        for picture in (*pictures, *pictures, *pictures):  # plainly, recorded, from the graph; memory grows between
            found, wanted = ours.segment(picture), cpu.segment(picture)
            assert found.labels.shape == picture.shape[:2]
            # the emulated device runs the same ONNX without optimisation; single ties may fall otherwise
            assert np.mean(found.labels == wanted.labels) > 0.999
        assert "infer" not in ours.latency()  # all of it happened on the device
        kept = ours.segment(pictures[0]).labels
        before = kept.copy()
        ours.segment(pictures[1])
        np.testing.assert_array_equal(kept, before)


def test_pictures_that_are_submitted_come_back_in_order_from_two_contexts(
    fake: FakeTensorRt, tmp_path: Path, without: Callable[[str, str], None]
) -> None:
    if shutil.which("c++") is None:
        without("cc", "there is no C++ compiler for the kernels of the emulated device")
    pictures = [resize_rgb(picture, (40, 80)) for picture in frames(7)]
    with open_segmenter(build(tmp_path).path) as segmenter:
        wanted = [segmenter.segment(picture).labels for picture in pictures]
        before = fake.told["contexts"]
        for round_ in range(2):
            # more under way than there are contexts: the oldest is fetched and kept
            futures = [segmenter.submit(picture) for picture in pictures]
            found = [future.result().labels for future in futures]
            np.testing.assert_array_equal(found, wanted, err_msg=f"round {round_}")
        assert fake.told["contexts"] == before + 1


def test_without_a_compiler_for_the_kernels_the_cpu_does_their_work(
    fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(*_: object) -> None:
        raise UnavailableError("no nvcc", hint="install it")

    monkeypatch.setattr(pipeline, "PixelKernels", missing)
    with open_segmenter(build(tmp_path).path) as segmenter:
        mask = segmenter.segment(resize_rgb(frames(1)[0], (50, 70)))
        assert mask.labels.shape == (50, 70)
        assert "infer" in segmenter.latency()
    assert caplog.text.count("are resized and labelled on the CPU: no nvcc") == 1


def test_streams_of_one_plan_share_its_engine_and_have_a_context_each(fake: FakeTensorRt, tmp_path: Path) -> None:
    plan, engine = build(tmp_path), open_engine("tensorrt")
    fake.told.update(deserialized=0, contexts=0)
    with engine.open(plan) as one, engine.open(plan) as other:
        assert (fake.told["deserialized"], fake.told["contexts"]) == (1, 2)
        first = one.infer({"rgb": frames(2)[:1]})["logits"]
        kept = first.copy()
        other.infer({"rgb": frames(2)[1:]})
        np.testing.assert_array_equal(first, kept)
    with engine.open(plan):
        assert fake.told["deserialized"] == 2  # nobody had it open any more


def test_stage_times_cover_upload_compute_and_download(fake: FakeTensorRt, tmp_path: Path) -> None:
    with open_engine("tensorrt").open(build(tmp_path)) as backend:
        found = backend.stage_milliseconds({"rgb": frames(1)})
    assert list(found) == ["h2d", "compute", "d2h"]
    assert found["compute"] > 0


@pytest.mark.parametrize(
    ("step", "log", "code", "part"),
    [
        ("builder", NO_DRIVER, "ES-MISSING-DRIVER", "tensorrt"),
        ("builder", "libnvinfer is broken", "ES-MISSING", "libnvinfer is broken"),
        ("parse", "No importer registered for op: Foo", "ES-OPERATOR", "conv1 (Conv) of float.onnx"),
        ("build", "Error Code 10: Could not find any implementation for node conv1.", "ES-FORMAT-BUILD",
         "float.onnx (node conv1 (Conv)): Could not find"),
        ("build", "[virtualMemoryBuffer.cpp::resizePhysical::180] Error Code 2: OutOfMemory", "ES-MISSING-MEMORY",
         "float.onnx"),
        ("build", NO_DRIVER, "ES-MISSING-DRIVER", "tensorrt"),
    ],
)  # fmt: skip
def test_a_build_that_fails_says_where(
    step: str, log: str, code: str, part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, tensorrt_rtx, **{step: log})
    with pytest.raises(EdgeSegError) as caught:
        build(tmp_path)
    assert caught.value.code == code
    assert part in caught.value.message
    assert "\n" not in caught.value.message
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("step", "log", "code"),
    [
        ("deserialize", "Serialization assertion stdVersionRead failed. Version tag does not match.", "ES-MISMATCH"),
        ("deserialize", "The engine plan file is generated on an incompatible device, expecting compute capability 8.6",
         "ES-MISMATCH"),
        ("deserialize", "Error Code 2: OutOfMemory", "ES-MISSING-MEMORY"),
        ("deserialize", NO_DRIVER, "ES-MISSING-DRIVER"),
        ("deserialize", "unexpected end", "ES-FORMAT"),
        ("runtime", NO_DRIVER, "ES-MISSING-DRIVER"),
        ("context", "out of memory", "ES-MISSING-MEMORY"),
        ("execute", "illegal address", "ES-RUN"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_run_says_why(step: str, log: str, code: str, fake: FakeTensorRt, tmp_path: Path) -> None:
    plan = build(tmp_path)
    fake.problems[step] = log
    with pytest.raises(EdgeSegError) as caught, open_engine("tensorrt").open(Artifact.open(plan.path)) as backend:
        backend.infer({"rgb": frames(1)})
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "code", "value"),
    [
        ({"build": {"version": "10.3.0"}}, "ES-MISMATCH-VERSION", "10.3.0"),
        ({"device": {"compute_capability": "8.7"}}, "ES-MISMATCH-GPU", "8.7"),
        ({"build": {"options": {"gpus": ["8.6", "8.9"]}}}, "ES-MISMATCH-GPU", "8.6 and 8.9"),
    ],
)
def test_a_plan_of_another_release_or_gpu_offers_the_rebuild(
    changes: dict[str, Any], code: str, value: str, fake: FakeTensorRt, tmp_path: Path
) -> None:
    plan = build(tmp_path)
    sidecar(plan, **changes)
    with pytest.raises(MismatchError) as caught:
        open_engine("tensorrt").open(Artifact.open(plan.path))
    assert caught.value.code == code
    assert value in caught.value.message
    assert caught.value.hint == "edgeseg build float.onnx --engine tensorrt"


@pytest.mark.parametrize(("asked", "changes"), [
    ({"portable": True}, {"build": {"version": "10.3.0"}}),
    ({"any_gpu": True}, {"device": {"compute_capability": "8.7"}}),
])  # fmt: skip
def test_a_portable_plan_and_one_for_any_gpu_are_left_to_tensorrt(
    asked: dict[str, Any], changes: dict[str, Any], fake: FakeTensorRt, tmp_path: Path
) -> None:
    plan = build(tmp_path, **asked)
    sidecar(plan, **changes)
    with open_engine("tensorrt").open(Artifact.open(plan.path)) as backend:
        assert backend.infer({"rgb": frames(1)})["logits"].any()


def test_a_truncated_plan_is_refused_with_the_command_that_makes_it(fake: FakeTensorRt, tmp_path: Path) -> None:
    plan = build(tmp_path)
    plan.path.write_bytes(plan.path.read_bytes()[:-100])
    with pytest.raises(MismatchError) as caught:
        Artifact.open(plan.path)
    assert caught.value.hint == "edgeseg convert small --engine tensorrt --precision fp32"


def test_a_plan_without_its_sidecar_is_named(fake: FakeTensorRt, tmp_path: Path) -> None:
    plan = build(tmp_path)
    sidecar_path(plan.path).unlink()
    with pytest.raises(FormatError) as caught:
        Artifact.open(plan.path)
    assert "small.tensorrt.fp32.plan.json" in caught.value.message


def test_a_frame_outside_the_profile_is_refused_with_the_range(fake: FakeTensorRt, tmp_path: Path) -> None:
    with open_engine("tensorrt").open(build(tmp_path, batch=(1, 2, 3))) as backend:
        with pytest.raises(SizeError) as caught:
            backend.infer({"rgb": frames(4)})
        assert caught.value.code == "ES-SIZE-BATCH"
        assert "3x32x64x3" in caught.value.message
        assert backend.infer({"rgb": frames(2)})["logits"].shape[0] == 2


def test_a_build_that_does_not_fit_is_refused_before_it_starts(
    fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 << 20))
    with pytest.raises(UnavailableError) as caught:
        build(tmp_path)
    assert caught.value.code == "ES-MISSING-MEMORY"
    assert "100 MiB" in caught.value.message
    assert "network_flags" not in fake.told


def test_a_workspace_that_the_device_does_not_have_is_refused(fake: FakeTensorRt, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="8192 MiB") as caught:
        build(tmp_path, workspace_mib=8000)
    assert caught.value.code == "ES-MISSING-MEMORY"


@pytest.mark.parametrize("cores", [0, 2])
def test_a_dla_core_that_is_not_there(cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tensorrt_rtx, dla_cores=cores)
    with pytest.raises(UnavailableError) as caught:
        build(tmp_path, dla=5 if cores else 0)
    assert caught.value.code == "ES-MISSING-DLA"


def test_layers_that_did_not_get_the_precision_are_named_and_nothing_is_left(
    fake: FakeTensorRt, tmp_path: Path
) -> None:
    fake.obtained = "FP16"
    with pytest.raises(MismatchError) as caught:
        build(tmp_path)
    assert caught.value.code == "ES-MISMATCH-PRECISION"
    assert "conv0 (fp16), conv1 (fp16), conv2 (fp16)" in caught.value.message
    assert not list((tmp_path / "out").iterdir())


def test_ctrl_c_stops_a_build_and_leaves_nothing(fake: FakeTensorRt, tmp_path: Path) -> None:
    def interrupted(task: str, done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine_from_onnx(float_onnx(tmp_path).path, "tensorrt", out_dir=tmp_path / "out", progress=interrupted)
    assert not list((tmp_path / "out").iterdir())


def test_without_a_gpu_rtx_still_builds_and_its_onnx_is_judged_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_gpu(text: str) -> EmulatedCuda:
        raise UnavailableError("this machine has no NVIDIA driver", hint="install it")

    monkeypatch.setattr(device, "open_cuda", no_gpu)
    source = float_onnx(tmp_path).path
    plan = engine_from_onnx(source, "tensorrt_rtx", out_dir=tmp_path / "out", frames=frames(2))
    assert plan.agreement.judged == "the ONNX, not the engine: this machine has no NVIDIA driver"
    assert plan.agreement.labels == 1.0  # the reference is that very ONNX
    assert "was not run" in caplog.text
    assert plan.path.read_bytes()[1:4] == b"trt"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--engine", "openvino", "--level", "3"], "level"),
        (["--engine", "tensorrt", "--gpu", "8.6"], "gpus"),
        (["--engine", "tensorrt", "--batch", "two"], "two"),
        (["--engine", "tensorrt", "--batch", "4:2:1"], "4:2:1"),
        (["--engine", "openvino", "--dry-run"], "--dry-run"),
        (["--engine", "tensorrt_rtx", "--gpu", "8.7"], "8.7"),
    ],
)
def test_options_that_an_engine_does_not_take(
    words: list[str],
    part: str,
    fake: FakeTensorRt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    done = runner(monkeypatch, capfd)("build", float_onnx(tmp_path).path, "-o", tmp_path / "out", *words)
    assert done.code == 2
    (error,) = done.lines("error")
    assert part in error
    assert len(done.lines("hint")) == 1


def test_what_cannot_run_here_is_looked_into_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def no_gpu(text: str) -> EmulatedCuda:
        raise UnavailableError("this machine has no NVIDIA driver", hint="install it")

    monkeypatch.setattr(device, "open_cuda", no_gpu)
    words = ["build", float_onnx(tmp_path).path, "-o", tmp_path / "out", "--engine", "tensorrt_rtx"]
    done = runner(monkeypatch, capfd)(*words)
    plan = tmp_path / "out" / "small.tensorrt_rtx.fp32.plan"
    assert done.code == 0
    assert done.lines("next") == [f"edgeseg inspect {plan} --html page.html"]


def test_a_dry_run_prints_the_command_and_builds_nothing(
    fake: FakeTensorRt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = float_onnx(tmp_path).path, tmp_path / "out"
    run = runner(monkeypatch, capfd)
    words = ["build", source, "-o", out, "--dry-run", "--engine", "tensorrt"]
    done = run(*words, "--workspace", "512", "--dla", "0", "--portable", "--any-gpu")
    assert done.out.strip() == (
        f"trtexec --onnx={source} --saveEngine={source.with_suffix('.plan')} --skipInference "
        "--profilingVerbosity=detailed --memPoolSize=workspace:512 --useDLACore=0 --allowGPUFallback "
        "--versionCompatible --hardwareCompatibilityLevel=ampere+"
    )
    assert not out.exists()
    done = run(*words[:-1], "tensorrt_rtx", "--gpu", "8.6", "--gpu", "12.0", "--batch", "1:2:4")
    assert done.out.startswith(f"tensorrt_rtx --onnx={out / 'float.batch.onnx'} --saveEngine=")
    assert "--computeCapabilities=8.6,12.0" in done.out
    assert done.out.strip().endswith("--minShapes=rgb:1x32x64x3 --optShapes=rgb:2x32x64x3 --maxShapes=rgb:4x32x64x3")
    assert [path.name for path in out.iterdir()] == ["float.batch.onnx"]
    assert onnx.load(out / "float.batch.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_dynamic_batch_gives_what_single_pictures_give(fake: FakeTensorRt, tmp_path: Path) -> None:
    plan = build(tmp_path, batch=(1, 2, 3))
    with open_engine("tensorrt").open(plan) as backend:
        single = [backend.infer({"rgb": each[None]})["logits"].copy() for each in frames(3)]
        together = backend.infer({"rgb": frames(3)})["logits"]
    np.testing.assert_allclose(together, np.concatenate(single), atol=1e-5)  # sums in another order
    assert onnx.load_from_string(fake.onnx).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
