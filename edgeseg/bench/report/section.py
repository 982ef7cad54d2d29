"""The part of a report that holds the records of one device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeseg.bench.record import BenchRecord
from edgeseg.bench.report.stored import StoredRecord

SCENARIOS = ("single stream", "offline", "camera", "multi stream")  # the order of tables
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
UNKNOWN = "-"
STATE = "state"  # of a device: what each run changes


@dataclass(frozen=True)
class Entry:
    """A record in its place of the report. number: from 1 within its device. id: unique within the page."""

    number: int
    id: str
    stored: StoredRecord

    @property
    def record(self) -> BenchRecord:
        """The record itself."""
        return self.stored.record

    @property
    def size(self) -> str:
        """The input size, WIDTHxHEIGHT."""
        return f"{self.record.model.width}x{self.record.model.height}"

    @property
    def scenario(self) -> str:
        """The scenario in words."""
        return words(self.record.conditions.scenario)

    @property
    def label(self) -> str:
        """The artefact in one line."""
        model = self.record.model
        return f"{model.name} {self.size} {model.engine} {model.precision}"


@dataclass(frozen=True)
class Section:
    """The records of one device. entries: the settled ones, which tables and charts show. left_out: the others."""

    id: str
    name: str
    entries: tuple[Entry, ...]
    left_out: tuple[Entry, ...]

    @property
    def everything(self) -> tuple[Entry, ...]:
        """All records."""
        return (*self.entries, *self.left_out)

    @property
    def lines(self) -> list[str]:
        """The device in a line; several where the records disagree, as after an update of its system."""
        return list(dict.fromkeys(device_line(entry.record.device) for entry in self.everything))

    @property
    def versions(self) -> dict[str, str]:
        """Package -> version, or several versions."""
        return _merged(entry.record.versions for entry in self.everything)

    @property
    def facts(self) -> dict[str, str]:
        """Everything that is known of the device and does not change from run to run, flat."""
        devices = [
            {key: value for key, value in entry.record.device.items() if key != STATE} for entry in self.everything
        ]
        return _merged(dict(flat(device)) for device in devices)

    @property
    def scenarios(self) -> dict[str, list[Entry]]:
        """The settled records by scenario."""
        scenarios: dict[str, list[Entry]] = {}
        for entry in self.entries:
            scenarios.setdefault(entry.scenario, []).append(entry)
        return scenarios

    @property
    def foreign_load(self) -> str:
        """The cores that other processes used."""
        return spread([entry.record.load.foreign_cores for entry in self.everything])


def sections_from_records(records: Iterable[StoredRecord]) -> list[Section]:
    """One section per device, by name: the folder of a record, or its device's name where it has none."""
    devices: dict[str, list[StoredRecord]] = {}
    for stored in records:
        devices.setdefault(stored.folder or device_name(stored.record.device), []).append(stored)
    return [_section(f"device-{index}", name, devices[name]) for index, name in enumerate(sorted(devices), 1)]


def _section(id: str, name: str, records: Iterable[StoredRecord]) -> Section:
    ordered = sorted(records, key=_order)
    entries = [Entry(number, f"{id}-row-{number}", stored) for number, stored in enumerate(ordered, 1)]
    return Section(
        id,
        name,
        tuple(entry for entry in entries if entry.record.status == "settled"),
        tuple(entry for entry in entries if entry.record.status != "settled"),
    )


def _order(stored: StoredRecord) -> tuple[Any, ...]:
    """Settled ones first, then by scenario, net, size, engine and precision."""
    model, conditions = stored.record.model, stored.record.conditions
    left_out = stored.record.status != "settled"
    scenario = (_rank(SCENARIOS, words(conditions.scenario)), conditions.scenario)
    size = (model.width * model.height, model.width)
    precision = _rank(PRECISIONS, model.precision)
    return (left_out, scenario, model.name, size, model.engine, precision, str(stored.path))


def _rank(known: tuple[str, ...], name: str) -> int:
    return known.index(name) if name in known else len(known)


def device_name(device: Mapping[str, Any]) -> str:
    """The board, or the processor."""
    return str(device.get("board") or device.get("cpu") or device.get("machine") or "unknown device")


def device_line(device: Mapping[str, Any]) -> str:
    """The device in one line: name, GPUs, threads, instructions, memory, power mode, system."""
    isa = device.get("isa") or ()
    memory = device.get("memory_mib")
    parts = [
        device_name(device),
        *_gpu_names(device),
        f"{device['threads']} threads" if device.get("threads") else "",
        ", ".join(map(str, isa)) if isinstance(isa, (list, tuple)) else str(isa),
        f"{memory} MiB" if memory else "",
        str(device.get("power_mode") or ""),
        str(device.get("os") or ""),
        f"Python {device['python']}" if device.get("python") else "",
    ]
    return " · ".join(filter(None, parts))


def _gpu_names(device: Mapping[str, Any]) -> list[str]:
    gpus = device.get("gpus")
    names = [gpu.get("name") for gpu in gpus if isinstance(gpu, Mapping)] if isinstance(gpus, list) else []
    return [str(name) for name in names if name]


def flat(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested data as pairs ("gpu name", value), without what is empty."""
    pairs: list[tuple[str, str]] = []
    for key, value in data.items():
        name = f"{prefix} {words(str(key))}".strip()
        if isinstance(value, Mapping):
            pairs += flat(value, name)
        elif isinstance(value, (list, tuple)) and any(isinstance(each, Mapping) for each in value):
            pairs += flat({str(index): each for index, each in enumerate(value)}, name)
        elif isinstance(value, (list, tuple)):
            pairs += [(name, ", ".join(map(str, value)))] if value else []
        elif value not in ("", None):
            pairs.append((name, str(value)))
    return pairs


def _merged(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Key -> every value that it has, once."""
    values: dict[str, dict[str, None]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            if value:
                values.setdefault(str(key), {})[str(value)] = None
    return {key: " / ".join(each) for key, each in values.items()}


def words(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ").replace("-", " ")


def spread(values: list[float], digits: int = 2) -> str:
    """The smallest and the largest value."""
    low, high = (f"{each:.{digits}f}" for each in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
