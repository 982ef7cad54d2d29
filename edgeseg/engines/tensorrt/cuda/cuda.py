"""The CUDA calls that run an engine, and the parts that all layers share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import Structure, c_uint8
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeseg.engines.devices import MISSING
from edgeseg.errors import UnavailableError

Array = NDArray[Any]
Dim3 = tuple[int, int, int]
Facts = dict[str, str | int]

MIB = 1 << 20
OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"
HINTS = {
    "CUDA_ERROR_INVALID_CONTEXT": "call within `with cuda.current():`, in each thread",
    "CUDA_ERROR_ILLEGAL_ADDRESS": "restart the process: this one has lost the GPU",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "compile the kernels for this GPU",
}


class CudaError(UnavailableError):
    """A CUDA call that failed. status: its name in the driver API, such as CUDA_ERROR_INVALID_VALUE."""

    class_code = "ES-MISSING-CUDA"

    def __init__(self, call: str, status: str) -> None:
        super().__init__(
            f"{call} failed: {status}", hint=HINTS.get(status, "run edgeseg doctor, which lists the driver and the GPU")
        )
        self.status = status


@dataclass(eq=False)
class Buffer:
    """`nbytes` of device memory at `address`, until `free` or until its Cuda is closed."""

    address: int
    nbytes: int
    owner: Cuda

    def free(self) -> None:
        """Free the memory, from any thread; a second call does nothing."""
        self.owner.free(self)


@dataclass(frozen=True, eq=False)
class Stream:
    """A queue of work on the device. handle: the CUstream, for TensorRT. native: the layer's own object."""

    handle: int
    native: Any = None


@dataclass(eq=False)
class Graph:
    """Captured work. native: the layer's own object, set when the block of `capture` has ended."""

    native: Any = None


