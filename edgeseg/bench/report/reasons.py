"""Why a record is doubtful, or stays out of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeseg.bench.report.section import Entry
from edgeseg.bench.report.table import SCOPES


@dataclass(frozen=True)
class SharedDiagnostic:
    """A diagnostic of several records. messages: each different one, with its records."""

    code: str
    hint: str
    messages: Mapping[str, Sequence[Entry]]


def diagnostics_from_entries(entries: Iterable[Entry]) -> list[SharedDiagnostic]:
    """The diagnostics by code and hint."""
    diagnostics: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in entries:
        for each in entry.record.diagnostics:
            diagnostics.setdefault((each.code, each.hint), {}).setdefault(each.message, []).append(entry)
    return [SharedDiagnostic(code, hint, messages) for (code, hint), messages in diagnostics.items()]


def reasons(entry: Entry) -> list[str]:
    """Why this record is not in the tables."""
    record = entry.record
    unsettled = [SCOPES[row.scope].removesuffix(" ms") for row in record.rows if not row.settled]
    said = [f"{each.message} ({each.hint})" if each.hint else each.message for each in record.diagnostics]
    if record.status == "inconclusive" and (unsettled or not said):
        what = f": {', '.join(unsettled)}" if unsettled else ""
        attempts = "an attempt" if record.attempts == 1 else f"{record.attempts} attempts"
        said.insert(0, f"not settled after {attempts}{what}")
    return said or [f"the record says that it is {record.status}"]
