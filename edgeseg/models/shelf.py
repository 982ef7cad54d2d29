"""The table of all families: what each has, what its paper reports, and whether INT8 pays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgeseg.models import FAMILIES, open_family
from edgeseg.models.checkpoint_formats import FORMATS, open_format
from edgeseg.models.count import Counts, count
from edgeseg.models.family import GROUPS, Family

SIZE, CLASSES = (1024, 512), 19  # of the counts
MEASURED = Path(__file__).with_name("measured.json")  # written by benchmarks/families.py


@dataclass(frozen=True)
class ShelfRow:
    """One family. counts: of its first variant. formats: the checkpoints that it takes.

    measured: the own CPU milliseconds by engine; {} where it was not. mark: that of its device in `devices_measured`.

    counts are those of the reference implementation where it has been counted at SIZE: ours are within 2% of them.
    """

    family: Family
    counts: Counts
    formats: tuple[str, ...]
    measured: dict[str, Any]
    mark: str

    @property
    def variant(self) -> str:
        """The first variant, which the counts are of."""
        return self.family.published_variants[0]

    def int8_share(self, engine: str) -> float | None:
        """The int8 engine's own CPU time as a share of fp32's; None where it was not measured."""
        times = self.measured.get(engine, {})
        return times["int8_cpu_ms"] / times["fp32_cpu_ms"] if times else None

    def int8_shares(self) -> str:
        """`int8_share` on openvino and onnxruntime as text, with the mark of the device; - where it is not known."""
        shares = [self.int8_share(engine) for engine in ("openvino", "onnxruntime")]
        texts = ["-" if share is None else f"{share:.2f}" for share in shares]
        return f"{', '.join(texts)}{self.mark}"


def shelf() -> list[ShelfRow]:
    """All families, group by group, by name within a group."""
    formats = [open_format(name) for name in FORMATS]
    whole = what_was_measured()
    rows = []
    for name in FAMILIES:
        family = open_family(name)
        own = tuple(each.name for each in formats if each.family == name)
        measured = whole["families"].get(name, {})
        mark = whole["devices"][measured["device"]]["mark"] if measured else ""
        rows.append(ShelfRow(family, counts_of(family), own, measured, mark))
    return sorted(rows, key=lambda row: (GROUPS.index(row.family.group), row.family.name))


def what_was_measured() -> dict[str, Any]:
    """The size, the devices and the families of the measurements of int8."""
    measurements: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
    return measurements


def devices_measured() -> list[tuple[str, str]]:
    """The devices that int8 was measured on: the mark of their figures, and the processor with its features."""
    devices = what_was_measured()["devices"].values()
    return [(each["mark"], f"{each['board'] or each['cpu']} ({', '.join(each['isa'])})") for each in devices]


def counts_of(family: Family) -> Counts:
    """Of the first variant, with CLASSES classes at SIZE."""
    variant, reference = family.published_variants[0], family.reference
    millions, billions = reference.counts.get(variant, (0, None))
    if billions is not None and (reference.size, reference.classes) == (SIZE, CLASSES):
        return Counts(round(millions * 1e6), round(billions * 1e9))
    with torch.device("meta"):
        network = family.module(CLASSES, **family.variants[variant])
    return count(network, *SIZE)
