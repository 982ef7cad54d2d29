"""The installed TensorRT and its features: the one place for differences between releases.

8.6 is weakly typed: flags choose the precision. 10 is strongly typed on request, and 11 and RTX always: the types in
the ONNX decide. Therefore this package writes the types into the ONNX for every release.
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
ASSUMED = "10.0"  # for the command of --dry-run where TensorRT is not installed
LAST_OPSET = {8: 17}  # of the ONNX parser, by major release; later releases read what we write


@dataclass(frozen=True)
class Release:
    """One TensorRT. name: "tensorrt" or "tensorrt_rtx". trt: its Python module."""

    name: str
    trt: Any

    @property
    def version(self) -> tuple[int, ...]:
        """(8, 6, 1), (10, 13, 0, 35), ..."""
        return tuple(int(number) for number in re.findall(r"\d+", str(self.trt.__version__)))

    @property
    def is_rtx(self) -> bool:
        """Whether this is TensorRT-RTX, which compiles for several GPUs without having one."""
        return self.name == RTX

    @property
    def last_opset(self) -> int | None:
        """The newest ONNX opset that its parser reads, if that is older than the opset we write."""
        return None if self.is_rtx else LAST_OPSET.get(self.version[0])

    @property
    def uses_timing_cache(self) -> bool:
        """Whether a timing cache speeds up the next build; RTX ignores one."""
        return not self.is_rtx

    @property
    def is_strongly_typed(self) -> bool:
        """Whether it can obey the types in the ONNX, not only permit them."""
        return hasattr(self.trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")

    @property
    def is_always_typed(self) -> bool:
        """Whether it obeys the types in the ONNX without a flag: 11.0 and later do."""
        return not hasattr(self.trt.BuilderFlag, "FP16")

    def network_flags(self) -> int:
        """The flags of `create_network`: the batch is a dimension like any other, and types are obeyed."""
        flags = self.trt.NetworkDefinitionCreationFlag
        names = ("EXPLICIT_BATCH", "STRONGLY_TYPED")
        return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))

    def precision_flags(self, precision: Precision) -> list[Any]:
        """The builder flags that a weakly typed release needs for a graph of `precision`; none otherwise."""
        if self.is_strongly_typed:
            return []
        flag = self.trt.BuilderFlag
        wanted = {Precision.FP16: [flag.FP16], Precision.INT8: [flag.INT8, flag.FP16]}.get(precision, [])
        return [*wanted, flag.OBEY_PRECISION_CONSTRAINTS] if wanted else []

    def progress_monitor(self) -> Any:
        """The class IProgressMonitor, or None before 10.0."""
        return getattr(self.trt, "IProgressMonitor", None)

    def compute_capability(self, text: str) -> Any:
        """RTX's constant for "8.6". UnavailableError, with those that it supports, if there is none."""
        known = {name: value for name, value in self.trt.ComputeCapability.__members__.items() if name[:2] == "SM"}
        name = f"SM{text.replace('.', '')}"
        if name not in known:
            listed = ", ".join(f"{each[2:-1]}.{each[-1]}" for each in known)
            message = f"{self.name} does not support compute capability {text}"
            raise UnavailableError(message, hint=f"use {listed}", code="ES-MISSING-GPU")
        return known[name]

    def device_memory_bytes(self, engine: Any) -> int:
        """The device memory of an execution context of `engine`."""
        name = "device_memory_size_v2" if hasattr(engine, "device_memory_size_v2") else "device_memory_size"
        return int(getattr(engine, name))


def assumed_release(name: str) -> Release:
    """The TensorRT `name`; if it is not installed, a stand-in of the version `ASSUMED` for `trtexec_line`."""
    try:
        return import_release(name)
    except (ImportError, OSError):
        flags = SimpleNamespace() if name == RTX else SimpleNamespace(FP16=0)
        typed = SimpleNamespace(STRONGLY_TYPED=0)
        module = SimpleNamespace(__version__=ASSUMED, BuilderFlag=flags, NetworkDefinitionCreationFlag=typed)
        return Release(name, module)


def import_release(name: str) -> Release:
    """The TensorRT `name`. ImportError or OSError if it or its libraries are missing."""
    return Release(name, importlib.import_module(name))
