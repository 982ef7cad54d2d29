"""A Jetson's release, power mode and clocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgeseg.measure.clocks import core_sets
from edgeseg.measure.jetson import (
    PowerMode,
    jetson_clocks_from_text,
    power_mode_from_text,
    power_modes_from_configuration,
    release_from_text,
)
from edgeseg.measure.machine import Machine
from edgeseg.measure.sysfs import number_at, paths_like, text_at

RELEASE = "etc/nv_tegra_release"
CONFIGURATION = "etc/nvpmodel.conf"
STATUS = "var/lib/nvpmodel/status"  # "pmode:0002 fmode:quiet", also without the tool, as in a container
GPU_CLOCK = re.compile(r"gpu|g[abmpv]\d\db")  # 17000000.gpu, 17000000.ga10b, gpu-gpc-0...
BEST = "MAXN"  # and MAXN_SUPER


@dataclass(frozen=True)
class JetsonBoard:
    """release: of Jetson Linux. power_mode: such as "25W (1)". best_mode: the one without a power limit, or mode 0.

    "" where a mode is unknown. clocks_locked: as jetson_clocks locks them; None where unknown. limits_mhz: lowest and
    highest clock of the GPU's parts, or of all units where only jetson_clocks says them.
    """

    release: str
    power_mode: str = ""
    best_mode: str = ""
    clocks_locked: bool | None = None
    limits_mhz: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_best_mode(self) -> bool:
        """Whether nothing speaks of a better mode."""
        return not self.power_mode or not self.best_mode or self.power_mode.startswith((BEST, self.best_mode))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "limits_mhz": {name: list(limits) for name, limits in self.limits_mhz.items()}}


def jetson_board(machine: Machine) -> JetsonBoard | None:
    """The board; None on anything else."""
    release = release_from_text(text_at(machine.root / RELEASE))
    if not release:
        return None
    modes = power_modes_from_configuration(text_at(machine.root / CONFIGURATION))
    best = next((number for number, name in modes.items() if name.startswith(BEST)), 0)
    best_mode = str(PowerMode(modes[best], best)) if best in modes else ""
    shown = jetson_clocks_from_text(machine.output("jetson_clocks", "--show"))
    gpus = gpu_limits(machine)
    limits = {
        each.name: (each.min_mhz, each.max_mhz) for each in shown.clocks if not each.name.startswith("cpu")
    } or gpus
    locked = shown.locked
    if locked is None:
        states = [each.locked for each in core_sets(machine.root)] + [low == high for low, high in gpus.values()]
        locked = all(states) if states else None
    return JetsonBoard(release, str(power_mode(machine, modes)), best_mode, locked, limits)


def power_mode(machine: Machine, modes: dict[int, str]) -> PowerMode:
    """The mode, by nvpmodel, or else by the file in which it keeps it."""
    mode = power_mode_from_text(machine.output("nvpmodel", "-q"))
    if mode.name:
        return mode
    match = re.search(r"pmode:(\d{1,9})", text_at(machine.root / STATUS))
    return PowerMode(modes.get(int(match[1]), ""), int(match[1])) if match else mode


def gpu_limits(machine: Machine) -> dict[str, tuple[int, int]]:
    """The lowest and the highest clock in MHz of each part of the GPU, which needs no root."""
    folders = [folder for folder in paths_like("sys/class/devfreq/*", machine.root) if GPU_CLOCK.search(folder.name)]
    limits = {folder.name: (number_at(folder / "min_freq"), number_at(folder / "max_freq")) for folder in folders}
    return {
        name: (low // 1_000_000, high // 1_000_000)
        for name, (low, high) in limits.items()
        if low is not None and high is not None
    }
