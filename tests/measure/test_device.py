from __future__ import annotations

import dataclasses
import getpass
import json
import platform
from pathlib import Path

import pytest
from fake_machine import FakeGpu, machine, write

from edgeseg.measure import device
from edgeseg.measure.tegrastats import TegrastatsProcess

X86 = (
    "processor\t: 0\nmodel name\t: A CPU 9000\nflags\t\t: fpu avx2 avx512_vnni avx512_bf16\n\n"
    "processor\t: 1\nmodel name\t: other\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n"
OLD_ARM = "processor\t: 0\nFeatures\t: fp asimd\n"


def test_this_machine_is_described_without_saying_whose_it_is() -> None:
    found = device.describe_device()
    assert found["cores"] >= 0
    assert found["threads"] >= 1
    assert found["memory_mib"] > 100
    assert found["machine"] == platform.machine()
    text = json.dumps(found)
    assert platform.node() not in text or not platform.node()
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    assert getpass.getuser() not in text.lower().split()


@pytest.mark.parametrize(
    ("text", "name", "isa", "bf16"),
    [
        (X86, "A CPU 9000", ["avx2", "avx512_vnni", "avx512_bf16"], True),
        (ARM, "", ["asimd", "asimddp", "i8mm", "bf16"], True),
        (OLD_ARM, "", ["asimd"], False),
    ],
)
def test_what_linux_says_of_a_processor_is_read(
    text: str, name: str, isa: list[str], bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(device, "CPUINFO", path)
    monkeypatch.setattr(platform, "processor", lambda: "")
    found = device.describe_device()
    assert (found["cpu"], found["isa"], device.has_native_bf16()) == (name, isa, bf16)


@pytest.mark.parametrize(
    ("machine", "text", "exact"),
    [
        ("x86_64", X86, True),
        ("x86_64", "flags : fma avx2", False),
        ("x86_64", "flags : avx2 avx_vnni", True),
        ("AMD64", "", False),
        ("aarch64", OLD_ARM, True),
    ],
)
def test_x86_adds_int8_products_exactly_with_vnni_only(
    machine: str, text: str, exact: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(device, "CPUINFO", path)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert device.adds_int8_exactly() == exact


def test_a_system_that_tells_nothing_leaves_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(device, "BOARD", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(device.psutil, "cpu_count", lambda logical: None)
    monkeypatch.delattr(device.os, "sched_getaffinity", raising=False)
    found = device.describe_device()
    assert (found["cpu"], found["board"], found["isa"], found["cores"]) == ("", "", [], 0)
    assert found["threads"] >= 1
    assert not device.has_native_bf16()


def test_a_board_is_named_by_its_device_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"NVIDIA Jetson Orin Nano\0")
    monkeypatch.setattr(device, "BOARD", path)
    assert device.describe_device()["board"] == "NVIDIA Jetson Orin Nano"


def test_versions_of_what_is_installed_and_blanks_for_the_rest() -> None:
    found = device.package_versions(["numpy", "edgeseg-no-such-package"])
    assert found["numpy"].count(".") >= 1
    assert found["edgeseg-no-such-package"] == ""


CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
SMI = """Driver Version                            : 540.4.0
GPU 00000000:00:00.0
    Product Name                          : Orin (nvgpu)
    Serial Number                         : 1652922
"""


def test_clocks_and_governor_are_described(tmp_path: Path) -> None:
    write(tmp_path, {f"{CPUFREQ}/affected_cpus": "0 1", f"{CPUFREQ}/scaling_governor": "powersave"})
    write(tmp_path, {f"{CPUFREQ}/scaling_max_freq": 4_700_000, f"{CPUFREQ}/scaling_cur_freq": 900_000})
    write(tmp_path, {"sys/devices/system/cpu/intel_pstate/no_turbo": 0, ".dockerenv": ""})
    write(tmp_path, {"sys/firmware/acpi/platform_profile": "balanced"})
    described = device.describe_device(machine(tmp_path))
    assert (described["governor"], described["turbo"], described["container"]) == ("powersave", "on", "docker")
    assert (described["power_mode"], described["clocks"][0]["cores"]) == ("balanced", "0-1")
    assert described["state"]["clocks_mhz"] == {"0": 900}


def test_gpus_are_described_by_the_driver_or_else_by_its_tool(tmp_path: Path) -> None:
    outputs = {"nvidia-smi": SMI}
    by_driver = device.describe_device(machine(tmp_path, outputs, FakeGpu()))
    by_tool = device.describe_device(machine(tmp_path, outputs))
    assert [gpu["name"] for gpu in by_driver["gpus"]] == ["GPU 9000"]
    assert [gpu["name"] for gpu in by_tool["gpus"]] == ["Orin (nvgpu)"]
    assert by_driver["state"]["gpus"][0]["mhz"] == 1980
    assert "1652922" not in json.dumps(by_tool)


class OneLine(TegrastatsProcess):
    """A tool that prints one line."""

    def __init__(self) -> None:
        self.line = "RAM 1/2MB (lfb 1x4MB) GR3D_FREQ 71%@[1300] NEW VIN 1mW/1mW"

    def start(self) -> bool:
        return True

    def stop(self) -> None:
        pass


def test_a_jetson_is_described_with_its_mode_and_rails(tmp_path: Path) -> None:
    write(tmp_path, {"etc/nv_tegra_release": "# R38 (release), REVISION: 4.0, GCID: 1"})
    gpu = "sys/class/devfreq/gpu-gpc-0"
    write(tmp_path, {f"{gpu}/min_freq": 315_000_000, f"{gpu}/max_freq": 1_575_000_000})
    hwmon = "sys/class/hwmon/hwmon1"
    write(tmp_path, {f"{hwmon}/name": "ina238", f"{hwmon}/curr1_input": 1000, f"{hwmon}/power1_input": 19_780_000})
    tools = machine(tmp_path, {"nvpmodel": "NV Power Mode: MAXN\n0\n"})
    described = device.describe_device(dataclasses.replace(tools, tegrastats=OneLine))
    assert described["jetson"]["release"] == "38.4.0"
    assert described["jetson"]["limits_mhz"] == {"gpu-gpc-0": [315, 1575]}
    assert described["power_mode"] == "MAXN (0)"
    assert described["state"]["rails_mw"] == {"VIN": 19_780.0}
    assert described["state"]["tegrastats"]["engines"]["GR3D_FREQ"] == {"percent": 71, "mhz": (1300,)}
    assert described["state"]["tegrastats"]["unknown"] == ("NEW",)
    assert json.loads(json.dumps(device.device_facts(tools))) == device.device_facts(tools)


def test_facts_are_those_that_two_runs_share(tmp_path: Path) -> None:
    write(tmp_path, {f"{CPUFREQ}/affected_cpus": "0", f"{CPUFREQ}/scaling_cur_freq": 900_000})
    gpu = FakeGpu()
    here = machine(tmp_path, gpu=gpu)
    facts, state = device.device_facts(here), device.device_state(here)
    write(tmp_path, {f"{CPUFREQ}/scaling_cur_freq": 4_700_000})
    gpu.mhz, gpu.power_mw, gpu.mask = 1200, 300_000, 4
    assert device.device_facts(here) == facts
    assert device.device_state(here) != state
    assert device.describe_device(here) == {**facts, "state": device.device_state(here)}
