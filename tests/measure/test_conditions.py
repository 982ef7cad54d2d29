"""The watch of a run, on machines that tests make up."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_machine import Clock, FakeGpu, ManualSampler, machine, write

from edgeseg.measure import conditions
from edgeseg.measure.conditions import RunWatch
from edgeseg.measure.load import Load
from edgeseg.measure.machine import gpu_of_device

RAPL = "sys/class/powercap/intel-rapl:0"
HWMON = "sys/class/hwmon/hwmon3"
SAMPLES = [10.0] * 200


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No load by others."""
    monkeypatch.setattr(conditions, "LoadMeter", lambda: SimpleNamespace(load=lambda: Load(2.0, 1.0, 0.0)))


def codes(watch: RunWatch, samples: list[float] = SAMPLES) -> list[str]:
    return [each.code for each in watch.diagnostics(samples)]


def test_a_machine_that_tells_nothing_gives_load_and_memory(tmp_path: Path) -> None:
    with RunWatch(machine=machine(tmp_path), sampler=ManualSampler) as watch:
        watch.sample()
    used = watch.resources(10)
    assert watch.load == Load(2.0, 1.0, 0.0)
    assert used.rss_mib > 1
    assert (used.joules_per_frame, used.watts, used.counter, used.device_mib) == (None, None, "", None)
    assert codes(watch) == []
    assert codes(watch, [9.0]) == ["few-samples"]


def test_energy_is_that_of_a_frame(tmp_path: Path) -> None:
    clock = Clock()
    write(tmp_path, {f"{RAPL}/name": "package-0", f"{RAPL}/energy_uj": 0, f"{RAPL}/max_energy_range_uj": 10**9})
    with RunWatch(machine=machine(tmp_path), clock=clock, sampler=ManualSampler) as watch:
        clock.now += 4
        write(tmp_path, {f"{RAPL}/energy_uj": 60_000_000})
    used = watch.resources(240)
    assert (used.joules_per_frame, used.watts, used.counter) == (0.25, 15.0, "rapl")
    assert watch.resources(0).joules_per_frame is None


def test_a_throttled_run_is_invalid(tmp_path: Path) -> None:
    write(tmp_path, {f"{HWMON}/oc3_event_cnt": 7})
    with RunWatch(machine=machine(tmp_path), sampler=ManualSampler) as watch:
        write(tmp_path, {f"{HWMON}/oc3_event_cnt": 9})
    (throttled,) = watch.diagnostics(SAMPLES)
    assert (throttled.code, throttled.invalidates) == ("throttled", True)
    assert watch.device()["state"]["during"]["reasons"] == ("over-current event oc3 (2 times)",)


def test_a_run_on_a_gpu_has_its_energy_memory_and_clocks(tmp_path: Path) -> None:
    clock = Clock()
    own = SimpleNamespace(pid=os.getpid(), usedGpuMemory=700 << 20)
    gpu = FakeGpu(energy_mj=1_000, processes=[own], mask=0x4)
    with RunWatch("cuda:0", machine=machine(tmp_path, gpu=gpu), clock=clock, sampler=ManualSampler) as watch:
        clock.now += 2
        watch.sample()
        gpu.energy_mj, gpu.mhz = 401_000, 1500
        watch.sample()
    used = watch.resources(100)
    assert (used.device_mib, used.joules_per_frame, used.watts, used.counter) == (700, 4.0, 200.0, "nvml")
    assert codes(watch) == ["power-limit", "clocks-not-locked"]
    assert watch.device()["gpus"][0]["name"] == "GPU 9000"


