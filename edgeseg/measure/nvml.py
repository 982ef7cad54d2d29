"""The NVIDIA driver's management library, through the optional package nvidia-ml-py."""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

from edgeseg.measure.gpu import POLICIES, Gpu, GpuState, cuda_version, reasons_from_mask

MAX_PLAUSIBLE_MIB = 1 << 32  # NVML says 2**64 - 1 bytes where it cannot tell


class Nvml:
    """The GPUs of this machine. Open it with `open_nvml`, and close it.

    A GPU has its number in the order of the PCI bus. What a GPU, driver or package does not support is None.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handles = [
            handle for index in range(self._call("DeviceGetCount") or 0) if (handle := self._handle(index)) is not None
        ]

    def __len__(self) -> int:
        return len(self._handles)

    def close(self) -> None:
        """Release the library."""
        self._call("Shutdown")

    def gpu(self, index: int) -> Gpu:
        """What does not change during a run."""
        library, handle = self._library, self._handles[index]
        cuda = self._call("SystemGetCudaDriverVersion_v2") or self._call("SystemGetCudaDriverVersion")
        # the limit that is set: the enforced one moves from minute to minute in a laptop
        limit = self._call("DeviceGetPowerManagementLimit", handle)
        persistence = self._call("DeviceGetPersistenceMode", handle)
        memory = self._call("DeviceGetMemoryInfo", handle)
        return Gpu(
            name=text(self._call("DeviceGetName", handle)),
            driver=text(self._call("SystemGetDriverVersion")),
            cuda=cuda_version(cuda) if cuda else "",
            memory_mib=mib(getattr(memory, "total", None)),
            max_mhz=self._call("DeviceGetMaxClockInfo", handle, library.NVML_CLOCK_SM),
            max_memory_mhz=self._call("DeviceGetMaxClockInfo", handle, library.NVML_CLOCK_MEM),
            power_limit_watts=None if limit is None else limit / 1e3,
            persistence={0: "off", 1: "on"}.get(persistence, ""),
        )

    def state(self, index: int) -> GpuState:
        """What changes, now."""
        library, handle = self._library, self._handles[index]
        memory = self._call("DeviceGetMemoryInfo", handle)
        return GpuState(
            mhz=self._call("DeviceGetClockInfo", handle, library.NVML_CLOCK_SM),
            memory_mhz=self._call("DeviceGetClockInfo", handle, library.NVML_CLOCK_MEM),
            memory_used_mib=mib(getattr(memory, "used", None)),
            celsius=self._call("DeviceGetTemperature", handle, library.NVML_TEMPERATURE_GPU),
            watts=self.watts(index),
            reasons=reasons_from_mask(self._reasons(handle)),
        )

    def slowed_ns(self, index: int) -> dict[str, int]:
        """For how long each of POLICIES has held the clock down since the driver was loaded; {} where unsupported."""
        statuses = {
            name: self._call("DeviceGetViolationStatus", self._handles[index], policy)
            for name, policy in POLICIES.items()
        }
        return {name: int(status.violationTime) for name, status in statuses.items() if status is not None}

    def joules(self, index: int) -> float | None:
        """The energy since the driver was loaded."""
        millijoules = self._call("DeviceGetTotalEnergyConsumption", self._handles[index])
        return None if millijoules is None else millijoules / 1e3

    def watts(self, index: int) -> float | None:
        """The power now."""
        milliwatts = self._call("DeviceGetPowerUsage", self._handles[index])
        return None if milliwatts is None else milliwatts / 1e3

    def own_memory_mib(self, index: int) -> float | None:
        """The memory of this process on a GPU; None where it cannot be told from that of others.

        In a container the driver can know this process by another number: a process that is alone is taken to be it.
        """
        processes = self._call("DeviceGetComputeRunningProcesses", self._handles[index]) or []
        own = [each for each in processes if each.pid == os.getpid()] or (processes if len(processes) == 1 else [])
        return mib(own[0].usedGpuMemory) if own else None

    def _reasons(self, handle: Any) -> int:
        reasons = self._call("DeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:  # the name before release 535
            reasons = self._call("DeviceGetCurrentClocksThrottleReasons", handle)
        return reasons or 0

    def _handle(self, index: int) -> Any:
        return self._call("DeviceGetHandleByIndex", index)

    def _call(self, name: str, *arguments: Any) -> Any:
        function = getattr(self._library, f"nvml{name}", None)
        if function is None:
            return None
        with contextlib.suppress(self._library.NVMLError, OSError, ValueError, TypeError):
            return function(*arguments)
        return None


def open_nvml(library: Any = None) -> Nvml | None:
    """The library; None without the package, the driver or a GPU. library: stands in for pynvml."""
    try:
        opened = library or importlib.import_module("pynvml")
        opened.nvmlInit()
    except Exception:  # a package of another kind or a broken driver raises what it likes
        return None
    nvml = Nvml(opened)
    if len(nvml):
        return nvml
    nvml.close()
    return None


def text(name: Any) -> str:
    """Releases before 12 of the package give bytes."""
    return name.decode("utf-8", errors="replace") if isinstance(name, bytes) else str(name or "")


def mib(size: int | None) -> int | None:
    """Mebibytes of bytes; None where NVML says that it does not know."""
    return None if size is None or size >> 20 >= MAX_PLAUSIBLE_MIB else size >> 20
