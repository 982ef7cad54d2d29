"""What running an engine asks of CUDA, and what every layer shares."""

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
    "CUDA_ERROR_INVALID_CONTEXT": "put the calls into `with cuda.current():`, in each thread",
    "CUDA_ERROR_ILLEGAL_ADDRESS": "start the process anew: this one has lost the GPU",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the kernels are for another GPU: compile them for this one",
}


class CudaError(UnavailableError):
    """A CUDA call that failed. code: its name in the driver API, as in CUDA_ERROR_INVALID_VALUE."""

    def __init__(self, call: str, code: str) -> None:
        super().__init__(f"{call} failed: {code}", hint=HINTS.get(code, "edgeseg doctor shows the driver and the GPU"))
        self.code = code


@dataclass(eq=False)
class Buffer:
    """`nbytes` of device memory at `address`, until `free` or until its Cuda is closed."""

    address: int
    nbytes: int
    owner: Cuda

    def free(self) -> None:
        """Give the memory back, from any thread; a second time does nothing."""
        self.owner.free(self)


@dataclass(frozen=True, eq=False)
class Stream:
    """A queue of work on the device. handle: the CUstream, for TensorRT. native: the layer's own object."""

    handle: int
    native: Any = None


@dataclass(eq=False)
class Graph:
    """Captured work. native: the layer's own object, there once the block of `capture` has ended."""

    native: Any = None


class Cuda(ABC):
    """One GPU, through its primary context, which PyTorch and Polygraphy in the same process share.

    Every call but `current`, `free` and `close` needs the context on the calling thread: `with cuda.current():`.
    Streams, events, graphs, kernels and pinned memory live until `close`.
    """

    def __init__(self) -> None:
        self._buffers: dict[int, Buffer] = {}
        self._capturing: set[int] = set()
        self._last: list[Callable[[], object]] = []  # what `close` calls, the newest first
        self._closed = False

    @contextmanager
    def current(self) -> Iterator[None]:
        """The GPU's context on the calling thread; may be nested, and entered by several threads at once."""
        self._push()
        try:
            yield
        finally:
            self._pop()

    @abstractmethod
    def facts(self) -> Facts:
        """device: its name. compute_capability: "8.6". cuda_driver: the CUDA it serves, "12.4". memory_mib."""

    @abstractmethod
    def memory(self) -> tuple[int, int]:
        """Bytes of device memory that are free, and that there are."""

    def buffer(self, nbytes: int) -> Buffer:
        """New device memory, its content undefined."""
        try:
            buffer = Buffer(self._allocate(nbytes), nbytes, self)
        except CudaError as problem:
            if problem.code != OUT_OF_MEMORY:
                raise
            free = self.memory()[0] // MIB
            raise UnavailableError(
                f"out of device memory: asked for {-(-nbytes // MIB)} MiB, {free} MiB free",
                hint="take a smaller --size, --batch or --workspace, or stop what else uses the GPU",
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
        """A page-locked array, its content undefined: what asynchronous copies read and write."""

    @abstractmethod
    def stream(self) -> Stream:
        """A new stream that does not wait for the default one."""

    def upload(self, buffer: Buffer, array: Array, stream: Stream) -> None:
        """Queue the copy of `array` to the start of `buffer`. Leave it alone until the stream is waited for."""
        self._upload(buffer.address, _fitting(array, buffer), stream)

    def download(self, array: Array, buffer: Buffer, stream: Stream) -> None:
        """Queue the copy of the start of `buffer` to `array`."""
        self._download(_fitting(array, buffer), buffer.address, stream)

    @abstractmethod
    def event(self) -> Any:
        """A new event that keeps time."""

    @abstractmethod
    def record(self, event: Any, stream: Stream) -> None:
        """Queue the moment of `event`. In a capture it is taken at each launch of the graph."""

    @abstractmethod
    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two recorded events whose stream was waited for."""

    @abstractmethod
    def wait(self, stream: Stream) -> None:
        """Return when all work of the stream is done."""

    @contextmanager
    def capture(self, stream: Stream) -> Iterator[Graph]:
        """Put what the block queues on `stream` into a graph, and do not run it.

        Allocate, and run everything once, before: neither memory nor lazily loaded kernels can be had in a capture.
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
        """Queue all the work of `graph`: the same addresses and arguments as when it was captured."""

    @abstractmethod
    def load_kernels(self, image: bytes, names: Sequence[str]) -> dict[str, Any]:
        """The kernels of a compiled `image` by name."""

    @abstractmethod
    def run(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Structure, stream: Stream) -> None:
        """Queue a kernel whose one parameter is the struct `arguments`; its values are taken now."""

    def close(self) -> None:
        """Free everything and let the context go; a second time does nothing."""
        if self._closed:
            return
        with self.current():
            for buffer in list(self._buffers.values()):
                self.free(buffer)
            while self._last:
                self._last.pop()()
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
        "this machine has no NVIDIA driver: libcuda cannot be loaded",
        hint="install the driver (nvidia-smi shows it), start the container with --gpus all, or use another --engine",
        code=MISSING,
    )


def no_device(index: int, count: int) -> UnavailableError:
    """The error of an `index` that is not below `count`."""
    hint = "name one of them: --device cuda:0" if count else "nvidia-smi and CUDA_VISIBLE_DEVICES say why"
    return UnavailableError(f"there is no cuda:{index}: this machine has {count} of them", hint=hint, code=MISSING)


def _fitting(array: Array, buffer: Buffer) -> Array:
    if array.nbytes > buffer.nbytes or not array.flags.c_contiguous:
        layout = "contiguous" if array.flags.c_contiguous else "strided"
        raise ValueError(f"a {layout} array of {array.nbytes} bytes for a buffer of {buffer.nbytes}")
    return array


def array_at(address: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """The array at a host address, which somebody else keeps alive."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    array: Array = np.ctypeslib.as_array((c_uint8 * nbytes).from_address(address)).view(dtype).reshape(shape)
    return array
