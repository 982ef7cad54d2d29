from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest

from edgeseg.measure import device

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
