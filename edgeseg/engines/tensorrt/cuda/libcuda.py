"""NVIDIA's driver library, for calls that pycuda lacks: graphs, and events that a graph records."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from edgeseg.engines.tensorrt.cuda.cuda import CudaError, no_driver
from edgeseg.errors import UnavailableError

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate during a capture
EXTERNAL = 1  # CU_EVENT_RECORD_EXTERNAL: a node of the graph that records at each launch


class LibCuda:
    """Calls by name; handles are integers."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError as problem:
            raise no_driver() from problem

    def call(self, name: str, *arguments: Any) -> None:
        """Call `name`; CudaError if it fails. Integers are passed as pointers or handles."""
        code = getattr(self._library, name)(*(ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments))
        if code:
            raise CudaError(name.removesuffix("_v2"), self._error_name(code))

    def create(self, name: str, *arguments: Any) -> int:
        """The handle that `name` writes to its first argument."""
        handle = ctypes.c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds between two completed events."""
        milliseconds = ctypes.c_float()
        self.call("cuEventElapsedTime", ctypes.byref(milliseconds), start, end)
        return milliseconds.value

    def end_capture(self, stream: int) -> int:
        """End a capture; the executable graph."""
        graph = ctypes.c_void_p()
        self.call("cuStreamEndCapture", stream, ctypes.byref(graph))
        try:
            return self.create("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
        finally:
            self.call("cuGraphDestroy", graph)

    def drop_capture(self, stream: int) -> None:
        """End a capture that failed, and drop its graph."""
        graph = ctypes.c_void_p()
        self._library.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))
        if graph.value:
            self.call("cuGraphDestroy", graph)

    def _error_name(self, code: int) -> str:
        name = ctypes.c_char_p()
        self._library.cuGetErrorName(ctypes.c_int(code), ctypes.byref(name))
        return (name.value or b"CUDA error %d" % code).decode()


def gpu_count() -> int:
    """The number of GPUs that this process may use; 0 without a driver."""
    count = ctypes.c_int()
    try:
        library = LibCuda()
        library.call("cuInit", ctypes.c_uint(0))
        library.call("cuDeviceGetCount", ctypes.byref(count))
    except UnavailableError:
        return 0
    return count.value
