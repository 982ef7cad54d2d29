"""The device as the name of a folder."""

from __future__ import annotations

import re

from edgeseg.measure.device import describe_device

NOISE = ("(r)", "(tm)", "cpu", "processor", "with", "@")


def device_slug() -> str:
    """The name of this machine: amd-epyc-2c, intel-xeon-8c, nvidia-jetson-orin-nano-6c."""
    device = describe_device()
    text = (device["board"] or device["cpu"] or device["machine"]).lower()
    for noise in NOISE:
        text = text.replace(noise, " ")
    words = re.findall(r"[a-z0-9.]+(?:-[a-z0-9.]+)*", text)
    parts = [word for word in words if not re.fullmatch(r"[\d.]+[gm]hz|\d+-core", word)]
    return "-".join([*parts, f"{device['threads']}c"])
