"""What the emulated device refuses, as a GPU does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from emulated_cuda import EmulatedCuda, library_path

from edgeseg.engines.tensorrt.cuda import CudaError
from edgeseg.engines.tensorrt.kernels.structs import Nearest, Overlay
from edgeseg.errors import UnavailableError


@pytest.fixture
def emulated() -> Iterator[EmulatedCuda]:
    with EmulatedCuda(memory_mib=1) as cuda:
        yield cuda


def refused(status: str, call: Callable[[], object]) -> None:
    with pytest.raises(CudaError) as problem:
        call()
    assert problem.value.status == status
    assert problem.value.hint


def test_calls_without_a_context_are_refused(emulated: EmulatedCuda) -> None:
    with emulated.current():
        stream, buffer, event = emulated.stream(), emulated.buffer(8), emulated.event()
        array = emulated.pinned((8,), np.uint8)
    calls: list[Callable[[], object]] = [
        emulated.memory, emulated.stream, emulated.event,
        lambda: emulated.buffer(8), lambda: emulated.pinned((8,), np.uint8), lambda: emulated.wait(stream),
        lambda: emulated.upload(buffer, array, stream), lambda: emulated.record(event, stream),
        lambda: emulated.load_kernels(b"", []),
    ]  # fmt: skip
    for call in calls:
        refused("CUDA_ERROR_INVALID_CONTEXT", call)


def test_freed_memory_and_memory_of_nobody_are_refused(emulated: EmulatedCuda) -> None:
    with emulated.current():
        stream, buffer = emulated.stream(), emulated.buffer(8)
        array = emulated.pinned((8,), np.uint8)
        with emulated.capture(stream) as graph:
            emulated.upload(buffer, array, stream)
        emulated.launch(graph, stream)
        buffer.free()
        refused("CUDA_ERROR_ILLEGAL_ADDRESS", lambda: emulated.launch(graph, stream))
        refused("CUDA_ERROR_ILLEGAL_ADDRESS", lambda: emulated.upload(buffer, array, stream))
        refused("CUDA_ERROR_INVALID_VALUE", lambda: emulated.buffer(0))


def test_what_a_capture_cannot_hold_is_refused(emulated: EmulatedCuda) -> None:
    with emulated.current():
        stream, buffer = emulated.stream(), emulated.buffer(8)
        pageable = np.zeros(8, np.uint8)
        emulated.upload(buffer, pageable, stream)
        with emulated.capture(stream) as graph:
            for call in (
                lambda: emulated.buffer(8), lambda: emulated.pinned((8,), np.uint8), emulated.stream,
                lambda: emulated.wait(stream), lambda: emulated.upload(buffer, pageable, stream),
            ):  # fmt: skip
                refused("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", call)
            refused("CUDA_ERROR_INVALID_VALUE", lambda: emulated.launch(graph, stream))


def test_events_that_were_not_recorded_have_no_time(emulated: EmulatedCuda) -> None:
    with emulated.current():
        start, end = emulated.event(), emulated.event()
        refused("CUDA_ERROR_INVALID_HANDLE", lambda: emulated.elapsed_ms(start, end))


def test_new_memory_is_not_zero(emulated: EmulatedCuda) -> None:
    with emulated.current():
        assert emulated.array(emulated.buffer(8).address, (8,), np.uint8).all()
        assert emulated.pinned((8,), np.uint8).all()


def test_kernels_with_a_wrong_grid_struct_or_pointer_are_refused(
    emulated: EmulatedCuda, without: Callable[[str, str], None]
) -> None:
    try:
        image = str(library_path()).encode()
    except UnavailableError as problem:
        without("cc", problem.message)
    with emulated.current():
        stream, buffer = emulated.stream(), emulated.buffer(16)
        kernel = emulated.load_kernels(image, ["labels_nearest"])["labels_nearest"]
        values = Nearest(buffer.address, buffer.address + 16, 4, 4, 4, 4)
        one = (1, 1, 1)
        refused("CUDA_ERROR_ILLEGAL_ADDRESS", lambda: emulated.run(kernel, one, one, values, stream))
        refused("CUDA_ERROR_INVALID_VALUE", lambda: emulated.run(kernel, (0, 1, 1), one, values, stream))
        refused("CUDA_ERROR_INVALID_VALUE", lambda: emulated.run(kernel, one, (2048, 1, 1), values, stream))
        with pytest.raises(ValueError, match="labels_nearest takes a struct of 32 bytes, not 56"):
            emulated.run(kernel, one, one, Overlay(), stream)
        refused("CUDA_ERROR_NOT_FOUND", lambda: emulated.load_kernels(image, ["no_such_kernel"]))
