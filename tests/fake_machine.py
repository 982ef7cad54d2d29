"""A machine for tests: files of /sys and /proc, outputs of tools, and a stand-in for NVIDIA's library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edgeseg.measure.machine import Machine
from edgeseg.measure.nvml import Nvml, open_nvml
from edgeseg.measure.tegrastats import TegrastatsProcess


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files below `root`, each with a newline at its end as in /sys."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


class NoTegrastats(TegrastatsProcess):
    """A machine without the tool."""

    def start(self) -> bool:
        return False


def machine(root: Path, outputs: Mapping[str, str] | None = None, gpu: FakeGpu | None = None) -> Machine:
    """A machine with these files, outputs by the first word of the command, and at most one GPU."""

    def output(*words: str) -> str:
        return (outputs or {}).get(words[0], "")

    def nvml() -> Nvml | None:
        return open_nvml(FakeNvml(gpu)) if gpu is not None else None

    return Machine(root, output, nvml, NoTegrastats, battery=lambda: None, temperatures=dict)


@dataclass
class FakeGpu:
    """What NVML says of a GPU; None: not supported. energy_mj, power_mw, mask, slowed_ns (by policy): now."""

    name: Any = "GPU 9000"
    energy_mj: int | None = 0
    power_mw: int | None = 100_000
    mask: int = 0
    mhz: int = 1980
    total: int | None = 24 << 30
    processes: list[Any] = field(default_factory=list)
    old: bool = False  # of a driver before release 535
    slowed_ns: dict[int, int] | None = None


class FakeNvml:
    """Stands in for pynvml."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self, gpu: FakeGpu, driver: bool = True) -> None:
        self.gpu, self.driver, self.opened = gpu, driver, 0
        if gpu.old:
            self.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: self.gpu.mask
        else:
            self.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: self.gpu.mask

    def supported(self, value: Any) -> Any:
        if value is None:
            raise self.NVMLError("Not Supported")
        return value

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise self.NVMLError("NVML Shared Library Not Found")
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return f"handle {index}"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95.05"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        return 13000

    def nvmlDeviceGetName(self, handle: str) -> Any:  # noqa: N802
        return self.gpu.name

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802
        return SimpleNamespace(total=self.supported(self.gpu.total), used=3 << 30)

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {1: 2100, 2: 10501}[kind]

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {1: self.gpu.mhz, 2: 10251}[kind]

    def nvmlDeviceGetPowerManagementLimit(self, handle: str) -> int:  # noqa: N802
        return 450_000

    def nvmlDeviceGetPersistenceMode(self, handle: str) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        return int(self.supported(self.gpu.energy_mj))

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return int(self.supported(self.gpu.power_mw))

    def nvmlDeviceGetViolationStatus(self, handle: str, policy: int) -> Any:  # noqa: N802
        return SimpleNamespace(violationTime=self.supported(self.gpu.slowed_ns).get(policy, 0))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:  # noqa: N802
        return self.gpu.processes


class ManualSampler:
    """Stands in for the thread: a test calls `sample` itself."""

    def __init__(self, sample: Any) -> None:
        self.sample, self.events = sample, list[str]()

    def start(self) -> None:
        self.events.append("start")

    def stop(self) -> None:
        self.events.append("stop")


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
