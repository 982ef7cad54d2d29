"""The texts of a Jetson's tools: tegrastats, nvpmodel, jetson_clocks and /etc/nv_tegra_release.

Their formats differ between boards and releases. What is not known is kept in `unknown`; no text is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_TEXT = 100_000  # characters
TOTAL_RAILS = ("VIN", "VDD_IN", "POM_5V_IN")  # the power of all: Thor; Xavier NX, TX2, Orin NX and Nano; Nano
PART_RAILS = ("VDDQ_VDD2_1V8AO",)  # counted in VIN_SYS_5V0 already
NO_RAIL = "NC"  # not connected
SIZE = r"(\d{1,9})/(\d{1,9})"
DEGREES = r"-?\d{1,6}(?:\.\d{1,6})?"
CLOCK = r"@\[?(?P<mhz>\d{1,9}(?:,\d{1,9})*)\]?"
# Tried in this order at the start of each token.
TOKENS = {
    "time": re.compile(r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d"),
    "ram": re.compile(rf"RAM {SIZE}MB(?: \(lfb \d+x\d+[kM]B\))?"),
    "swap": re.compile(rf"SWAP {SIZE}MB(?: \(cached \d+MB\))?"),
    "iram": re.compile(rf"IRAM {SIZE}kB ?\(lfb \d+kB\)"),
    "cpu": re.compile(rf"CPU \[([^\]]*)\](?:{CLOCK})?"),
    "mts": re.compile(r"MTS fg \d+% bg \d+%"),
    "temperature": re.compile(rf"(\w+)@({DEGREES})C(?:/{DEGREES}C)*"),
    "rail": re.compile(r"(\w+) (-?\d{1,9})(?:mW|(?=/))(?:/-?\d{1,9}(?:mW)?)*"),
    "engine": re.compile(
        rf"(?P<name>[A-Z]\w*) (?:off|(?:(?P<percent>\d{{1,9}})%)?{CLOCK}|(?P<load>\d{{1,9}})%|(?P<clock>\d{{1,9}}))"
    ),
}
CORE = re.compile(r"(\d{1,9})%(?:@(\d{1,9}))?")
CLOCK_LINE = re.compile(r"(.*?)MinFreq=(\d{1,15})\s+MaxFreq=(\d{1,15})\s+CurrentFreq=(\d{1,15})(.*)")
MODE_CONFIGURATION = re.compile(r"<\s*POWER_MODEL\s+ID=(\d{1,9})\s+NAME=(\S+)\s*>")
RELEASE = re.compile(r"#\s*R(\d{1,4}) \(release\), REVISION: ([\d.]{1,20})")


@dataclass(frozen=True)
class Engine:
    """A unit with a clock: the GPU (GR3D), memory (EMC), NVENC and others. mhz: of each cluster; empty where off."""

    percent: int | None = None
    mhz: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tegrastats:
    """One line of tegrastats. cores: load and clock, None where off. rails_mw: power now, by rail."""

    ram_mib: tuple[int, int] | None = None
    swap_mib: tuple[int, int] | None = None
    cores: tuple[Engine | None, ...] = ()
    engines: Mapping[str, Engine] = field(default_factory=dict)
    celsius: Mapping[str, float] = field(default_factory=dict)
    rails_mw: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def gpu(self) -> Engine | None:
        """The GPU's load and clock; None where the line has none, as on Thor with JetPack 7.2."""
        return self.engines.get("GR3D_FREQ")

    @property
    def watts(self) -> float | None:
        """The power of the board."""
        return watts_from_rails(self.rails_mw)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True)
class PowerMode:
    """The mode of nvpmodel, such as MAXN, 0."""

    name: str = ""
    number: int | None = None
    fan: str = ""
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name} ({self.number})".strip()


@dataclass(frozen=True)
class ClockRange:
    """The limits and the clock of one unit in MHz."""

    name: str
    min_mhz: int
    max_mhz: int
    now_mhz: int

    @property
    def locked(self) -> bool:
        """Whether the clock cannot move."""
        return self.min_mhz == self.max_mhz


@dataclass(frozen=True)
class JetsonClocks:
    """The output of `jetson_clocks --show`. Cores that are offline are left out."""

    machine: str = ""
    clocks: tuple[ClockRange, ...] = ()
    power_mode: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def locked(self) -> bool | None:
        """Whether the clocks of CPU and GPU are locked, whatever those of memory; None where the output has none."""
        clocks = [each for each in self.clocks if each.name.startswith(("cpu", "GPU"))]
        return all(each.locked for each in clocks) if clocks else None


