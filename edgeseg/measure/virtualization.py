"""Whether this is a container or a virtual machine, where the system says so."""

from __future__ import annotations

import os
from pathlib import Path

from edgeseg.measure.sysfs import ROOT, text_at

CONTAINER_FILES = {".dockerenv": "docker", "run/.containerenv": "podman"}
CONTAINER_GROUPS = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc"}
MANAGERS = ("docker", "podman", "lxc", "lxc-libvirt", "systemd-nspawn", "wsl", "rkt", "oci")
# What the firmware calls itself -> the hypervisor.
FIRMWARE = {
    "qemu": "qemu",
    "kvm": "kvm",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "innotek": "virtualbox",
    "virtual machine": "hyper-v",
    "xen": "xen",
    "bochs": "bochs",
    "parallels": "parallels",
    "amazon ec2": "ec2",
    "google compute engine": "google",
    "openstack": "openstack",
    "firecracker": "firecracker",
}


def container(root: Path = ROOT) -> str:
    """The kind of container, such as "docker"; "" outside or where it is hidden."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    for name, kind in CONTAINER_FILES.items():
        if (root / name).exists():
            return kind
    manager = text_at(root / "run/systemd/container")
    if manager in MANAGERS:
        return manager
    groups = text_at(root / "proc/1/cgroup")
    return next((kind for word, kind in CONTAINER_GROUPS.items() if word in groups), "")


def virtual_machine(root: Path = ROOT) -> str:
    """The kind of virtual machine, "yes" where only that is known, or ""."""
    if "microsoft" in text_at(root / "proc/version").lower():
        return "wsl"
    folder = root / "sys/class/dmi/id"
    firmware = " ".join(text_at(folder / name) for name in ("sys_vendor", "product_name", "bios_vendor")).lower()
    name = next((kind for word, kind in FIRMWARE.items() if word in firmware), "")
    name = name or text_at(root / "sys/hypervisor/type")
    processor = text_at(root / "proc/cpuinfo").partition("\n\n")[0].split()
    if "hypervisor" in processor:
        return name or "yes"
    on_x86 = "vendor_id" in processor  # which has the flag in a virtual machine, and none on bare metal
    return "" if on_x86 else name
