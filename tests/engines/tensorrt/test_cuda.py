"""The CUDA calls: one contract over every layer, on a GPU where there is one and on fakes elsewhere."""

from __future__ import annotations

import builtins
import ctypes
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emulated_cuda import EmulatedCuda, use_cpu_kernels
from fake_cuda import FakeDriver, FakeLibCuda, Host, Values, fake_pycuda

from edgeseg.engines.tensorrt import cuda as cuda_package
from edgeseg.engines.tensorrt.cuda import CUDA_LAYERS, Cuda, CudaError, cuda_python_layer, open_cuda, pycuda_layer
from edgeseg.engines.tensorrt.kernels import PixelKernels
from edgeseg.errors import EdgeSegError, UnavailableError, UnknownNameError


@pytest.fixture
def host() -> Host:
    return Host()


def real_bindings() -> Any:
    for name in ("cuda.bindings.driver", "cuda.cuda"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    pytest.skip("cuda-python is not installed")


def use_cuda_python(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    monkeypatch.setattr(cuda_python_layer, "_driver", lambda: driver)


def use_pycuda(monkeypatch: pytest.MonkeyPatch, host: Host, **options: Any) -> None:
    package = ModuleType("pycuda")
    package.driver = fake_pycuda(host, **options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeLibCuda(host))


@pytest.fixture(params=["emulated", "fake pycuda", "fake cuda-python", *CUDA_LAYERS])
def cuda(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, host: Host, without: Callable[[str, str], None]
) -> Iterator[Cuda]:
    """A GPU through each layer: over fakes, and over a real one where this machine has it."""
    if request.param == "emulated":
        opened: Cuda = EmulatedCuda(memory_mib=64)
    elif request.param in CUDA_LAYERS:
        try:
            opened = open_cuda(name=request.param)
        except UnavailableError as problem:
            without("gpu", problem.message)
    else:
        if request.param == "fake pycuda":
            use_pycuda(monkeypatch, host)
        else:
            use_cuda_python(monkeypatch, FakeDriver(real_bindings(), host))
        opened = open_cuda(name=request.param.removeprefix("fake "))
    with opened:
        yield opened
    assert host.leaks() == 0
    assert getattr(host.depth, "n", 0) == 0, "a context was left current"


def test_facts_and_memory(cuda: Cuda) -> None:
    with cuda.current():
        facts = cuda.facts()
        free, total = cuda.memory()
    assert list(facts) == ["device", "compute_capability", "cuda_driver", "memory_mib"]
    assert facts["compute_capability"] == "cpu" or float(facts["compute_capability"]) >= 5
    assert 0 < free <= total
    assert facts["memory_mib"] == total >> 20


def test_what_goes_up_comes_down(cuda: Cuda) -> None:
    with cuda.current():
        stream, up, down = cuda.stream(), cuda.pinned((5, 7), np.float32), cuda.pinned((5, 7), np.float32)
        buffer = cuda.buffer(up.nbytes + 100)
        up[:] = np.arange(35).reshape(5, 7)
        cuda.upload(buffer, up, stream)
        cuda.download(down, buffer, stream)
        cuda.wait(stream)
        np.testing.assert_array_equal(down, up)
        assert buffer.address % 16 == 0
        assert stream.handle != 0


def test_arrays_that_a_buffer_cannot_hold_are_refused(cuda: Cuda) -> None:
    with cuda.current():
        stream, buffer = cuda.stream(), cuda.buffer(16)
        with pytest.raises(ValueError, match="contiguous array of 17 bytes"):
            cuda.upload(buffer, np.zeros(17, np.uint8), stream)
        with pytest.raises(ValueError, match="strided array of 4 bytes"):
            cuda.download(np.zeros(8, np.uint8)[::2], buffer, stream)


def test_too_much_memory_is_refused_with_figures(cuda: Cuda) -> None:
    with cuda.current():
        ask = 4 * cuda.memory()[1]
        with pytest.raises(UnavailableError) as problem:
            cuda.buffer(ask)
    assert problem.value.code == "ES-MISSING-MEMORY"
    assert f"{ask >> 20} MiB" in problem.value.message


def test_memory_is_freed_once_from_any_thread(cuda: Cuda) -> None:
    with cuda.current():
        buffer = cuda.buffer(1 << 10)
    worker = threading.Thread(target=buffer.free)
    worker.start()
    worker.join()
    buffer.free()
    with cuda.current():
        assert cuda.buffer(1 << 10).nbytes == 1 << 10


def test_any_thread_can_work(cuda: Cuda) -> None:
    with cuda.current():
        stream, array = cuda.stream(), cuda.pinned((64,), np.uint8)
        buffer = cuda.buffer(64)
    seen: list[int] = []

    def work() -> None:
        with cuda.current(), cuda.current():  # nested, as where one function calls another
            array[:] = 9
            cuda.upload(buffer, array, stream)
            array_down = cuda.pinned((64,), np.uint8)
            cuda.download(array_down, buffer, stream)
            cuda.wait(stream)
            seen.append(int(array_down.sum()))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [9 * 64]


def test_one_thread_looks_while_others_allocate() -> None:
    cuda, problems = EmulatedCuda(memory_mib=64), []
    done = threading.Event()

    def look() -> None:
        with cuda.current():
            buffer = cuda.buffer(8)
            try:
                while not done.is_set():
                    cuda.array(buffer.address, (8,), np.uint8)
                    cuda.memory()
            except RuntimeError as problem:  # a dictionary that changed
                problems.append(problem)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        lookers = [threading.Thread(target=look) for _ in range(2)]
        for thread in lookers:
            thread.start()
        with cuda, cuda.current():
            for _ in range(300):
                buffers = [cuda.buffer(16) for _ in range(10)]
                for buffer in buffers:
                    buffer.free()
            done.set()
            for thread in lookers:
                thread.join()
    finally:
        done.set()
        sys.setswitchinterval(interval)
    assert problems == []


def test_a_graph_does_its_copies_again_at_each_launch(cuda: Cuda) -> None:
    with cuda.current():
        stream, up, down = cuda.stream(), cuda.pinned((8,), np.int32), cuda.pinned((8,), np.int32)
        buffer, start, end = cuda.buffer(32), cuda.event(), cuda.event()
        up[:], down[:] = 1, 0
        with cuda.capture(stream) as graph:
            cuda.record(start, stream)
            cuda.upload(buffer, up, stream)
            cuda.download(down, buffer, stream)
            cuda.record(end, stream)
        cuda.wait(stream)
        assert not down.any()
        for value in (2, 3):
            up[:] = value
            cuda.launch(graph, stream)
            cuda.wait(stream)
            assert (down == value).all()
        assert cuda.elapsed_ms(start, end) >= 0


def test_another_thread_may_allocate_during_a_capture(cuda: Cuda) -> None:
    sizes = []

    def allocate() -> None:
        with cuda.current():
            sizes.append(cuda.buffer(100).nbytes)

    with cuda.current():
        stream = cuda.stream()
        with cuda.capture(stream):
            worker = threading.Thread(target=allocate)
            worker.start()
            worker.join()
    assert sizes == [100]


def test_a_capture_that_fails_leaves_the_stream_usable(cuda: Cuda) -> None:
    with cuda.current():
        stream, up, down = cuda.stream(), cuda.pinned((8,), np.int32), cuda.pinned((8,), np.int32)
        buffer = cuda.buffer(32)
        with pytest.raises(KeyError), cuda.capture(stream):
            cuda.upload(buffer, up, stream)
            raise KeyError("stop")
        up[:] = 5
        cuda.upload(buffer, up, stream)
        cuda.download(down, buffer, stream)
        cuda.wait(stream)
        assert (down == 5).all()


def test_events_tell_the_time_between_them(cuda: Cuda) -> None:
    with cuda.current():
        stream, start, end = cuda.stream(), cuda.event(), cuda.event()
        cuda.record(start, stream)
        cuda.record(end, stream)
        cuda.wait(stream)
        assert cuda.elapsed_ms(start, end) >= 0


def test_another_thread_may_close(cuda: Cuda) -> None:
    with cuda.current():
        cuda.buffer(10)
        cuda.pinned((3,), np.uint8)
    worker = threading.Thread(target=cuda.close)
    worker.start()
    worker.join()
    with pytest.raises(CudaError), cuda.current():
        pass


def test_closing_twice_is_closing_once(cuda: Cuda) -> None:
    with cuda.current():
        buffer = cuda.buffer(10)
    cuda.close()
    cuda.close()
    buffer.free()
    with pytest.raises(CudaError) as problem, cuda.current():
        pass
    assert problem.value.status == "CUDA_ERROR_INVALID_CONTEXT"


@pytest.mark.parametrize("cuda", ["fake pycuda", "fake cuda-python"], indirect=True)
def test_kernels_get_their_struct(cuda: Cuda, host: Host) -> None:
    with cuda.current():
        stream, down = cuda.stream(), cuda.pinned((4,), np.uint8)
        buffer = cuda.buffer(4)
        kernels = cuda.load_kernels(b"cubin", ["fill"])
        values = Values(buffer.address, 7, 1)
        with cuda.capture(stream) as graph:
            cuda.run(kernels["fill"], (2, 1, 1), (32, 1, 1), values, stream)
        values.value = 8  # too late
        cuda.launch(graph, stream)
        cuda.download(down, buffer, stream)
        assert down.tolist() == [7] * 4
        with pytest.raises(CudaError) as problem:
            cuda.load_kernels(b"cubin", ["missing"])
        assert problem.value.status == "CUDA_ERROR_NOT_FOUND"
    assert host.flags == [1], "a stream that does not wait for the default one"


@pytest.mark.parametrize("name", CUDA_LAYERS)
def test_pixels_on_a_gpu_are_those_of_the_cpu(
    name: str, without: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same work by a real layer and by the emulated one: the same bytes."""
    try:
        opened = open_cuda(name=name)
    except UnavailableError as problem:
        without("gpu", problem.message)
    masks = []
    logits = np.random.default_rng(1).normal(size=(19, 32, 64)).astype(np.float32)
    use_cpu_kernels(monkeypatch)
    for cuda in (opened, EmulatedCuda()):
        with cuda, cuda.current():
            stream, kernels, up = cuda.stream(), PixelKernels(cuda), cuda.buffer(logits.nbytes)
            mask, down = cuda.pinned((270, 480), np.uint8), cuda.buffer(270 * 480)
            cuda.upload(up, logits, stream)
            kernels.labels(up.address, (19, 32, 64), down.address, (270, 480), stream)
            cuda.download(mask, down, stream)
            cuda.wait(stream)
            masks.append(mask.copy())
    np.testing.assert_array_equal(*masks)


# ---- Opening


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(EdgeSegError) as problem:
        call()
    assert "\n" not in str(problem.value)
    return problem.value.code


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu", "cuda:-1"])
def test_devices_that_are_no_gpu(device: str) -> None:
    assert code_of(lambda: open_cuda(device)) == "ES-DEVICE-MISSING"


def test_device_indices() -> None:
    assert [cuda_package.device_index(name) for name in ("cuda", "cuda:0", "cuda:12")] == [0, 0, 12]


def test_a_layer_that_is_in_no_table() -> None:
    with pytest.raises(UnknownNameError):
        open_cuda(name="pycud")


def not_installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    if "cuda" in names:

        def missing() -> Any:
            raise ModuleNotFoundError("cuda")

        monkeypatch.setattr(cuda_python_layer, "_driver", missing)


def test_no_layer_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    not_installed(monkeypatch, "pycuda", "cuda")
    assert code_of(open_cuda) == "ES-MISSING-CUDA"
    assert code_of(lambda: open_cuda(name="pycuda")) == "ES-MISSING-CUDA"


@pytest.fixture(params=["pycuda", "cuda-python"])
def layer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_is_no_driver(layer: str, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    if layer == "pycuda":
        use_pycuda(monkeypatch, host)
        monkeypatch.setitem(sys.modules, "pycuda", _Unlinked("pycuda"))
        monkeypatch.delitem(sys.modules, "pycuda.driver")
    else:
        success = SimpleNamespace(cuInit=lambda flags: FakeDriver.no_driver(self=None))  # type: ignore[arg-type]
        use_cuda_python(monkeypatch, success)
    assert code_of(lambda: open_cuda(name=layer)) == "ES-MISSING-DRIVER"


class _Unlinked(ModuleType):
    """pycuda where its extension finds no libcuda."""

    def __getattr__(self, name: str) -> Any:
        if name == "driver":
            raise ImportError("libcuda.so.1: cannot open shared object file: No such file or directory")
        raise AttributeError(name)


def test_there_is_no_such_gpu(layer: str, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    use_pycuda(monkeypatch, host, devices=1)
    use_cuda_python(monkeypatch, SimpleNamespace(cuInit=lambda flags: (0,), cuDeviceGetCount=lambda: (0, 1)))
    assert code_of(lambda: open_cuda("cuda:3", layer)) == "ES-DEVICE-MISSING"


def test_there_is_a_driver_and_no_gpu(layer: str, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    use_pycuda(monkeypatch, host, devices=0)
    use_cuda_python(monkeypatch, SimpleNamespace(cuInit=lambda flags: (100,)))
    assert code_of(lambda: open_cuda(name=layer)) == "ES-DEVICE-MISSING"


def test_the_first_layer_that_works_is_taken(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    use_pycuda(monkeypatch, host)
    with open_cuda() as cuda:
        assert isinstance(cuda, pycuda_layer.PycudaLayer)


def test_cuda_python_serves_where_pycuda_does_not(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    bindings = real_bindings()
    not_installed(monkeypatch, "pycuda")
    use_cuda_python(monkeypatch, FakeDriver(bindings, host))
    with open_cuda() as cuda:
        assert isinstance(cuda, cuda_python_layer.CudaPythonLayer)
