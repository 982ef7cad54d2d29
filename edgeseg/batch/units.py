"""The unit of work: one video or one folder of images. It is sent to processes that import nothing else for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MAGIC = "*?["  # of a glob
NAME_CHARACTERS = 60  # of the folder of a unit, before its digest


@dataclass(frozen=True)
class Unit:
    """One video or one folder of images, or the URI of another recording.

    source: a path, a glob of the images of one folder, a URI or a URL. digest: the SHA-256 of the source with its
    stamps, and of the job. name: the source as the user wrote it, or the number of the folder or glob in SOURCES and
    the path below it. It says of which shard the unit is, and so depends on no mount, time or engine of a machine.
    is_remote: whether it is fetched first.
    """

    source: str
    digest: str
    name: str
    is_remote: bool = False


def outputs_name(unit: Unit) -> str:
    """The name of the unit's folder in OUT: that of its source, and the beginning of its digest."""
    place = re.split(r"[?#]", unit.source)[0] if "://" in unit.source else unit.source
    stem = Path(place).stem or "unit"
    if any(mark in stem for mark in MAGIC):  # the images of a glob: the name of their folder
        stem = Path(place).parent.name
    stem = re.sub(r"[^\w.-]+", "_", stem)[:NAME_CHARACTERS].strip("._")
    return f"{stem or 'unit'}-{unit.digest[:12]}"


def is_outputs_name(name: str) -> bool:
    """Whether a folder can be that of a unit."""
    return re.fullmatch(r".+-[0-9a-f]{12}", name) is not None
