"""The GPU that a plan is built for or runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgeseg.engines.devices import AUTO
from edgeseg.engines.tensorrt.cuda import open_cuda
from edgeseg.engines.tensorrt.cuda.cuda import Cuda
from edgeseg.engines.tensorrt.cuda.libcuda import gpu_count
from edgeseg.errors import UnavailableError


def cuda_devices() -> tuple[str, ...]:
    """The GPUs that plans can run on: "cuda:0", "cuda:1"..."""
    return tuple(f"cuda:{number}" for number in range(gpu_count()))


def check_device(device: str = "cuda:0") -> None:
    """UnavailableError, which says what is missing, unless Python can use the GPU."""
    open_cuda(device).close()


@contextmanager
def current_device(device: str) -> Iterator[dict[str, Any]]:
    """Make the GPU `device` current on this thread, since TensorRT builds on the current one; gives its facts.

    "auto" is the first GPU. Without a GPU it gives no facts and no GPU is current, which is enough for RTX.
    UnavailableError if a GPU that is named is missing.
    """
    try:
        cuda = open_cuda("cuda:0" if device == AUTO else device)
    except UnavailableError:
        if device != AUTO:
            raise
        yield {}
        return
    try:
        with cuda.current():
            yield device_facts(cuda)
    finally:
        cuda.close()


def device_facts(cuda: Cuda) -> dict[str, Any]:
    """Name, compute capability and memory of the current GPU."""
    free, _ = cuda.memory()
    facts = {"gpu" if key == "device" else key: value for key, value in cuda.facts().items()}
    return {**facts, "free_mib": free >> 20}
