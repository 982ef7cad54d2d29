"""The steps of gpu.py, one a file; each has ITEMS, "" for a step that is one piece, and `run(item, work)`."""

from __future__ import annotations

import importlib
from types import ModuleType

STEPS = ("device", "rtx", "engines", "kernels", "pipeline", "torch", "layers")  # in the order in which they run
MODULES = {"torch": "gpu_steps.torch_modes"}


def open_step(name: str) -> ModuleType:
    """The module of the step `name`."""
    return importlib.import_module(MODULES.get(name, f"gpu_steps.{name}"))


def jobs_of(steps: tuple[str, ...]) -> list[str]:
    """What these steps consist of: "device", "engines/bisenetv2-camvid.fp16", ..."""
    return [f"{step}/{item}".rstrip("/") for step in steps for item in open_step(step).ITEMS]
