"""Devices that this machine does not have, by what the runtimes would say of them."""

from __future__ import annotations

import ctypes
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_onnx import SPEC, float_onnx, frames

from edgeseg import sessions
from edgeseg.artifact import Artifact
from edgeseg.autotune.autotune import best_float
from edgeseg.engines import default_engine, onnxruntime, open_engine, openvino
from edgeseg.engines.devices import device_from_name
from edgeseg.engines.options import RunOptions
from edgeseg.engines.tensorrt.device import cuda_devices
from edgeseg.errors import UnavailableError, UnknownNameError
from edgeseg.sessions import CPU, open_session
from edgeseg.spec import Precision


@pytest.mark.parametrize(
    ("name", "here", "meant"),
    [
        ("auto", ("cpu", "gpu"), "cpu"),
        ("auto", ("cuda:0", "cuda:1"), "cuda:0"),
        ("gpu", ("cpu", "gpu", "npu"), "gpu"),
        ("gpu:0", ("cpu", "gpu"), "gpu"),
        ("gpu", ("cpu", "gpu:0", "gpu:1"), "gpu:0"),
        ("GPU:1", ("cpu", "gpu:0", "gpu:1"), "gpu:1"),
        ("gpu:1", ("cpu", "cuda:0", "cuda:1"), "cuda:1"),
        ("cuda", ("cpu", "cuda:0"), "cuda:0"),
        ("directml:0", ("cpu", "directml"), "directml"),
    ],
)
def test_what_a_name_means(name: str, here: tuple[str, ...], meant: str) -> None:
    assert device_from_name(name, here, "some") == meant


@pytest.mark.parametrize("name", ["auto", "cpu", "gpu", "cuda:0"])
def test_without_any_device_each_name_is_refused(name: str) -> None:
    with pytest.raises(UnavailableError) as problem:
        device_from_name(name, (), "some")
    assert problem.value.code == "ES-DEVICE-MISSING"


def test_the_default_engine_is_one_that_has_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "ENGINE", dataclasses.replace(openvino.ENGINE, devices=lambda: ("cpu",)))
    other = dataclasses.replace(onnxruntime.ENGINE, devices=lambda: ("cpu", "cuda:0"))
    monkeypatch.setattr(onnxruntime, "ENGINE", other)
    assert (default_engine(), default_engine(device="cpu")) == ("openvino", "openvino")
    assert default_engine(device="cuda") == default_engine(for_onnx=True, device="gpu") == "onnxruntime"
    with pytest.raises(UnavailableError) as problem:
        default_engine(device="qnn")
    assert problem.value.code == "ES-DEVICE-MISSING"
    with pytest.raises(UnknownNameError):
        default_engine(device="qpu")


class FakeCore:
    """OpenVINO on a machine with other devices; keeps what it is told to compile."""

    def __init__(self, devices: list[str], able: tuple[str, ...] = ("FP32", "FP16", "INT8")) -> None:
        self.available_devices, self.able = devices, able
        self.told: list[tuple[str, dict[str, Any]]] = []

    def get_property(self, device: str, name: str) -> Any:
        assert name == "OPTIMIZATION_CAPABILITIES"
        return self.able

    def read_model(self, path: Path) -> Path:
        return path

    def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> None:
        self.told.append((device, settings))


