"""Which fields of two records must be equal, so that their figures can be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from edgeseg.bench.record import BenchRecord
from edgeseg.errors import MismatchError, UnknownNameError

GROUPS = ("device", "versions", "conditions")
READINGS = ("device.state",)  # what changes from one minute to the next


def check_fields(across: Collection[str], records: Iterable[BenchRecord]) -> None:
    """UnknownNameError for a name that is neither a group nor a field of any of the records."""
    known = {*GROUPS, *(name for record in records for name in fields_from_record(record))}
    for name in across:
        if name not in known:
            raise UnknownNameError.among("field of a record", name, known)


def check_same_conditions(a: BenchRecord, b: BenchRecord, across: Collection[str] = ()) -> None:
    """MismatchError, with the fields, where device, versions or conditions of both differ.

    across: what may differ: "device", "versions", "conditions", or one field, such as "versions.openvino".
    """
    refused = {
        field: values
        for field, values in differing_fields(a, b).items()
        if field not in across and field.partition(".")[0] not in across
    }
    if refused:
        groups = list(dict.fromkeys(field.partition(".")[0] for field in refused))
        named = "; ".join(f"{field}: {before!r} and {after!r}" for field, (before, after) in refused.items())
        hint = f"measure both under the same conditions, or allow it: {' '.join(f'--across {each}' for each in groups)}"
        message = f"the records differ in more than what was measured: {named}"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-RECORDS")


def differing_fields(a: BenchRecord, b: BenchRecord) -> dict[str, tuple[Any, Any]]:
    """Field -> its value in both records, where these differ. Of versions, the packages that both name."""
    before, after = fields_from_record(a), fields_from_record(b)
    names = [
        name for name in {**before, **after} if not name.startswith("versions.") or (name in before and name in after)
    ]
    values = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def fields_from_record(record: BenchRecord) -> dict[str, Any]:
    """ "device.cpu" -> value, of everything that must be equal."""
    groups = {"device": record.device, "versions": record.versions, "conditions": asdict(record.conditions)}
    fields = {f"{group}.{key}": value for group, values in groups.items() for key, value in values.items()}
    return {name: value for name, value in fields.items() if name not in READINGS}
