"""The GPU that a plan is built for or run on."""

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
    """UnavailableError, with what is missing, unless there is a GPU that Python can reach."""
    open_cuda(device).close()


@contextmanager
def current_device(device: str) -> Iterator[dict[str, Any]]:
    """The GPU `device` current on this thread, for TensorRT builds on the current one; gives what is known of it.

    For "auto", which is the first, that is nothing and no GPU is current where there is none; RTX can do without.
    UnavailableError where one was asked for by name and is not there.
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
    """What is known about a GPU that is current, with its free memory."""
    free, _ = cuda.memory()
    facts = {"gpu" if key == "device" else key: value for key, value in cuda.facts().items()}
    return {**facts, "free_mib": free >> 20}