class Cuda(ABC):
    """One GPU, through its primary context, which PyTorch and Polygraphy in the same process share.

    Every call but `current`, `free` and `close` needs the context on the calling thread: `with cuda.current():`.
    Streams, events, graphs, kernels and pinned memory live until `close`.
    """

    def __init__(self) -> None:
        self._buffers: dict[int, Buffer] = {}
        self._capturing: set[int] = set()
        self._on_close: list[Callable[[], object]] = []  # called in reverse order
        self._closed = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the GPU's context current on the calling thread. Blocks may be nested, and run in several threads."""
        self._push()
        try:
            yield
        finally:
            self._pop()

    @abstractmethod
    def facts(self) -> Facts:
        """device: its name. compute_capability: "8.6". cuda_driver: the newest CUDA it supports, "12.4". memory_mib."""

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Free and total bytes of device memory."""

    def buffer(self, nbytes: int) -> Buffer:
        """New device memory with undefined content."""
        try:
            buffer = Buffer(self._allocate(nbytes), nbytes, self)
        except CudaError as problem:
            if problem.status != OUT_OF_MEMORY:
                raise
            free = self.memory()[0] // MIB
            raise UnavailableError(
                f"out of device memory: {-(-nbytes // MIB)} MiB needed, {free} MiB free",
                hint="use a smaller --size, --batch or --workspace, or close other programs that use the GPU",
                code="ES-MISSING-MEMORY",
            ) from problem
        self._buffers[buffer.address] = buffer
        return buffer

    def free(self, buffer: Buffer) -> None:
        """`Buffer.free`."""
        if self._buffers.get(buffer.address) is buffer:
            del self._buffers[buffer.address]
            with self.current():
                self._free(buffer.address)

    @abstractmethod
    def pinned(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """A page-locked array with undefined content, for asynchronous copies."""

    @abstractmethod
    def stream(self) -> Stream:
        """A new stream that does not wait for the default one."""

    def upload(self, buffer: Buffer, array: Array, stream: Stream) -> None:
        """Queue the copy of `array` to the start of `buffer`. Do not change it until the stream is done."""
        self._upload(buffer.address, _fitting(array, buffer), stream)

    def download(self, array: Array, buffer: Buffer, stream: Stream) -> None:
        """Queue the copy of the start of `buffer` to `array`."""
        self._download(_fitting(array, buffer), buffer.address, stream)

    @abstractmethod
    def event(self) -> Any:
        """A new event with a time stamp."""

    @abstractmethod
    def record(self, event: Any, stream: Stream) -> None:
        """Queue the time stamp of `event`. A captured one is taken at each launch of the graph."""

    @abstractmethod
    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two recorded events of a stream that is done."""

    @abstractmethod
    def wait(self, stream: Stream) -> None:
        """Return when all work of the stream is done."""

    @contextmanager
    def capture(self, stream: Stream) -> Iterator[Graph]:
        """Capture the work that the block queues on `stream` as a graph, without running it.

        Allocate, and run everything once, before: a capture can neither allocate memory nor load kernels.
        """
        graph = Graph()
        self._begin_capture(stream)
        self._capturing.add(stream.handle)
        try:
            yield graph
        except BaseException:
            self._capturing.discard(stream.handle)
            self._drop_capture(stream)
            raise
        self._capturing.discard(stream.handle)
        graph.native = self._end_capture(stream)

    @abstractmethod
    def launch(self, graph: Graph, stream: Stream) -> None:
        """Queue all the work of `graph`, with the addresses and arguments of the capture."""

    @abstractmethod
    def load_kernels(self, image: bytes, names: Sequence[str]) -> dict[str, Any]:
        """The kernels of a compiled `image` by name."""

    @abstractmethod
    def run(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Structure, stream: Stream) -> None:
        """Queue a kernel whose one parameter is the struct `arguments`, which is copied."""

    def close(self) -> None:
        """Free everything and release the context; a second call does nothing."""
        if self._closed:
            return
        with self.current():
            for buffer in list(self._buffers.values()):
                self.free(buffer)
            while self._on_close:
                self._on_close.pop()()
        self._closed = True
        self._release()

    def __enter__(self) -> Cuda:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _push(self) -> None: ...

    @abstractmethod
    def _pop(self) -> None: ...

    @abstractmethod
    def _release(self) -> None: ...

    @abstractmethod
    def _allocate(self, nbytes: int) -> int: ...

    @abstractmethod
    def _free(self, address: int) -> None: ...

    @abstractmethod
    def _upload(self, address: int, array: Array, stream: Stream) -> None: ...

    @abstractmethod
    def _download(self, array: Array, address: int, stream: Stream) -> None: ...

    @abstractmethod
    def _begin_capture(self, stream: Stream) -> None: ...

    @abstractmethod
    def _end_capture(self, stream: Stream) -> Any: ...

    @abstractmethod
    def _drop_capture(self, stream: Stream) -> None: ...


def no_driver() -> UnavailableError:
    """The error of a machine without NVIDIA's driver."""
    return UnavailableError(
        "this machine has no NVIDIA driver: libcuda is missing",
        hint="install the driver (nvidia-smi checks it), start the container with --gpus all, or use another --engine",
        code="ES-MISSING-DRIVER",
    )


def no_device(index: int, count: int) -> UnavailableError:
    """The error for GPU `index` on a machine with `count` GPUs."""
    hint = f"use --device cuda:0 to cuda:{count - 1}" if count else "check nvidia-smi and CUDA_VISIBLE_DEVICES"
    return UnavailableError(f"this machine has no cuda:{index}; it has {count} GPUs", hint=hint, code=MISSING)


def _fitting(array: Array, buffer: Buffer) -> Array:
    if array.nbytes > buffer.nbytes or not array.flags.c_contiguous:
        layout = "contiguous" if array.flags.c_contiguous else "strided"
        raise ValueError(f"cannot copy a {layout} array of {array.nbytes} bytes: the buffer has {buffer.nbytes} bytes")
    return array


def array_at(address: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """The array at a host address, whose memory the caller keeps alive."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    array: Array = np.ctypeslib.as_array((c_uint8 * nbytes).from_address(address)).view(dtype).reshape(shape)
    return array
