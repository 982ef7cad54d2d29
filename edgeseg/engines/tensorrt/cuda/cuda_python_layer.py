"""CUDA through cuda-python, which has wheels: cuda.bindings, or `cuda.cuda` before 12.6."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from ctypes import Structure, addressof, c_void_p
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from edgeseg.engines.tensorrt.cuda.cuda import (
    MIB,
    Array,
    Cuda,
    CudaError,
    Dim3,
    Facts,
    Graph,
    Stream,
    array_at,
    no_device,
    no_driver,
)


def open_layer(index: int) -> Cuda:
    """GPU `index`. ModuleNotFoundError if cuda-python is not installed."""
    driver = _driver()
    try:
        (code,) = driver.cuInit(0)
    except RuntimeError as problem:  # this loads libcuda; a function is missing if the driver is too old
        raise no_driver() from problem
    count = 0 if int(code) else int(_result(driver, "cuDeviceGetCount"))
    if index >= count:
        raise no_device(index, count)
    return CudaPythonLayer(driver, index)


def _driver() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ModuleNotFoundError:
        return importlib.import_module("cuda.cuda")


def _result(driver: Any, name: str, *arguments: Any) -> Any:
    """The results of `name` without its status; CudaError if it fails."""
    status, *results = getattr(driver, name)(*arguments)
    if int(status):
        raise CudaError(name, driver.CUresult(status).name)
    return results[0] if len(results) == 1 else tuple(results)


class CudaPythonLayer(Cuda):
    """A GPU through cuda-python's driver module."""

    def __init__(self, driver: Any, index: int) -> None:
        super().__init__()
        self._driver = driver
        self._device = self._call("cuDeviceGet", index)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def facts(self) -> Facts:
        """The device, as the driver describes it."""
        attribute = self._driver.CUdevice_attribute
        major = self._call("cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, self._device)
        minor = self._call("cuDeviceGetAttribute", attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, self._device)
        version = self._call("cuDriverGetVersion")
        return {
            "device": self._call("cuDeviceGetName", 128, self._device).split(b"\0")[0].decode(),
            "compute_capability": f"{major}.{minor}",
            "cuda_driver": f"{version // 1000}.{version % 1000 // 10}",
            "memory_mib": int(self._call("cuDeviceTotalMem", self._device)) // MIB,
        }

    def memory(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def pinned(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Page-locked memory, for asynchronous copies."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        address = int(self._call("cuMemHostAlloc", nbytes, self._driver.CU_MEMHOSTALLOC_PORTABLE))
        self._on_close.append(lambda: self._call("cuMemFreeHost", address))
        return array_at(address, shape, dtype)

    def stream(self) -> Stream:
        """A stream of its own."""
        stream = self._call("cuStreamCreate", int(self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self._on_close.append(lambda: self._call("cuStreamDestroy", stream))
        return Stream(int(stream), stream)

    def event(self) -> Any:
        """An event with timing."""
        event = self._call("cuEventCreate", int(self._driver.CUevent_flags.CU_EVENT_DEFAULT))
        self._on_close.append(lambda: self._call("cuEventDestroy", event))
        return event

    def record(self, event: Any, stream: Stream) -> None:
        """Queue the event."""
        if stream.handle in self._capturing:
            external = int(self._driver.CUevent_record_flags.CU_EVENT_RECORD_EXTERNAL)
            self._call("cuEventRecordWithFlags", event, stream.native, external)
        else:
            self._call("cuEventRecord", event, stream.native)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """The time between two events."""
        return float(self._call("cuEventElapsedTime", start, end))

    def wait(self, stream: Stream) -> None:
        """Wait for the stream alone."""
        self._call("cuStreamSynchronize", stream.native)

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue a captured graph."""
        self._call("cuGraphLaunch", graph.native, stream.native)

    def load_kernels(self, image: bytes, names: Sequence[str]) -> dict[str, Any]:
        """Load a cubin."""
        module = self._call("cuModuleLoadData", image)
        self._on_close.append(lambda: self._call("cuModuleUnload", module))
        return {name: self._call("cuModuleGetFunction", module, name.encode()) for name in names}

    def run(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Structure, stream: Stream) -> None:
        """Queue a kernel."""
        parameters = (c_void_p * 1)(addressof(arguments))  # an array of pointers to the parameters, here one
        self._call("cuLaunchKernel", kernel, *grid, *block, 0, stream.native, addressof(parameters), 0)

    def _call(self, name: str, *arguments: Any) -> Any:
        return _result(self._driver, name, *arguments)

    def _push(self) -> None:
        if self._closed:
            raise CudaError("cuCtxPushCurrent", "CUDA_ERROR_INVALID_CONTEXT")
        self._call("cuCtxPushCurrent", self._context)

    def _pop(self) -> None:
        self._call("cuCtxPopCurrent")

    def _release(self) -> None:
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def _allocate(self, nbytes: int) -> int:
        return int(self._call("cuMemAlloc", nbytes))

    def _free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def _upload(self, address: int, array: Array, stream: Stream) -> None:
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream.native)

    def _download(self, array: Array, address: int, stream: Stream) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream.native)

    def _begin_capture(self, stream: Stream) -> None:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL  # other threads may allocate
        self._call("cuStreamBeginCapture", stream.native, mode)

    def _end_capture(self, stream: Stream) -> Any:
        graph = self._call("cuStreamEndCapture", stream.native)
        try:
            executable = self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        self._on_close.append(lambda: self._call("cuGraphExecDestroy", executable))
        return executable

    def _drop_capture(self, stream: Stream) -> None:
        code, graph = self._driver.cuStreamEndCapture(stream.native)
        if not int(code) and int(graph):
            self._call("cuGraphDestroy", graph)
