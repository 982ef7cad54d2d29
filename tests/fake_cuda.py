"""Fakes of what lies below the CUDA layers: a driver in host memory, as cuda-python, pycuda and ctypes show it."""

from __future__ import annotations

import ctypes
import inspect
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

TOTAL = 64 << 20


class Host:
    """What the fakes of a driver have below them: host memory, handles, and captures as lists of calls."""

    def __init__(self) -> None:
        self.alive: dict[int, Any] = {}
        self.depth = threading.local()
        self.captured: list[Callable[[], object]] | None = None
        self.times: dict[int, float] = {}
        self.flags: list[int] = []

    def new(self, what: Any) -> int:
        handle = id(what) if not isinstance(what, ctypes.Array) else ctypes.addressof(what)
        self.alive[handle] = what
        return handle

    def allocate(self, nbytes: int) -> int:
        self.need_context()
        used = sum(ctypes.sizeof(each) for each in self.alive.values() if isinstance(each, ctypes.Array))
        return 0 if used + nbytes > TOTAL else self.new((ctypes.c_uint8 * nbytes)())

    def drop(self, handle: int) -> None:
        self.need_context()
        del self.alive[handle]

    def need_context(self) -> None:
        assert getattr(self.depth, "n", 0) > 0, "no context is current on this thread"

    def push(self) -> None:
        self.depth.n = getattr(self.depth, "n", 0) + 1

    def pop(self) -> None:
        self.need_context()
        self.depth.n -= 1

    def queue(self, work: Callable[[], object]) -> None:
        self.need_context()
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        self.queue(lambda: ctypes.memmove(target, source, nbytes))

    def begin(self) -> None:
        self.captured = []

    def end(self) -> int:
        captured, self.captured = self.captured, None
        return self.new(captured)

    def launch(self, graph: int) -> None:
        for work in list(self.alive[graph]):
            self.queue(work)

    def record(self, event: int, flags: int = 0) -> None:
        assert flags == (self.captured is not None), "external is for captures, and for them alone"
        self.queue(lambda: self.times.__setitem__(event, time.perf_counter()))

    def elapsed_ms(self, start: int, end: int) -> float:
        return 1000 * (self.times[end] - self.times[start])

    def leaks(self) -> int:
        return len(self.alive)


