"""Which GPU this is, how it is clocked, and which of the libraries that the other steps need can be imported."""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
from typing import Any

from edgeseg.engines.tensorrt.cuda.libcuda import LibCuda
from edgeseg.measure.device import describe_device
from gpu_steps.work import Results, Work, one_line

ITEMS = ("",)
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
MODULES = {
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
    "pycuda": "pycuda.driver",
    "cuda-python": "cuda.bindings.driver",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
}
ASKED = (
    *("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.draw", "power.limit"),
    *("temperature.gpu", "utilization.gpu", "memory.used", "persistence_mode"),
)


def run(item: str, work: Work) -> Results:
    """The facts."""
    return {"gpu": gpu_facts(), "state": gpu_state(), "libraries": libraries(), "machine": describe_device()}


def gpu_facts() -> dict[str, Any]:
    """The first GPU, by the driver alone. UnavailableError where there is no driver or no GPU."""
    library = LibCuda()
    library.call("cuInit", 0)
    name, memory, version = ctypes.create_string_buffer(128), ctypes.c_size_t(), ctypes.c_int()
    library.call("cuDeviceGetName", name, ctypes.c_int(len(name)), ctypes.c_int(0))
    library.call("cuDeviceTotalMem_v2", ctypes.byref(memory), ctypes.c_int(0))
    library.call("cuDriverGetVersion", ctypes.byref(version))
    capability = ".".join(str(attribute(library, number)) for number in (MAJOR, MINOR))
    return {
        "gpu": name.value.decode(),
        "compute_capability": capability,
        "memory_mib": memory.value >> 20,
        "cuda_driver": f"{version.value // 1000}.{version.value % 1000 // 10}",
    }


def attribute(library: LibCuda, number: int) -> int:
    value = ctypes.c_int()
    library.call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(number), ctypes.c_int(0))
    return value.value


def gpu_state() -> dict[str, str]:
    """Clocks, power and load, as nvidia-smi shows them now; {} where there is none, as on a Jetson."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    words = [tool, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader", "--id=0"]
    said = subprocess.run(words, capture_output=True, text=True, check=False)
    return dict(zip(ASKED, (value.strip() for value in said.stdout.split(",")))) if not said.returncode else {}


def libraries() -> dict[str, dict[str, Any]]:
    """By name: whether it can be imported, its version, and why not."""
    return {name: imported(module) for name, module in MODULES.items()}


def imported(name: str) -> dict[str, Any]:
    try:
        module = importlib.import_module(name)
    except Exception as problem:  # a library that is there and broken raises what it likes
        return {"usable": False, "why": one_line(problem)}
    usable = bool(module.cuda.is_available()) if name == "torch" else True
    version = str(getattr(module, "__version__", getattr(module, "VERSION_TEXT", "")))
    return {"usable": usable, "version": version, "why": "" if usable else "it sees no GPU"}
