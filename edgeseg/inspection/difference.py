"""Compare two engines layer by layer. Layers are matched by their ONNX nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.inspection.row import Row, is_qdq

TIME_NOISE = 0.05  # two runs of the same layer differ by a few percent
HASH = re.compile(r"_0x[0-9a-f]+$")  # ends the names of TensorRT's kernels


@dataclass(frozen=True)
class Change:
    """One property of one layer that differs. before, after: as text, "" if unknown."""

    layer: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """The differences of two engines. only_before, only_after: labels of the layers without a counterpart."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    matched: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def difference(before: Sequence[Row], after: Sequence[Row]) -> Difference:
    """What changed from `before` to `after`.

    A computing layer is matched by its convolutions and matrix products, any other layer by its nodes other than Q/DQ.
    A layer without nodes, such as a reformat, has no counterpart.
    """
    pairs = list(matched(before, after))
    matched_ids = {id(row) for pair in pairs for row in pair}
    return Difference(
        changes=tuple(change for a, b in pairs for change in changes(a, b)),
        only_before=tuple(row.label for row in before if id(row) not in matched_ids),
        only_after=tuple(row.label for row in after if id(row) not in matched_ids),
        matched=len(pairs),
    )


def matched(before: Sequence[Row], after: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield pairs of rows with a node in common; each row at most once."""
    unmatched: dict[tuple[bool, str], list[Row]] = {}
    for row in reversed(after):
        for key in keys(row):
            unmatched.setdefault(key, []).append(row)
    matched_ids: set[int] = set()
    for row in before:
        for key in keys(row):
            stack = unmatched.get(key, [])
            while stack and id(stack[-1]) in matched_ids:
                stack.pop()
            if stack:
                matched_ids.add(id(stack[-1]))
                yield row, stack.pop()
                break


def keys(row: Row) -> Iterator[tuple[bool, str]]:
    """Yield the keys that a row is matched by: whether it computes, and a node."""
    computes = row.kind == "compute"
    for node in row.computes or row.layer.nodes:
        if not is_qdq(node):
            yield computes, node


def changes(before: Row, after: Row) -> Iterator[Change]:
    """Yield what differs between two matched rows."""
    old, new = compared_properties(before), compared_properties(after)
    for what in old:
        if what in new and old[what] != new[what]:
            yield Change(before.label, what, old[what], new[what])
    a, b = before.layer.milliseconds, after.layer.milliseconds
    if a is not None and b is not None and abs(a - b) > TIME_NOISE * max(a, b):
        yield Change(before.label, "milliseconds", f"{a:.4f}", f"{b:.4f}")


def compared_properties(row: Row) -> dict[str, str]:
    """The compared properties as text; sizes only if they are known."""
    sizes = {"weight bytes": row.weight_bytes, "activation bytes": row.activation_bytes}
    return {
        "requested": row.requested,
        "precision": row.precision,
        "op": row.layer.op,
        "tactic": HASH.sub("", row.layer.tactic),
        **{what: str(size) for what, size in sizes.items() if size is not None},
    }
