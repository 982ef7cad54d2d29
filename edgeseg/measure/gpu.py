"""What is known of an NVIDIA GPU: what does not change during a run, and what does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# The bits of NVML's clocks event reasons, which were called throttle reasons before.
REASONS = {
    0x1: "gpu-idle",
    0x2: "applications-clocks",
    0x4: "power-limit",
    0x8: "hardware-slowdown",
    0x10: "sync-boost",
    0x20: "thermal-slowdown",
    0x40: "hardware-thermal-slowdown",
    0x80: "power-brake",
    0x100: "display-clocks",
    0x200: "board-limit",
    0x400: "reliability",
}
THROTTLING = ("hardware-slowdown", "thermal-slowdown", "hardware-thermal-slowdown", "power-brake")
POWER_LIMIT = ("power-limit", "board-limit")
# NVML's performance policies that count how long they held the clock down, by the same names.
POLICIES = {"power-limit": 0, "thermal-slowdown": 1, "board-limit": 3}


@dataclass(frozen=True)
class Gpu:
    """What does not change during a run; None or "" where the driver does not say, as of memory on a Jetson."""

    name: str
    driver: str = ""
    cuda: str = ""
    memory_mib: int | None = None
    max_mhz: int | None = None
    max_memory_mhz: int | None = None
    power_limit_watts: float | None = None
    persistence: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class GpuState:
    """What changes. mhz: of the multiprocessors. reasons: why the clock is not higher, by names of REASONS."""

    mhz: int | None = None
    memory_mhz: int | None = None
    memory_used_mib: int | None = None
    celsius: float | None = None
    watts: float | None = None
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def reasons_from_mask(mask: int) -> tuple[str, ...]:
    """The names of the bits; an unknown bit by its number, such as "0x8000"."""
    bits = [1 << bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    return tuple(REASONS.get(bit, hex(bit)) for bit in bits)


def cuda_version(number: int) -> str:
    """The version of NVML's number: 12040 is 12.4."""
    return f"{number // 1000}.{number % 1000 // 10}"