class FakeDriver:
    """The real `cuda.bindings.driver` with host memory below: its types and constants, its signatures, its results."""

    def __init__(self, real: Any, host: Host, *, devices: int = 1, driver: bool = True) -> None:
        self.real, self.host = real, host
        memory = (real.CUresult.CUDA_ERROR_OUT_OF_MEMORY, real.CUdeviceptr(0))
        self.calls: dict[str, Callable[..., Any]] = {
            "cuInit": lambda flags: () if driver else self.no_driver(),
            "cuDeviceGetCount": lambda: (devices,),
            "cuDeviceGet": lambda index: (real.CUdevice(index),),
            "cuDeviceGetName": lambda length, device: ((b"Fake GPU\0").ljust(length),),
            "cuDeviceTotalMem": lambda device: (TOTAL,),
            "cuDeviceGetAttribute": lambda attribute, device: (8 if attribute.name.endswith("MAJOR") else 6,),
            "cuDriverGetVersion": lambda: (12040,),
            "cuDevicePrimaryCtxRetain": lambda device: (real.CUcontext(host.new(["context"])),),
            "cuDevicePrimaryCtxRelease": lambda device: self.release(),
            "cuCtxPushCurrent": lambda context: host.push() or (),
            "cuCtxPopCurrent": lambda: host.pop() or (real.CUcontext(0),),
            "cuMemGetInfo": lambda: (host.need_context(), (TOTAL - 5, TOTAL))[1],
            "cuMemAlloc": lambda nbytes: (real.CUdeviceptr(at),) if (at := host.allocate(nbytes)) else memory,
            "cuMemFree": lambda address: host.drop(int(address)) or (),
            "cuMemHostAlloc": lambda nbytes, flags: (host.allocate(nbytes),),
            "cuMemFreeHost": lambda address: host.drop(int(address)) or (),
            "cuStreamCreate": lambda flags: (host.flags.append(flags), (real.CUstream(host.new([flags])),))[1],
            "cuStreamDestroy": lambda stream: host.drop(int(stream)) or (),
            "cuStreamSynchronize": lambda stream: host.need_context() or (),
            "cuEventCreate": lambda flags: (real.CUevent(host.new([flags])),),
            "cuEventDestroy": lambda event: host.drop(int(event)) or (),
            "cuEventRecord": lambda event, stream: host.record(int(event)) or (),
            "cuEventRecordWithFlags": lambda event, stream, flags: host.record(int(event), flags) or (),
            "cuEventElapsedTime": lambda start, end: (host.elapsed_ms(int(start), int(end)),),
            "cuMemcpyHtoDAsync": lambda to, at, nbytes, stream: host.copy(int(to), at, nbytes) or (),
            "cuMemcpyDtoHAsync": lambda to, at, nbytes, stream: host.copy(to, int(at), nbytes) or (),
            "cuStreamBeginCapture": lambda stream, mode: host.begin() or (),
            "cuStreamEndCapture": lambda stream: (real.CUgraph(host.end()),),
            "cuGraphInstantiate": lambda graph, flags: (real.CUgraphExec(host.new(list(host.alive[int(graph)]))),),
            "cuGraphLaunch": lambda graph, stream: host.launch(int(graph)) or (),
            "cuGraphDestroy": lambda graph: host.drop(int(graph)) or (),
            "cuGraphExecDestroy": lambda graph: host.drop(int(graph)) or (),
            "cuModuleLoadData": lambda image: (real.CUmodule(host.new([image])),),
            "cuModuleUnload": lambda module: host.drop(int(module)) or (),
            "cuModuleGetFunction": self.function,
            "cuLaunchKernel": self.launch_kernel,
        }

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)
        if not name.startswith("cu"):
            return real

        def call(*given: Any) -> Any:
            inspect.signature(real).bind(*given)
            result = self.calls[name](*given)
            failed = result and isinstance(result[0], self.real.CUresult)
            return result if failed else (self.real.CUresult.CUDA_SUCCESS, *result)

        return call

    def no_driver(self) -> Any:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    def release(self) -> Any:
        self.host.alive = {handle: what for handle, what in self.host.alive.items() if what != ["context"]}
        return ()

    def function(self, module: Any, name: bytes) -> Any:
        if name == b"missing":
            return self.real.CUresult.CUDA_ERROR_NOT_FOUND, self.real.CUfunction(0)
        return (self.real.CUfunction(1),)

    def launch_kernel(self, function: Any, *rest: Any) -> Any:
        *sizes, shared, _, parameters, extra = rest
        assert (sizes, shared, extra) == ([2, 1, 1, 32, 1, 1], 0, 0)
        (pointer,) = (ctypes.c_void_p * 1).from_address(parameters)
        values = Values.from_buffer_copy(Values.from_address(pointer or 0))
        self.host.queue(lambda: ctypes.memset(values.target, values.value, 4))
        return ()


class Values(ctypes.Structure):
    _fields_ = [("target", ctypes.c_void_p), ("value", ctypes.c_int), ("count", ctypes.c_int)]


