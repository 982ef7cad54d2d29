"""The clocks of the processor: governor, limits and the present frequency, as Linux's cpufreq reports them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.measure.sysfs import ROOT, mhz_at, number_at, paths_like, text_at

CPU = "sys/devices/system/cpu"
MAX_READINGS = 16  # of the clock at a time: on some processors each takes 20 ms


@dataclass(frozen=True)
class CoreSet:
    """Logical cores with the same clock settings. cores: such as "0-3,6". None: unknown.

    min_mhz, max_mhz: what the governor may choose from; hardware_max_mhz: what the processor can do.
    """

    cores: str
    governor: str
    driver: str
    min_mhz: int | None
    max_mhz: int | None
    hardware_max_mhz: int | None

    @property
    def locked(self) -> bool:
        """Whether the governor has nothing to choose."""
        return self.min_mhz is not None and self.min_mhz == self.max_mhz

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def core_sets(root: Path = ROOT) -> list[CoreSet]:
    """The sets of cores; empty without cpufreq, as in most virtual machines."""
    cores: dict[tuple[Any, ...], list[int]] = {}
    for policy in policies(root):
        settings = (
            text_at(policy / "scaling_governor"),
            text_at(policy / "scaling_driver"),
            *(mhz_at(policy / name) for name in ("scaling_min_freq", "scaling_max_freq", "cpuinfo_max_freq")),
        )
        members = [int(word) for word in text_at(policy / "affected_cpus").split() if word.isdecimal()]
        cores.setdefault(settings, []).extend(members)
    return [CoreSet(ranges(members), *settings) for settings, members in cores.items()]


def policies(root: Path = ROOT) -> list[Path]:
    """The folders of cpufreq: one for each group of cores that share a clock."""
    return paths_like(f"{CPU}/cpufreq/policy[0-9]*", root)


def clocks_mhz(root: Path = ROOT) -> dict[str, int]:
    """The present clock by the number of a group's first core; of at most 16 groups, evenly chosen."""
    groups = policies(root)
    step = -(-len(groups) // MAX_READINGS) or 1
    clocks = {each.name.removeprefix("policy"): mhz_at(each / "scaling_cur_freq") for each in groups[::step]}
    return {name: clock for name, clock in clocks.items() if clock}


def turbo(root: Path = ROOT) -> str:
    """ "on", "off", or "" where the system does not say."""
    off = number_at(root / CPU / "intel_pstate/no_turbo")
    if off is not None:
        return "off" if off else "on"
    boost = number_at(root / CPU / "cpufreq/boost")
    return "" if boost is None else "on" if boost else "off"


def platform_profile(root: Path = ROOT) -> str:
    """The power profile of a laptop's firmware, such as "balanced"; "" without one."""
    return text_at(root / "sys/firmware/acpi/platform_profile")


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as Linux lists them: 0-3,6."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