def tegrastats_from_line(line: str) -> Tegrastats:
    """The values of a line, of any board and release from JetPack 4 to 7."""
    ram: tuple[int, int] | None = None
    swap: tuple[int, int] | None = None
    cores: tuple[Engine | None, ...] = ()
    engines, celsius, rails, unknown = dict[str, Engine](), dict[str, float](), dict[str, int](), list[str]()
    rest = line[:MAX_TEXT].strip()
    while rest:
        kind, match = next_token(rest)
        if match is None:
            token, _, rest = rest.partition(" ")
            unknown.append(token)
            rest = rest.lstrip()
            continue
        rest = rest[match.end() :].lstrip()
        if kind == "ram":
            ram = int(match[1]), int(match[2])
        elif kind == "swap":
            swap = int(match[1]), int(match[2])
        elif kind == "cpu":
            cores = tuple(core_from_text(text, match[2]) for text in match[1].split(","))
        elif kind == "temperature":
            celsius[match[1]] = float(match[2])
        elif kind == "rail" and match[1] != NO_RAIL:
            rails[match[1]] = int(match[2])
        elif kind == "engine":
            percent = match["percent"] or match["load"]
            clocks = [int(each) for each in (match["mhz"] or match["clock"] or "").split(",") if each]
            engines[match["name"]] = Engine(None if percent is None else int(percent), tuple(clocks))
    return Tegrastats(ram, swap, cores, engines, celsius, rails, tuple(unknown))


def next_token(text: str) -> tuple[str, re.Match[str] | None]:
    """The kind of the token that `text` starts with, and its match; it ends at a blank or at the end."""
    for kind, pattern in TOKENS.items():
        match = pattern.match(text)
        if match and match.end() > match.start() and text[match.end() : match.end() + 1].strip() == "":
            return kind, match
    return "", None


def core_from_text(text: str, mhz: str | None) -> Engine | None:
    """The load of one core: "12%@1190", "12%" with one clock for all, or "off"."""
    match = CORE.fullmatch(text.strip())
    if match is None:
        return None
    clock = match[2] or mhz
    return Engine(int(match[1]), (int(clock.split(",")[0]),) if clock else ())


def watts_from_rails(rails_mw: Mapping[str, float]) -> float | None:
    """The power of the board: of the rail that feeds the others, or of all together; None without rails."""
    total = next((rails_mw[name] for name in TOTAL_RAILS if name in rails_mw), None)
    parts = [power for name, power in rails_mw.items() if name not in PART_RAILS]
    if total is None and not parts:
        return None
    return (sum(parts) if total is None else total) / 1e3


def power_mode_from_text(text: str) -> PowerMode:
    """The mode of `nvpmodel -q`, plain or verbose."""
    name, number, fan, unknown = "", None, "", []
    for line in (line.strip() for line in text[:MAX_TEXT].splitlines()):
        if "NV Power Mode:" in line:
            name = line.rpartition("NV Power Mode:")[2].strip()
        elif line.startswith("NV Fan Mode:"):
            fan = line.partition(":")[2].strip()
        elif number is None and re.fullmatch(r"[0-9]{1,9}", line):
            number = int(line)
        elif line:
            unknown.append(line)
    return PowerMode(name, number, fan, tuple(unknown))


def power_modes_from_configuration(text: str) -> dict[int, str]:
    """Number -> name of the modes of /etc/nvpmodel.conf."""
    return {int(match[1]): match[2] for match in MODE_CONFIGURATION.finditer(text)}


def jetson_clocks_from_text(text: str) -> JetsonClocks:
    """The output of `jetson_clocks --show`, which only root gets."""
    machine, mode, clocks, unknown = "", "", list[ClockRange](), list[str]()
    for line in (line.strip() for line in text[:MAX_TEXT].splitlines()):
        match = CLOCK_LINE.fullmatch(line)
        if match:
            name = re.split(r"[:\s]", match[1].strip(), maxsplit=1)[0]
            to_mhz = 1_000 if name.startswith("cpu") else 1_000_000  # the cores' clocks are in kHz, others in Hz
            if "Online=0" not in line:
                clocks.append(ClockRange(name, *(int(match[group]) // to_mhz for group in (2, 3, 4))))
        elif line.startswith("SOC family:"):
            machine = line.partition("Machine:")[2].strip()
        elif line.startswith("NV Power Mode:"):
            mode = line.partition(":")[2].strip()
        elif line:
            unknown.append(line)
    return JetsonClocks(machine, tuple(clocks), mode, tuple(unknown))


def release_from_text(text: str) -> str:
    """The release of Jetson Linux in /etc/nv_tegra_release, such as "36.4.3"; "" where it has none."""
    match = RELEASE.search(text[:MAX_TEXT])
    return f"{match[1]}.{match[2]}" if match else ""
