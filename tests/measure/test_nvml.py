"""NVIDIA's management library."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from fake_machine import FakeGpu, FakeNvml

from edgeseg.measure import nvml as module
from edgeseg.measure.gpu import Gpu, GpuState, cuda_version, reasons_from_mask
from edgeseg.measure.nvml import Nvml, open_nvml


def opened(gpu: FakeGpu) -> Nvml:
    nvml = open_nvml(FakeNvml(gpu))
    assert nvml is not None
    return nvml


def test_a_gpu_is_described() -> None:
    nvml = opened(FakeGpu(mask=0x4 | 0x20))
    assert nvml.gpu(0) == Gpu("GPU 9000", "580.95.05", "13.0", 24576, 2100, 10501, 450.0, "on")
    assert nvml.state(0) == GpuState(1980, 10251, 3072, 61, 100.0, ("power-limit", "thermal-slowdown"))


def test_an_old_driver_and_an_old_package_are_understood() -> None:
    nvml = opened(FakeGpu(name=b"GPU 8000", mask=0x80, old=True))
    assert nvml.gpu(0).name == "GPU 8000"
    assert nvml.state(0).reasons == ("power-brake",)


def test_what_a_gpu_does_not_support_is_unknown() -> None:
    nvml = opened(FakeGpu(energy_mj=None, power_mw=None, total=None))
    assert (nvml.joules(0), nvml.watts(0)) == (None, None)
    assert (nvml.gpu(0).memory_mib, nvml.state(0).memory_used_mib) == (None, None)
    assert (opened(FakeGpu(energy_mj=2500)).joules(0), opened(FakeGpu(power_mw=75500)).watts(0)) == (2.5, 75.5)


def process(pid: int, mebibytes: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=None if mebibytes is None else mebibytes << 20)


@pytest.mark.parametrize(
    ("processes", "own"),
    [
        ([process(os.getpid(), 512), process(1, 2000)], 512),
        ([process(99999999, 700)], 700),  # in a container: alone, by another number
        ([process(99999998, 700), process(99999999, 800)], None),
        ([process(os.getpid(), None)], None),
        ([process(os.getpid(), (1 << 44) - 1)], None),  # what NVML says where it cannot tell
        ([], None),
    ],
)
def test_the_memory_of_this_process_is_told_from_that_of_others(
    processes: list[SimpleNamespace], own: int | None
) -> None:
    assert opened(FakeGpu(processes=processes)).own_memory_mib(0) == own


def test_without_driver_or_package_there_is_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_nvml(FakeNvml(FakeGpu(), driver=False)) is None

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(module.importlib, "import_module", missing)
    assert open_nvml() is None


def test_a_driver_without_a_gpu_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(FakeGpu())
    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetCount", lambda self: 0)
    assert open_nvml(library) is None
    assert library.opened == 0


def test_masks_and_versions_have_names() -> None:
    assert reasons_from_mask(0) == ()
    assert reasons_from_mask(0x1 | 0x8000) == ("gpu-idle", "0x8000")
    assert (cuda_version(12040), cuda_version(13000)) == ("12.4", "13.0")


def test_the_real_library_has_what_is_called() -> None:
    pynvml = pytest.importorskip("pynvml")
    names = [name for name in vars(FakeNvml) if name.startswith("nvml")]
    assert [name for name in names if not callable(getattr(pynvml, name, None))] == []
    assert callable(pynvml.nvmlDeviceGetCurrentClocksEventReasons)
    constants = ("NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_TEMPERATURE_GPU")
    assert [getattr(pynvml, name) for name in constants] == [getattr(FakeNvml, name) for name in constants]
    assert issubclass(pynvml.NVMLError, Exception)
