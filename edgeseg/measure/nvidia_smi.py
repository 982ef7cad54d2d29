"""The text of `nvidia-smi -q`, for machines with a driver and without the package nvidia-ml-py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgeseg.measure.gpu import Gpu, GpuState

GPU_LINE = re.compile(r"GPU [0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
BANNER = re.compile(r"=+NVSMI LOG=+|\s*")
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
# Its names of the reasons, in releases before and after 535 -> those of REASONS.
REASONS = {
    "Idle": "gpu-idle",
    "Applications Clocks Setting": "applications-clocks",
    "SW Power Cap": "power-limit",
    "HW Slowdown": "hardware-slowdown",
    "HW Thermal Slowdown": "hardware-thermal-slowdown",
    "HW Power Brake Slowdown": "power-brake",
    "Sync Boost": "sync-boost",
    "SW Thermal Slowdown": "thermal-slowdown",
    "Display Clock Setting": "display-clocks",
}
REASON_SECTIONS = ("Clocks Event Reasons", "Clocks Throttle Reasons")


@dataclass(frozen=True)
class NvidiaSmi:
    """The GPUs of one output. unknown: lines that are neither sections nor fields."""

    gpus: tuple[Gpu, ...] = ()
    states: tuple[GpuState, ...] = ()
    unknown: tuple[str, ...] = ()


def nvidia_smi_from_text(output: str) -> NvidiaSmi:
    """The GPUs that `nvidia-smi -q` lists; no serial number, UUID or process is read."""
    sections, unknown = [dict[str, str]()], []
    path: list[tuple[int, str]] = []
    for line in output.splitlines():
        name, colon, value = (part.strip() for part in line.partition(" : "))
        indent = len(line) - len(line.lstrip())
        path = [(depth, heading) for depth, heading in path if depth < indent]
        if GPU_LINE.match(line):
            sections.append({})
            path = []
        elif colon:
            key = "/".join([*(heading for _, heading in path), name])
            sections[-1].setdefault(key, value)
        elif indent and name:
            path.append((indent, name))
        elif not BANNER.fullmatch(line):
            unknown.append(line)
    common, each = sections[0], sections[1:]
    return NvidiaSmi(tuple(gpu(common, one) for one in each), tuple(state(one) for one in each), tuple(unknown))


def gpu(common: Mapping[str, str], fields: Mapping[str, str]) -> Gpu:
    """What does not change. common: the fields before the first GPU."""
    return Gpu(
        name=fields.get("Product Name", ""),
        driver=common.get("Driver Version", ""),
        cuda=known(common.get("CUDA Version", "")),
        memory_mib=whole(fields.get("FB Memory Usage/Total")),
        max_mhz=whole(fields.get("Max Clocks/SM")),
        max_memory_mhz=whole(fields.get("Max Clocks/Memory")),
        power_limit_watts=first_number(fields, power_fields("Current Power Limit", "Power Limit")),
        persistence={"Enabled": "on", "Disabled": "off"}.get(fields.get("Persistence Mode", ""), ""),
    )


def state(fields: Mapping[str, str]) -> GpuState:
    """What changes."""
    active = [
        REASONS.get(name, name)
        for key, value in fields.items()
        if value == "Active" and (name := key.rpartition("/")[2]) and key.startswith(REASON_SECTIONS)
    ]
    return GpuState(
        mhz=whole(fields.get("Clocks/SM")),
        memory_mhz=whole(fields.get("Clocks/Memory")),
        memory_used_mib=whole(fields.get("FB Memory Usage/Used")),
        celsius=number(fields.get("Temperature/GPU Current Temp")),
        watts=first_number(fields, power_fields("Average Power Draw", "Power Draw", "Instantaneous Power Draw")),
        reasons=tuple(active),
    )


def power_fields(*names: str) -> list[str]:
    """The keys of fields that moved from one section to another."""
    return [f"{section}/{name}" for section in ("GPU Power Readings", "Power Readings") for name in names]


def first_number(fields: Mapping[str, str], keys: list[str]) -> float | None:
    """The number of the first of `keys` that has one."""
    return next((value for key in keys if (value := number(fields.get(key))) is not None), None)


def number(value: str | None) -> float | None:
    """The number that a value such as "25.2 W" begins with; None for N/A, "Not Supported" and "Unknown Error"."""
    match = NUMBER.match(value or "")
    return float(match[0]) if match else None


def whole(value: str | None) -> int | None:
    """`number`, as an integer."""
    parsed = number(value)
    return None if parsed is None else int(parsed)


def known(value: str) -> str:
    """A value, or "" for N/A."""
    return "" if value in ("N/A", "Not Found") else value
