"""The engines, one file or folder each. This table lists their `Engine` objects, the preferred first."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from edgeseg.engines.devices import AUTO, MISSING
from edgeseg.errors import UnavailableError, UnknownNameError
from edgeseg.uri import redacted

if TYPE_CHECKING:
    from edgeseg.engines.engine import Engine

# Engines for a GPU come before those for a CPU.
ENGINES = {
    "tensorrt": "edgeseg.engines.tensorrt.engines:TENSORRT_ENGINE",
    "tensorrt_rtx": "edgeseg.engines.tensorrt.engines:RTX_ENGINE",
    "openvino": "edgeseg.engines.openvino:ENGINE",
    "onnxruntime": "edgeseg.engines.onnxruntime:ENGINE",
    "pytorch": "edgeseg.engines.pytorch:ENGINE",
}
# What runs models elsewhere: opened by the address of a model, never built and never a default.
REMOTE_ENGINES = {"triton": "edgeseg.engines.triton.remote:ENGINE"}


def open_engine(name: str) -> Engine:
    """The engine `name`, whether or not its runtime is installed. UnknownNameError for an unknown name."""
    table = {**ENGINES, **REMOTE_ENGINES}
    if name not in table:
        raise UnknownNameError.among("engine", redacted(name), ENGINES)
    module, _, attribute = table[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)
    return engine


def runnable_engines() -> list[Engine]:
    """The engines that run here, the preferred first, without those that only simulate int8."""
    runnable = []
    for engine in map(open_engine, ENGINES):
        with contextlib.suppress(UnavailableError):
            engine.runnable()
            if not engine.simulates:
                runnable.append(engine)
    return runnable


def default_engine(*, for_onnx: bool = False, device: str = AUTO) -> str:
    """The first engine of the table that runs here. UnavailableError if none does.

    for_onnx: one that opens an ONNX directly. device: one that has this device here.
    """
    devices: list[str] = []
    for name in ENGINES:
        engine = open_engine(name)
        if for_onnx and engine.extension != "onnx":
            continue
        with contextlib.suppress(UnavailableError):
            engine.runnable()
            if device == AUTO or engine.has_device(device):
                return name
            devices += engine.devices()
    if devices:
        hint = f"use one of: {', '.join(dict.fromkeys([AUTO, *devices]))}"
        raise UnavailableError(f"no engine here has the device {device}", hint=hint, code=MISSING)
    raise UnavailableError("no engine is installed", hint=open_engine("onnxruntime").install)
