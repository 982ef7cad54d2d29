"""The device as the name of a folder."""

from __future__ import annotations

import re

from edgeseg.measure.device import describe_device

NOISE = ("(r)", "(tm)", "cpu", "processor", "with", "@")
# A virtual machine often hides the model of its CPU; what decides about int8 there is told apart by these.
INT8_FEATURES = {"amx_int8": "amx", "avx512_vnni": "vnni", "avx_vnni": "vnni"}


def device_slug() -> str:
    """The name of this machine: amd-epyc-2c, intel-xeon-amx-8c, nvidia-jetson-orin-nano-6c."""
    device = describe_device()
    text = (device["board"] or device["cpu"] or device["machine"]).lower()
    for noise in NOISE:
        text = text.replace(noise, " ")
    words = re.findall(r"[a-z0-9.]+(?:-[a-z0-9.]+)*", text)
    parts = [word for word in words if not re.fullmatch(r"[\d.]+[gm]hz|\d+-core", word)]
    int8 = [name for feature, name in INT8_FEATURES.items() if feature in device["isa"]][:1]
    return "-".join([*parts, *int8, f"{device['threads']}c"])
