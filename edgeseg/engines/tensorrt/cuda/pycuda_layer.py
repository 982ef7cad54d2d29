"""CUDA through pycuda, and through the driver library for calls that pycuda lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import Structure, c_uint
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from edgeseg.engines.tensorrt.cuda.cuda import (
    MIB,
    OUT_OF_MEMORY,
    Array,
    Cuda,
    CudaError,
    Dim3,
    Facts,
    Graph,
    Stream,
    no_device,
    no_driver,
)
from edgeseg.engines.tensorrt.cuda.libcuda import EXTERNAL, THREAD_LOCAL, LibCuda

PORTABLE = 1  # CU_MEMHOSTALLOC_PORTABLE
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
# The texts of cuGetErrorString, which pycuda raises, with the names of the errors.
CODES = {
    "out of memory": OUT_OF_MEMORY,
    "invalid device context": "CUDA_ERROR_INVALID_CONTEXT",
    "an illegal memory access was encountered": "CUDA_ERROR_ILLEGAL_ADDRESS",
    "no kernel image is available for execution on the device": "CUDA_ERROR_NO_BINARY_FOR_GPU",
    "named symbol not found": "CUDA_ERROR_NOT_FOUND",
}


def open_layer(index: int) -> Cuda:
    """GPU `index`. ModuleNotFoundError if pycuda is not installed."""
    try:
        from pycuda import driver
    except ModuleNotFoundError:
        raise
    except ImportError as problem:  # its extension is linked against libcuda
        raise no_driver() from problem
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as problem:
        raise no_device(index, 0) from problem
    if index >= count:
        raise no_device(index, count)
    return PycudaLayer(driver, index)


class PycudaLayer(Cuda):
    """A GPU through pycuda.

    pycuda frees its objects in destructors, which need the context on their thread: this keeps them until `close`.
    """

    def __init__(self, driver: Any, index: int) -> None:
        super().__init__()
        self._driver = driver
        self._device = driver.Device(index)
        self._libcuda = LibCuda()
        self._allocations: dict[int, Any] = {}
        with _cuda_errors(driver):
            self._context = self._device.retain_primary_context()
        self._objects: list[Any] = []
        self._on_close.append(self._objects.clear)

    def facts(self) -> Facts:
        """The device, as the driver describes it."""
        version = self._driver.get_driver_version()
        return {
            "device": str(self._device.name()),
            "compute_capability": "{}.{}".format(*self._device.compute_capability()),
            "cuda_driver": f"{version // 1000}.{version % 1000 // 10}",
            "memory_mib": int(self._device.total_memory()) // MIB,
        }

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        with _cuda_errors(self._driver):
            free, total = self._driver.mem_get_info()
        return int(free), int(total)

    def pinned(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Page-locked memory, for asynchronous copies."""
        with _cuda_errors(self._driver):
            array: Array = self._driver.pagelocked_empty(tuple(shape), np.dtype(dtype), mem_flags=PORTABLE)
        self._objects.append(array)
        return array

    def stream(self) -> Stream:
        """A stream of its own."""
        with _cuda_errors(self._driver):
            stream = self._driver.Stream(NON_BLOCKING)
        self._objects.append(stream)
        return Stream(int(stream.handle), stream)

    def event(self) -> int:
        """An event with timing."""
        event = self._libcuda.create("cuEventCreate", c_uint(0))
        self._on_close.append(lambda: self._libcuda.call("cuEventDestroy_v2", event))
        return event

    def record(self, event: int, stream: Stream) -> None:
        """Queue the event."""
        if stream.handle in self._capturing:
            self._libcuda.call("cuEventRecordWithFlags", event, stream.handle, c_uint(EXTERNAL))
        else:
            self._libcuda.call("cuEventRecord", event, stream.handle)

    def elapsed_ms(self, start: int, end: int) -> float:
        """The time between two events."""
        return self._libcuda.elapsed_ms(start, end)

    def wait(self, stream: Stream) -> None:
        """Wait for the stream alone."""
        with _cuda_errors(self._driver):
            stream.native.synchronize()

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue a captured graph."""
        self._libcuda.call("cuGraphLaunch", graph.native, stream.handle)

    def load_kernels(self, image: bytes, names: Sequence[str]) -> dict[str, Any]:
        """Load a cubin."""
        with _cuda_errors(self._driver):
            module = self._driver.module_from_buffer(image)
            self._objects.append(module)
            return {name: module.get_function(name) for name in names}

    def run(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Structure, stream: Stream) -> None:
        """Queue a kernel."""
        with _cuda_errors(self._driver):
            kernel(np.void(bytes(arguments)), grid=grid, block=block, stream=stream.native)

    def _push(self) -> None:
        if self._closed:
            raise CudaError("cuCtxPushCurrent", "CUDA_ERROR_INVALID_CONTEXT")
        self._context.push()

    def _pop(self) -> None:
        self._driver.Context.pop()

    def _release(self) -> None:
        """Release the context, from any thread.

        On another thread than the opening one pycuda's `detach` does nothing unless the context is current. It leaves a
        primary context on the driver's stack, because the driver pops only contexts that it destroys.
        """
        self._context.push()
        self._context.detach()
        if self._driver.Context.get_current() is None:
            self._libcuda.create("cuCtxPopCurrent_v2")

    def _allocate(self, nbytes: int) -> int:
        with _cuda_errors(self._driver):
            allocation = self._driver.mem_alloc(nbytes)
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def _free(self, address: int) -> None:
        with _cuda_errors(self._driver):
            self._allocations.pop(address).free()

    def _upload(self, address: int, array: Array, stream: Stream) -> None:
        with _cuda_errors(self._driver):
            self._driver.memcpy_htod_async(address, array, stream.native)

    def _download(self, array: Array, address: int, stream: Stream) -> None:
        with _cuda_errors(self._driver):
            self._driver.memcpy_dtoh_async(array, address, stream.native)

    def _begin_capture(self, stream: Stream) -> None:
        self._libcuda.call("cuStreamBeginCapture_v2", stream.handle, c_uint(THREAD_LOCAL))

    def _end_capture(self, stream: Stream) -> int:
        graph = self._libcuda.end_capture(stream.handle)
        self._on_close.append(lambda: self._libcuda.call("cuGraphExecDestroy", graph))
        return graph

    def _drop_capture(self, stream: Stream) -> None:
        self._libcuda.drop_capture(stream.handle)


@contextmanager
def _cuda_errors(driver: Any) -> Iterator[None]:
    """Raise pycuda's errors, such as "cuMemAlloc failed: out of memory", as CudaError."""
    try:
        yield
    except driver.Error as problem:
        match = re.match(r"(\w+) failed: ([^\n]*?)(?: - |$)", str(problem))
        call, text = match.groups() if match else ("pycuda", str(problem).splitlines()[0])
        raise CudaError(call, CODES.get(text, text)) from problem
