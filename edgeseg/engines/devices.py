"""The names of devices, and which of the devices that an engine has here a name means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgeseg.errors import UnavailableError, UnknownNameError

AUTO = "auto"
# Every kind that some engine has somewhere; a number may follow, as in "cuda:1".
KINDS = ("cpu", "gpu", "npu", "openvino-auto", "cuda", "tensorrt", "openvino", "coreml", "directml", "qnn")
NAME = re.compile(rf"({'|'.join(KINDS)})(?::(\d+))?")
MISSING = "ES-DEVICE-MISSING"


def device_from_name(name: str, here: Sequence[str], engine: str) -> str:
    """The one of the devices `here`, those of `engine` on this machine, that `name` means.

    "auto" is the first of them. A kind without a number is its first device, and "gpu" is a CUDA device where the
    engine has no other GPU. UnknownNameError for what is no device's name; UnavailableError for a device that is not
    here.
    """
    meant = set(here[:1]) if name == AUTO else names_of_device(name)
    for device in here:
        if device in meant:
            return device
    hint = f"name one of: {', '.join((AUTO, *here))}" if here else "edgeseg doctor lists the devices of each engine"
    raise UnavailableError(f"the engine {engine} has no device {name} here", hint=hint, code=MISSING)


def names_of_device(name: str) -> set[str]:
    """All names of the device `name`: "cuda" and "cuda:0" are one. UnknownNameError where it is none."""
    match = NAME.fullmatch(name.lower())
    if match is None:
        raise UnknownNameError.among("device", name, (AUTO, *KINDS))
    kind, number = match[1], int(match[2] or 0)
    kinds = (kind, "cuda") if kind == "gpu" else (kind,)
    return {f"{each}:{number}" for each in kinds} | (set(kinds) if number == 0 else set())