def use_core(monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
    monkeypatch.setattr(openvino, "openvino_core", lambda: core)


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (["CPU"], ("cpu",)),
        (["CPU", "GPU", "NPU"], ("cpu", "gpu", "npu", "openvino-auto")),
        (["GPU.0", "GPU.1", "CPU", "GNA"], ("cpu", "gpu:0", "gpu:1", "openvino-auto")),
    ],
)
def test_openvino_lists_what_it_finds_the_cpu_first(
    found: list[str], named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_core(monkeypatch, FakeCore(found))
    assert openvino.devices_here() == named


HINT, THREADS, PINNING = "INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS", "ENABLE_CPU_PINNING"


@pytest.mark.parametrize(
    ("device", "precision", "name", "settings"),
    [
        ("cpu", Precision.FP32, "CPU", {HINT: "f32", THREADS: 3}),
        ("cpu", Precision.INT8, "CPU", {HINT: "f32", THREADS: 3}),
        ("gpu", Precision.FP32, "GPU", {HINT: "f32"}),
        ("gpu:1", Precision.INT8, "GPU.1", {HINT: "f16"}),
        ("npu", Precision.INT8, "NPU", {}),
        ("npu", Precision.FP32, "NPU", {}),
        ("openvino-auto", Precision.INT8, "AUTO", {HINT: "f32", "ENABLE_STARTUP_FALLBACK": False}),
    ],
)
def test_openvino_is_told_what_each_device_takes(
    device: str, precision: Precision, name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = FakeCore(["CPU", "GPU", "NPU"])
    use_core(monkeypatch, core)
    monkeypatch.setattr(openvino, "schedulable_cores", lambda: 3)
    openvino.compiled_from_onnx(Path("m.onnx"), precision, RunOptions(device, 3))
    assert core.told == [(name, {"PERFORMANCE_HINT": "LATENCY", **settings})]


@pytest.mark.parametrize(("threads", "pinned"), [(1, False), (3, False), (4, True), (None, True)])
def test_threads_are_pinned_to_cores_only_where_they_take_all(
    threads: int | None, pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_core(monkeypatch, FakeCore(["CPU"]))
    monkeypatch.setattr(openvino, "schedulable_cores", lambda: 4)
    settings = openvino.settings_for(Precision.FP32, RunOptions("cpu", threads))
    assert settings.get(PINNING, True) is pinned


def test_bf16_is_refused_on_a_device_that_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    use_core(monkeypatch, FakeCore(["CPU", "GPU"]))
    with pytest.raises(UnavailableError) as problem:
        openvino.compiled_from_onnx(Path("m.onnx"), Precision.BF16, RunOptions("gpu"))
    assert problem.value.code == "ES-MISSING-PRECISION"


@pytest.mark.parametrize(("device", "precision"), [("cpu", Precision.BF16), ("gpu", Precision.FP32)])
def test_bf16_of_the_cpu_is_not_chosen_for_another_device(
    device: str, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_core(monkeypatch, FakeCore(["CPU", "GPU"]))
    monkeypatch.setattr("edgeseg.autotune.autotune.has_native_bf16", lambda: True)
    assert best_float(open_engine("openvino"), device) is precision


def test_openvinos_own_choice_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin itself, with the CPU alone to choose from."""
    pytest.importorskip("openvino")
    engine, artifact = open_engine("openvino"), float_onnx(tmp_path)
    with engine.open(artifact) as backend:
        want = backend.infer({"rgb": frames(1)})["logits"].copy()
    monkeypatch.setattr(openvino, "KINDS", ("CPU",))
    with openvino.OpenVinoBackend(artifact, RunOptions("openvino-auto")) as backend:
        np.testing.assert_array_equal(backend.infer({"rgb": frames(1)})["logits"], want)


class FakeDriver:
    """NVIDIA's driver library with `gpus` GPUs; with None it does not start."""

    def __init__(self, gpus: int | None) -> None:
        self.gpus = gpus

    def cuInit(self, flags: Any) -> int:  # noqa: N802 - its name
        return 0 if self.gpus is not None else 100

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802 - its name
        count._obj.value = self.gpus
        return 0

    def cuGetErrorName(self, code: Any, name: Any) -> int:  # noqa: N802 - its name
        name._obj.value = b"CUDA_ERROR_NO_DEVICE"
        return 0


@pytest.mark.parametrize(("gpus", "names"), [(2, ("cuda:0", "cuda:1")), (0, ()), (None, ())])
def test_gpus_are_counted_by_the_driver(
    gpus: int | None, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeDriver(gpus))
    assert cuda_devices() == names


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert cuda_devices() == ()


class FakeRuntime:
    """ONNX Runtime with other execution providers; `started` is what a session gets in the end."""

    def __init__(self, available: list[str], started: list[str] | None = None) -> None:
        self.available, self.started = available, started
        self.told: list[Any] = []
        self.fell_back = True

    def __getattr__(self, name: str) -> Any:
        import onnxruntime as real

        return getattr(real, name)

    def get_available_providers(self) -> list[str]:
        return self.available

    def InferenceSession(self, data: Any, options: Any, providers: list[Any]) -> Any:  # noqa: N802 - its name
        self.told = providers
        names = [each if isinstance(each, str) else each[0] for each in providers]
        stay = lambda: setattr(self, "fell_back", False)  # noqa: E731
        return SimpleNamespace(get_providers=lambda: self.started or names, disable_fallback=stay)


ARTIFACT = Artifact(Path("m.onnx"), SPEC)


def use_runtime(monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime) -> None:
    for module in (onnxruntime, sessions):
        monkeypatch.setattr(module, "import_onnxruntime", lambda: runtime)


@pytest.mark.parametrize(
    ("providers", "gpus", "named"),
    [
        (["AzureExecutionProvider", CPU], 0, ("cpu",)),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU], 2,
         ("cpu", "cuda:0", "cuda:1", "tensorrt:0", "tensorrt:1")),
        (["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU], 0, ("cpu",)),
        (["DmlExecutionProvider", CPU], 1, ("cpu", "directml")),
        (["CoreMLExecutionProvider", CPU], 0, ("cpu", "coreml")),
        (["OpenVINOExecutionProvider", "QNNExecutionProvider", CPU], 0, ("cpu", "openvino", "qnn")),
    ],
)  # fmt: skip
def test_onnxruntime_lists_the_providers_of_its_build(
    providers: list[str], gpus: int, named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_runtime(monkeypatch, FakeRuntime(providers))
    monkeypatch.setattr(onnxruntime, "gpu_count", lambda: gpus)
    assert onnxruntime.devices_here() == named


@pytest.mark.parametrize(
    ("device", "precision", "provider"),
    [
        ("cuda:1", Precision.FP32, ("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"})),
        ("tensorrt:0", Precision.INT8, ("TensorrtExecutionProvider", {"device_id": "0", "trt_int8_enable": "1"})),
        ("tensorrt:0", Precision.FP32, ("TensorrtExecutionProvider", {"device_id": "0", "trt_int8_enable": "0"})),
        ("openvino", Precision.FP32, ("OpenVINOExecutionProvider", {})),
        ("coreml", Precision.FP32, ("CoreMLExecutionProvider", {})),
        ("directml", Precision.FP32, ("DmlExecutionProvider", {})),
    ],
)
def test_onnxruntime_is_told_provider_and_options(
    device: str, precision: Precision, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = FakeRuntime([CPU])
    use_runtime(monkeypatch, runtime)
    onnxruntime.session_for(dataclasses.replace(ARTIFACT, precision=precision), RunOptions(device))
    assert runtime.told == [provider, CPU]
    assert not runtime.fell_back


def test_the_cpu_is_told_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = FakeRuntime([CPU])
    use_runtime(monkeypatch, runtime)
    onnxruntime.session_for(ARTIFACT, RunOptions("cpu"))
    assert runtime.told == [CPU]


def test_a_session_that_falls_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    use_runtime(monkeypatch, FakeRuntime([CPU], started=[CPU]))
    with pytest.raises(UnavailableError) as problem:
        open_session(b"", provider="CUDAExecutionProvider", options={"device_id": "0"})
    assert problem.value.code == "ES-DEVICE-MISSING"


def test_a_provider_that_the_build_lacks_is_refused_by_the_real_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in sessions.import_onnxruntime().get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.warns(UserWarning, match="not in available provider names"), pytest.raises(UnavailableError) as problem:
        open_session(float_onnx(tmp_path).path, provider="CUDAExecutionProvider")
    assert problem.value.code == "ES-DEVICE-MISSING"
