"""Whether this is a container or a virtual machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_machine import write

from edgeseg.measure.virtualization import container, virtual_machine

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme"
GUEST = f"{INTEL} hypervisor"


@pytest.fixture(autouse=True)
def outside_kubernetes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"run/systemd/container": "lxc"}, "lxc"),
        ({"run/systemd/container": "someones-own"}, ""),
        ({"proc/1/cgroup": "0::/kubepods.slice/pod7"}, "kubernetes"),
        ({"proc/1/cgroup": "0::/init.scope"}, ""),
        ({}, ""),
    ],
)
def test_containers_are_named(files: dict[str, object], kind: str, tmp_path: Path) -> None:
    assert container(write(tmp_path, files)) == kind


def test_kubernetes_is_seen_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert container(write(tmp_path, {".dockerenv": ""})) == "kubernetes"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"proc/cpuinfo": INTEL}, ""),
        ({"proc/cpuinfo": GUEST}, "yes"),
        ({"proc/cpuinfo": GUEST, "sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"proc/cpuinfo": GUEST, "sys/class/dmi/id/product_name": "VMware20,1"}, "vmware"),
        ({"proc/cpuinfo": GUEST, "sys/hypervisor/type": "xen"}, "xen"),
        ({"proc/cpuinfo": INTEL, "sys/class/dmi/id/sys_vendor": "Amazon EC2"}, ""),  # bare metal in a cloud
        ({"proc/cpuinfo": "Features: asimd", "sys/class/dmi/id/sys_vendor": "QEMU"}, "qemu"),
        ({"proc/version": "Linux version 6.6 (microsoft-standard-WSL2)"}, "wsl"),
        ({}, ""),
    ],
)
def test_virtual_machines_are_named(files: dict[str, object], kind: str, tmp_path: Path) -> None:
    assert virtual_machine(write(tmp_path, files)) == kind
