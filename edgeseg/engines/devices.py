"""The names of devices, and the device of an engine that a name stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgeseg.errors import UnavailableError, UnknownNameError

AUTO = "auto"
# All kinds of devices of all engines; a number may follow, as in "cuda:1".
KINDS = ("cpu", "gpu", "npu", "openvino-auto", "cuda", "tensorrt", "openvino", "coreml", "directml", "qnn", "server")
NAME = re.compile(rf"({'|'.join(KINDS)})(?::(\d+))?")
MISSING = "ES-DEVICE-MISSING"


def device_from_name(name: str, devices: Sequence[str], engine: str) -> str:
    """The one of `devices`, those of `engine` on this machine, that `name` stands for.

    "auto" is the first of them. A kind without a number is its first device, and "gpu" is a CUDA device if the engine
    has no other GPU. UnknownNameError for a name of no device; UnavailableError for a device that is missing here.
    """
    names = set(devices[:1]) if name == AUTO else names_of_device(name)
    for device in devices:
        if device in names:
            return device
    hint = (
        f"use one of: {', '.join((AUTO, *devices))}" if devices else "edgeseg doctor lists the devices of each engine"
    )
    raise UnavailableError(f"the engine {engine} has no device {name} here", hint=hint, code=MISSING)


def names_of_device(name: str) -> set[str]:
    """All names of the device `name`: "cuda" and "cuda:0" are one device. UnknownNameError for an unknown name."""
    match = NAME.fullmatch(name.lower())
    if match is None:
        raise UnknownNameError.among("device", name, (AUTO, *KINDS))
    kind, number = match[1], int(match[2] or 0)
    kinds = (kind, "cuda") if kind == "gpu" else (kind,)
    return {f"{each}:{number}" for each in kinds} | (set(kinds) if number == 0 else set())
