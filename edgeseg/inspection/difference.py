"""What differs between two engines, layer by layer, matched by the ONNX nodes that the layers come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.inspection.row import Row, is_qdq

TIME_NOISE = 0.05  # two runs of one layer differ by some percent
HASH = re.compile(r"_0x[0-9a-f]+$")  # TensorRT ends the names of its own kernels with one


@dataclass(frozen=True)
class Change:
    """One property of one layer that differs. before, after: as text, "" where it is not known."""

    layer: str
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Difference:
    """Two engines side by side. only_before, only_after: labels of layers that have no counterpart."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    matched: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def difference(before: Sequence[Row], after: Sequence[Row]) -> Difference:
    """What changed from `before` to `after`.

    A layer that computes is matched by the convolutions and products in it, any other by the nodes in it that are no
    Q/DQ. A layer without any node, such as a reformat, is on one side only.
    """
    pairs = list(matched(before, after))
    taken_before, taken_after = {id(a) for a, _ in pairs}, {id(b) for _, b in pairs}
    return Difference(
        changes=tuple(change for a, b in pairs for change in changes(a, b)),
        only_before=tuple(row.label for row in before if id(row) not in taken_before),
        only_after=tuple(row.label for row in after if id(row) not in taken_after),
        matched=len(pairs),
    )


def matched(before: Sequence[Row], after: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of rows that have a node in common; no row comes twice."""
    waiting: dict[tuple[bool, str], list[Row]] = {}
    for row in reversed(after):
        for key in keys(row):
            waiting.setdefault(key, []).append(row)
    taken: set[int] = set()
    for row in before:
        candidates = (stack[-1] for key in keys(row) if (stack := untaken(waiting.get(key, []), taken)))
        if (found := next(candidates, None)) is not None:
            taken.add(id(found))
            yield row, found


def untaken(stack: list[Row], taken: set[int]) -> list[Row]:
    """`stack` without the taken rows on its top."""
    while stack and id(stack[-1]) in taken:
        stack.pop()
    return stack


def keys(row: Row) -> Iterator[tuple[bool, str]]:
    """By what a row is found: whether it computes, and a node of it."""
    computes = row.kind == "compute"
    for node in row.computes or row.layer.nodes:
        if not is_qdq(node):
            yield computes, node


def changes(before: Row, after: Row) -> Iterator[Change]:
    """What differs between two rows of the same nodes."""
    old, new = facts(before), facts(after)
    for what in old:
        if what in new and old[what] != new[what]:
            yield Change(before.label, what, old[what], new[what])
    a, b = before.layer.milliseconds, after.layer.milliseconds
    if a is not None and b is not None and abs(a - b) > TIME_NOISE * max(a, b):
        yield Change(before.label, "milliseconds", f"{a:.4f}", f"{b:.4f}")


def facts(row: Row) -> dict[str, str]:
    """What is compared, as text; sizes only where they are known."""
    sizes = {"weight bytes": row.weight_bytes, "activation bytes": row.activation_bytes}
    return {
        "requested": row.requested,
        "precision": row.precision,
        "op": row.layer.op,
        "tactic": HASH.sub("", row.layer.tactic),
        **{what: str(size) for what, size in sizes.items() if size is not None},
    }
