"""Which TensorRT is installed, and what it can do: the one place that knows that releases differ.

8.6 is weakly typed (flags choose the precision), 10 is strongly typed on request, 11 and RTX always are: there the
types that the ONNX states decide, which is why this package writes them into the ONNX for every release.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from edgeseg.errors import UnavailableError
from edgeseg.spec import Precision

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
ASSUMED = "10.0"  # where a command is printed for another machine
LAST_OPSET = {8: 17}  # of the ONNX parser, by major release; later ones take what we write


@dataclass(frozen=True)
class Release:
    """One TensorRT that could be imported. name: "tensorrt" or "tensorrt_rtx". trt: its Python module."""

    name: str
    trt: Any

    @property
    def version(self) -> tuple[int, ...]:
        """(8, 6, 1), (10, 13, 0, 35), ..."""
        return tuple(int(number) for number in re.findall(r"\d+", str(self.trt.__version__)))

    @property
    def is_rtx(self) -> bool:
        """Whether this is TensorRT-RTX, which compiles ahead of time for several GPUs and needs none for it."""
        return self.name == RTX

    @property
    def last_opset(self) -> int | None:
        """The newest ONNX opset that its parser reads, where that is older than what we write."""
        return None if self.is_rtx else LAST_OPSET.get(self.version[0])

    @property
    def keeps_timings(self) -> bool:
        """Whether a timing cache speeds up the next build; RTX ignores one."""
        return not self.is_rtx

    @property
    def is_strongly_typed(self) -> bool:
        """Whether the types that the ONNX states are obeyed, and not only permitted."""
        return hasattr(self.trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")

    @property
    def is_always_typed(self) -> bool:
        """Whether stated types are obeyed without being asked to: from 11.0 on there is no other way."""
        return not hasattr(self.trt.BuilderFlag, "FP16")

    def network_flags(self) -> int:
        """What `create_network` is told: the batch is a dimension like any other, and types are obeyed."""
        known = self.trt.NetworkDefinitionCreationFlag
        names = ("EXPLICIT_BATCH", "STRONGLY_TYPED")
        return sum(1 << int(getattr(known, name)) for name in names if hasattr(known, name))

    def precision_flags(self, precision: Precision) -> list[Any]:
        """The builder flags that a weakly typed release needs for a graph of `precision`; none elsewhere."""
        if self.is_strongly_typed:
            return []
        flag = self.trt.BuilderFlag
        wanted = {Precision.FP16: [flag.FP16], Precision.INT8: [flag.INT8, flag.FP16]}.get(precision, [])
        return [*wanted, flag.OBEY_PRECISION_CONSTRAINTS] if wanted else []

    def progress_monitor(self) -> Any:
        """The class IProgressMonitor, or None before 10.0."""
        return getattr(self.trt, "IProgressMonitor", None)

    def compute_capability(self, text: str) -> Any:
        """RTX's name for "8.6". UnavailableError, with those it knows, where it has none."""
        known = {name: value for name, value in self.trt.ComputeCapability.__members__.items() if name[:2] == "SM"}
        name = f"SM{text.replace('.', '')}"
        if name not in known:
            listed = ", ".join(f"{each[2:-1]}.{each[-1]}" for each in known)
            raise UnavailableError(f"{self.name} makes no engine for compute capability {text}", hint=f"use {listed}")
        return known[name]

    def device_memory_bytes(self, engine: Any) -> int:
        """What an execution context of `engine` takes on the device."""
        name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
        return int(getattr(engine, name))


def assumed_release(name: str) -> Release:
    """The TensorRT `name`; where it is not installed, one that knows the commands of the version `ASSUMED` alone."""
    try:
        return import_release(name)
    except (ImportError, OSError):
        flags = SimpleNamespace() if name == RTX else SimpleNamespace(FP16=0)
        typed = SimpleNamespace(STRONGLY_TYPED=0)
        stated = SimpleNamespace(__version__=ASSUMED, BuilderFlag=flags, NetworkDefinitionCreationFlag=typed)
        return Release(name, stated)


def import_release(name: str) -> Release:
    """The TensorRT `name`. ImportError or OSError where it or its libraries are missing."""
    return Release(name, importlib.import_module(name))