def fake_pycuda(host: Host, *, devices: int = 1) -> ModuleType:
    """`pycuda.driver` as far as it is used, after pycuda 2026.1's wrap_cudadrv.cpp and driver.py.

    Errors are `Error` with "cuMemAlloc failed: out of memory"; kernels take `np.void` by value, and keywords.
    """
    driver = ModuleType("pycuda.driver")
    driver.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]

    class Context:
        def push(self) -> None:
            host.push()

        @staticmethod
        def pop() -> None:
            host.pop()

        @staticmethod
        def get_current() -> None:
            host.need_context()  # the driver's own stack, which `detach` leaves as it is

        def detach(self) -> None:
            host.need_context()
            host.alive.pop(id(self))

    class Device:
        def __init__(self, index: int) -> None:
            assert index < devices

        @staticmethod
        def count() -> int:
            return devices

        def name(self) -> str:
            return "Fake GPU"

        def compute_capability(self) -> tuple[int, int]:
            return (8, 6)

        def total_memory(self) -> int:
            return TOTAL

        def retain_primary_context(self) -> Context:
            context = Context()
            host.new(context)
            return context

    class DeviceAllocation:
        def __init__(self, address: int) -> None:
            self.address = address

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            host.drop(self.address)

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            host.need_context()
            host.flags.append(flags)
            self.handle = id(self)

        def synchronize(self) -> None:
            host.need_context()

    class Function:
        def __call__(self, *given: Any, grid: Any, block: Any, stream: Stream) -> None:
            (values,) = given
            assert isinstance(values, np.void) and (grid, block) == ((2, 1, 1), (32, 1, 1))
            copied = Values.from_buffer_copy(values.tobytes())
            host.queue(lambda: ctypes.memset(copied.target, copied.value, 4))

    class Module:
        def get_function(self, name: str) -> Function:
            if name == "missing":
                raise driver.Error("cuModuleGetFunction failed: named symbol not found")
            return Function()

    def mem_alloc(nbytes: int) -> DeviceAllocation:
        address = host.allocate(nbytes)
        if not address:
            raise driver.Error("cuMemAlloc failed: out of memory")
        return DeviceAllocation(address)

    def memcpy_htod_async(dest: int, src: Any, stream: Any = None) -> None:
        host.copy(dest, src.ctypes.data, src.nbytes)

    def memcpy_dtoh_async(dest: Any, src: int, stream: Any = None) -> None:
        host.copy(dest.ctypes.data, src, dest.nbytes)

    def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        host.need_context()
        return np.empty(shape, dtype)

    def mem_get_info() -> tuple[int, int]:
        host.need_context()
        return TOTAL - 5, TOTAL

    def module_from_buffer(buffer: Any, options: Any = (), message_handler: Any = None) -> Module:
        host.need_context()
        return Module()

    driver.__dict__.update(
        {name: thing for name, thing in locals().items() if name not in ("host", "devices", "driver")},
        init=lambda flags=0: None,
        get_driver_version=lambda: 12040,
    )
    return driver


class FakeLibCuda:
    """libcuda's calls as ctypes makes them: out-parameters first or last, handles as pointers."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.host.pop()
        return 0

    def cuEventCreate(self, event: Any, flags: Any) -> int:  # noqa: N802
        event._obj.value = self.host.new([flags.value])
        return 0

    def cuEventDestroy_v2(self, event: Any) -> int:  # noqa: N802
        self.host.drop(event.value)
        return 0

    def cuEventRecord(self, event: Any, stream: Any) -> int:  # noqa: N802
        self.host.record(event.value)
        return 0

    def cuEventRecordWithFlags(self, event: Any, stream: Any, flags: Any) -> int:  # noqa: N802
        self.host.record(event.value, flags.value)
        return 0

    def cuEventElapsedTime(self, milliseconds: Any, start: Any, end: Any) -> int:  # noqa: N802
        if not {start.value, end.value} <= set(self.host.times):
            return 400
        milliseconds._obj.value = self.host.elapsed_ms(start.value, end.value)
        return 0

    def cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> int:  # noqa: N802
        self.host.begin()
        return 0

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:  # noqa: N802
        graph._obj.value = self.host.end()
        return 0

    def cuGraphInstantiateWithFlags(self, made: Any, graph: Any, flags: Any) -> int:  # noqa: N802
        made._obj.value = self.host.new(list(self.host.alive[graph.value]))
        return 0

    def cuGraphLaunch(self, graph: Any, stream: Any) -> int:  # noqa: N802
        self.host.launch(graph.value)
        return 0

    def cuGraphDestroy(self, graph: Any) -> int:  # noqa: N802
        self.host.drop(graph.value)
        return 0

    cuGraphExecDestroy = cuGraphDestroy  # noqa: N815

    def cuGetErrorName(self, code: Any, name: Any) -> int:  # noqa: N802
        name._obj.value = b"CUDA_ERROR_INVALID_HANDLE"
        return 0
