"""Records and the files that they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeseg.bench.record import SCHEMA, BenchRecord
from edgeseg.errors import DataError, EdgeSegError
from edgeseg.files import bytes_from_file, existing_file, files_in_folder, is_folder

RECORDS = "bench"  # the folder of a device's records


@dataclass(frozen=True)
class StoredRecord:
    """A record. folder: the device's name where the file is FOLDER/bench/FILE, else ""."""

    path: Path
    record: BenchRecord
    folder: str = ""


@dataclass(frozen=True)
class UnreadableRecord:
    """A file in a folder of records that is none, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Collection:
    """What some folders hold."""

    records: tuple[StoredRecord, ...]
    unreadable: tuple[UnreadableRecord, ...] = ()


def records_from_paths(paths: Iterable[Path]) -> Collection:
    """The records of files, and of folders: FOLDER/*.json, FOLDER/bench/*.json and FOLDER/*/bench/*.json.

    A damaged file in a folder is listed; a damaged file that `paths` names is an error, as is a collection without
    records. Records of other benchmark scripts are left out.
    """
    records: dict[Path, StoredRecord] = {}
    unreadable = []
    for path in paths:
        if not is_folder(path):
            records[path.resolve()] = _stored(existing_file(path))
            continue
        for file in _files(path):
            if file.parent.name != RECORDS and not _is_record(file):
                continue
            try:
                records[file.resolve()] = _stored(file)
            except EdgeSegError as problem:
                unreadable.append(UnreadableRecord(file, problem.message))
    if not records and not unreadable:
        places = ", ".join(map(str, paths))
        message = f"no record of edgeseg bench in {places}"
        raise DataError(message, hint="edgeseg bench MODEL -o FILE.json writes one", code="ES-DATA-NO-RECORDS")
    return Collection(tuple(records.values()), tuple(unreadable))


def _files(folder: Path) -> Iterator[Path]:
    """The JSON files that may be records, by name."""
    children = sorted(files_in_folder(folder))
    yield from (child for child in children if child.suffix == ".json" and child.is_file())
    if folder.name == RECORDS:
        return
    for child in children:
        for place in (child,) if child.name == RECORDS else (child / RECORDS,):
            if is_folder(place):
                yield from sorted(file for file in files_in_folder(place) if file.suffix == ".json")


def _is_record(file: Path) -> bool:
    try:
        data = json.loads(bytes_from_file(file))
    except (ValueError, RecursionError, EdgeSegError):
        return False
    return isinstance(data, dict) and data.get("schema") == SCHEMA


def _stored(file: Path) -> StoredRecord:
    parent = file.resolve().parent
    return StoredRecord(file, BenchRecord.read(file), parent.parent.name if parent.name == RECORDS else "")
