"""The engines: one file or folder each, ends in `ENGINE = Engine(...)`. This table lists them, the preferred first."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from edgeseg.engines.devices import AUTO, MISSING
from edgeseg.errors import UnavailableError, UnknownNameError

if TYPE_CHECKING:
    from edgeseg.engines.engine import Engine

# In order of preference: an engine for a GPU goes before those for a CPU.
ENGINES = {
    "tensorrt": "edgeseg.engines.tensorrt.engines:TENSORRT_ENGINE",
    "tensorrt_rtx": "edgeseg.engines.tensorrt.engines:RTX_ENGINE",
    "openvino": "edgeseg.engines.openvino:ENGINE",
    "onnxruntime": "edgeseg.engines.onnxruntime:ENGINE",
    "pytorch": "edgeseg.engines.pytorch:ENGINE",
}


def open_engine(name: str) -> Engine:
    """The engine `name`, whether or not its runtime is installed. UnknownNameError where there is none."""
    if name not in ENGINES:
        raise UnknownNameError.among("engine", name, ENGINES)
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), attribute)
    return engine


def runnable_engines() -> list[Engine]:
    """The engines that compute here, the preferred first; not those that only simulate int8."""
    found = []
    for engine in map(open_engine, ENGINES):
        with contextlib.suppress(UnavailableError):
            engine.runnable()
            if not engine.simulates:
                found.append(engine)
    return found


def default_engine(*, for_onnx: bool = False, device: str = AUTO) -> str:
    """The first engine of the table that this machine can run. UnavailableError where there is none.

    for_onnx: one that opens an ONNX as it is. device: one that has this device here.
    """
    here: list[str] = []
    for name in ENGINES:
        engine = open_engine(name)
        if for_onnx and engine.extension != "onnx":
            continue
        with contextlib.suppress(UnavailableError):
            engine.runnable()
            if device == AUTO or engine.has_device(device):
                return name
            here += engine.devices()
    if here:
        hint = f"name one of: {', '.join(dict.fromkeys([AUTO, *here]))}"
        raise UnavailableError(f"no engine has the device {device} here", hint=hint, code=MISSING)
    raise UnavailableError("no engine is installed", hint=open_engine("onnxruntime").install)