@pytest.mark.parametrize(
    ("policy", "code", "said"), [(1, "throttled", "thermal-slowdown (12 ms)"), (0, "power-limit", "power limit")]
)
def test_what_slowed_a_gpu_between_two_samples_is_counted(tmp_path: Path, policy: int, code: str, said: str) -> None:
    gpu = FakeGpu(slowed_ns={0: 5_000_000, 1: 7_000_000})
    with RunWatch("cuda:0", machine=machine(tmp_path, gpu=gpu), sampler=ManualSampler) as watch:
        watch.sample()
    assert codes(watch) == []
    with RunWatch("cuda:0", machine=machine(tmp_path, gpu=gpu), sampler=ManualSampler) as watch:
        gpu.slowed_ns = {0: 5_000_000, 1: 7_000_000} | {policy: 12_000_000 + (gpu.slowed_ns or {})[policy]}
    (found,) = watch.diagnostics(SAMPLES)
    assert (found.code, said in found.message) == (code, True)


def test_a_run_on_the_cpu_does_not_watch_the_gpu(tmp_path: Path) -> None:
    gpu = FakeGpu(mask=0x40, processes=[SimpleNamespace(pid=os.getpid(), usedGpuMemory=1 << 30)])
    with RunWatch("cpu", machine=machine(tmp_path, gpu=gpu), sampler=ManualSampler) as watch:
        watch.sample()
    assert (watch.resources(1).counter, watch.resources(1).device_mib, codes(watch)) == ("", None, [])


def test_how_the_machine_is_set_is_diagnosed(tmp_path: Path) -> None:
    write(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1"})
    write(tmp_path, {"etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >"})
    gpu = "sys/class/devfreq/17000000.gpu"
    write(tmp_path, {f"{gpu}/min_freq": 306_000_000, f"{gpu}/max_freq": 918_000_000})
    tools = machine(tmp_path, {"nvpmodel": "NV Power Mode: 25W\n1\n"})
    with RunWatch(machine=tools, sampler=ManualSampler) as watch:
        pass
    assert codes(watch) == ["clocks-not-locked", "power-mode"]
    assert watch.device()["power_mode"] == "25W (1)"


def test_the_sampler_runs_during_the_block_only(tmp_path: Path) -> None:
    samplers: list[ManualSampler] = []

    def made(sample: object) -> ManualSampler:
        samplers.append(ManualSampler(sample))
        return samplers[-1]

    watch = RunWatch(machine=machine(tmp_path), sampler=made)
    assert samplers[0].events == []
    with watch:
        assert samplers[0].events == ["start"]
        samplers[0].sample()
    assert samplers[0].events == ["start", "stop"]
    assert watch.throttling.readings == 2


def test_a_run_that_fails_ends_the_watch(tmp_path: Path) -> None:
    sampler = ManualSampler(None)
    with pytest.raises(ZeroDivisionError), RunWatch(machine=machine(tmp_path), sampler=lambda sample: sampler):
        raise ZeroDivisionError
    assert sampler.events == ["start", "stop"]


def test_the_device_is_plain_data_with_the_state_before_and_after(tmp_path: Path) -> None:
    clock = "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"
    write(tmp_path, {clock: 4_000_000})
    with RunWatch(machine=machine(tmp_path), sampler=ManualSampler) as watch:
        write(tmp_path, {clock: 3_000_000})
    data = json.loads(json.dumps(watch.device()))
    assert set(data["state"]) == {"before", "after", "during"}
    assert [data["state"][when]["clocks_mhz"] for when in ("before", "after")] == [{"0": 4000}, {"0": 3000}]
    assert data["threads"] >= 1


def test_this_machine_is_watched_with_its_own_thread() -> None:
    with RunWatch() as watch:
        pass
    assert watch.throttling.readings >= 1
    assert watch.resources(1).rss_mib > 1
    json.dumps(watch.device())


@pytest.mark.parametrize(
    ("device", "visible", "gpu"),
    [
        ("cpu", None, None), ("gpu:0", None, None), ("cuda:1", None, 1), ("tensorrt:0", None, 0), ("cuda", None, 0),
        ("cuda:0", "2,3", 2), ("cuda:1", "2,3", 3), ("cuda:2", "2,3", None), ("cuda:0", "GPU-8932f937", None),
        ("cuda:x", None, None),
    ],
)  # fmt: skip
def test_the_gpu_of_a_device_is_that_of_the_driver(device: str, visible: str | None, gpu: int | None) -> None:
    assert gpu_of_device(device, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == gpu
