"""CUDA with numpy in place of a GPU: it computes at once, and refuses what a GPU refuses.

The kernels run as a C++ library that is compiled from the same source.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
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
)
from edgeseg.engines.tensorrt.kernels import kernels
from edgeseg.engines.tensorrt.kernels.compile import SOURCE, cached_binary, cubin_from_source
from edgeseg.errors import UnavailableError

SHIM = Path(__file__).with_name("cuda_shim.h")
FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-Wall", "-Werror", f"-I{SHIM.parent}")
INVALID_CONTEXT = "CUDA_ERROR_INVALID_CONTEXT"
ILLEGAL_ADDRESS = "CUDA_ERROR_ILLEGAL_ADDRESS"
NOT_IN_A_CAPTURE = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
ALIGNMENT = 256  # bytes, of device memory
UNDEFINED = 0xCD  # what new memory holds
Work = Callable[[], object]


class EmulatedCuda(Cuda):
    """A device in host memory, whose addresses are real: kernels compiled for the CPU, and other fakes, use them."""

    def __init__(self, memory_mib: int = 1024) -> None:
        super().__init__()
        self._total = memory_mib * MIB
        self._memory: dict[int, Array] = {}
        self._pinned: list[Array] = []
        self._thread = threading.local()
        self._streams = 0
        self._captured: dict[int, list[Work]] = {}
        self._capturing_threads: dict[int, int] = {}  # by stream

    def submit(self, handle: int, work: Work) -> None:
        """Queue any work on the stream `handle`: done at once, or kept for the graph. A fake engine's way in."""
        self._check_current("cuLaunchHostFunc")
        if handle in self._captured:
            self._captured[handle].append(work)
        else:
            work()

    def array(self, address: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """The device memory at `address`, to look at or fill. CudaError where it is not within one live buffer."""
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        for start, memory in list(self._memory.items()):  # other threads allocate meanwhile
            if start <= address and address + nbytes <= start + memory.nbytes:
                return memory[address - start :][:nbytes].view(dtype).reshape(shape)
        raise CudaError("cuLaunchKernel", ILLEGAL_ADDRESS)

    def facts(self) -> Facts:
        """A device that no GPU is."""
        return {
            "device": "emulated",
            "compute_capability": "cpu",
            "cuda_driver": "0.0",
            "memory_mib": self._total // MIB,
        }

    def memory(self) -> tuple[int, int]:
        """What the buffers leave of `memory_mib`."""
        self._check_current("cuMemGetInfo")
        return self._total - sum(each.nbytes for each in list(self._memory.values())), self._total

    def pinned(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Host memory that is known to be for copies."""
        self._check_may_allocate("cuMemHostAlloc")
        nbytes = math.prod(shape) * np.dtype(dtype).itemsize
        array = np.full(nbytes, UNDEFINED, np.uint8).view(dtype).reshape(shape)
        self._pinned.append(array)
        return array

    def stream(self) -> Stream:
        """A number: nothing is ever left to do."""
        self._check_may_allocate("cuStreamCreate")
        self._streams += 1
        return Stream(self._streams)

    def event(self) -> list[float]:
        """The moment of the last record, once there is one."""
        self._check_current("cuEventCreate")
        return []

    def record(self, event: list[float], stream: Stream) -> None:
        """Take the time when the work gets there."""

        def record() -> None:
            event[:] = [time.perf_counter()]

        self.submit(stream.handle, record)

    def elapsed_ms(self, start: list[float], end: list[float]) -> float:
        """Wall time."""
        self._check_current("cuEventElapsedTime")
        if not (start and end):
            raise CudaError("cuEventElapsedTime", "CUDA_ERROR_INVALID_HANDLE")
        return 1000 * (end[0] - start[0])

    def wait(self, stream: Stream) -> None:
        """Nothing to wait for; refused in a capture, as on a GPU."""
        self._check_current("cuStreamSynchronize")
        if stream.handle in self._captured:
            raise CudaError("cuStreamSynchronize", NOT_IN_A_CAPTURE)

    def launch(self, graph: Graph, stream: Stream) -> None:
        """Do all of it again."""
        if graph.native is None:
            raise CudaError("cuGraphLaunch", "CUDA_ERROR_INVALID_VALUE")
        for work in graph.native:
            self.submit(stream.handle, work)

    def load_kernels(self, image: bytes, names: Sequence[str]) -> dict[str, Any]:
        """image: the path of the kernels' library."""
        self._check_may_allocate("cuModuleLoadData")
        library = ctypes.CDLL(os.fsdecode(image))
        try:
            return {name: _Kernel(library, name) for name in names}
        except (AttributeError, ValueError) as problem:
            raise CudaError("cuModuleGetFunction", "CUDA_ERROR_NOT_FOUND") from problem

    def run(self, kernel: _Kernel, grid: Dim3, block: Dim3, arguments: ctypes.Structure, stream: Stream) -> None:
        """Run the whole grid, one thread after another, with its pointers checked."""
        if min(grid + block) < 1 or block[0] * block[1] * block[2] > 1024:
            raise CudaError("cuLaunchKernel", "CUDA_ERROR_INVALID_VALUE")
        if kernel.nbytes != ctypes.sizeof(arguments):
            raise ValueError(f"{kernel.name} takes a struct of {kernel.nbytes} bytes, not {ctypes.sizeof(arguments)}")
        copied = type(arguments).from_buffer_copy(arguments)

        def run() -> None:
            for name, kind, *_ in copied._fields_:
                if kind is ctypes.c_void_p:
                    self.array(getattr(copied, name) or 0, (1,), np.uint8)
            kernel.grid(ctypes.byref(copied), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block))

        self.submit(stream.handle, run)

    def _push(self) -> None:
        if self._closed:
            raise CudaError("cuCtxPushCurrent", INVALID_CONTEXT)
        self._thread.depth = getattr(self._thread, "depth", 0) + 1

    def _pop(self) -> None:
        self._thread.depth -= 1

    def _release(self) -> None:
        self._pinned.clear()

    def _allocate(self, nbytes: int) -> int:
        self._check_may_allocate("cuMemAlloc")
        if nbytes < 1:
            raise CudaError("cuMemAlloc", "CUDA_ERROR_INVALID_VALUE")
        if nbytes > self.memory()[0]:
            raise CudaError("cuMemAlloc", OUT_OF_MEMORY)
        memory = np.full(nbytes + ALIGNMENT, UNDEFINED, np.uint8)
        memory = memory[-memory.ctypes.data % ALIGNMENT :][:nbytes]
        self._memory[memory.ctypes.data] = memory
        return memory.ctypes.data

    def _free(self, address: int) -> None:
        del self._memory[address]

    def _upload(self, address: int, array: Array, stream: Stream) -> None:
        self._check_pinned(array, stream)
        self.submit(stream.handle, lambda: np.copyto(self.array(address, array.shape, array.dtype), array))

    def _download(self, array: Array, address: int, stream: Stream) -> None:
        self._check_pinned(array, stream)
        self.submit(stream.handle, lambda: np.copyto(array, self.array(address, array.shape, array.dtype)))

    def _begin_capture(self, stream: Stream) -> None:
        self._check_current("cuStreamBeginCapture")
        self._captured[stream.handle] = []
        self._capturing_threads[stream.handle] = threading.get_ident()

    def _end_capture(self, stream: Stream) -> list[Work]:
        del self._capturing_threads[stream.handle]
        return self._captured.pop(stream.handle)

    def _drop_capture(self, stream: Stream) -> None:
        self._end_capture(stream)

    def _check_current(self, call: str) -> None:
        if not getattr(self._thread, "depth", 0):
            raise CudaError(call, INVALID_CONTEXT)

    def _check_may_allocate(self, call: str) -> None:
        self._check_current(call)
        if threading.get_ident() in list(self._capturing_threads.values()):
            raise CudaError(call, NOT_IN_A_CAPTURE)

    def _check_pinned(self, array: Array, stream: Stream) -> None:
        """A GPU copies from pageable memory too, but slowly, and not the same way in a graph."""
        if stream.handle in self._captured and not any(np.may_share_memory(array, each) for each in list(self._pinned)):
            raise CudaError("cuMemcpyAsync", NOT_IN_A_CAPTURE)


class _Kernel:
    """A kernel of a library: a function over the whole grid, and the size of its struct."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        self.name = name
        self.grid = library[f"{name}_grid"]
        self.nbytes = ctypes.c_uint.in_dll(library, f"{name}_bytes").value


def use_cpu_kernels(patch: Any) -> None:
    """Give emulated devices the kernels of `library_path`. patch: a pytest.MonkeyPatch."""

    def image(compute_capability: str) -> bytes:
        is_emulated = compute_capability == "cpu"
        return os.fsencode(library_path()) if is_emulated else cubin_from_source(compute_capability)

    patch.setattr(kernels, "cubin_from_source", image)


def library_path() -> Path:
    """The kernels as functions over a whole grid. UnavailableError without a C++ compiler."""
    shim = hashlib.sha256(SHIM.read_bytes()).hexdigest()[:16]
    return cached_binary(f"{platform.machine()}-{shim}.so", _compile)


def _compile(library: Path) -> None:
    command = [_compiler(), *FLAGS, "-x", "c++", str(SOURCE), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{command[0]} cannot compile {SOURCE.name}: {done.stderr}")


def _compiler() -> str:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (compiler := shutil.which(name)):
            return compiler
    raise UnavailableError("no C++ compiler is installed", hint="apt install g++, or set CXX")
