"""The GPU that a plan is built for or run on."""

from __future__ import annotations

from typing import Any

from edgeseg.engines.tensorrt.cuda import open_cuda
from edgeseg.errors import UnavailableError


def check_device(device: str = "cuda:0") -> None:
    """UnavailableError, with what is missing, unless there is a GPU that Python can reach."""
    open_cuda(device).close()


def device_facts(device: str) -> dict[str, Any]:
    """What is known about the GPU, with its free memory; nothing where there is none, which RTX can do without."""
    try:
        cuda = open_cuda(device)
    except UnavailableError:
        return {}
    try:
        with cuda.current():
            free, _ = cuda.memory()
            facts = {"gpu" if key == "device" else key: value for key, value in cuda.facts().items()}
            return {**facts, "free_mib": free >> 20}
    finally:
        cuda.close()
