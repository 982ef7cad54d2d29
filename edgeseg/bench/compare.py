"""Whether B is faster or slower than A, and by how much; of two records, or of many."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgeseg.bench.record import Accuracy, BenchRecord, Row
from edgeseg.bench.same_conditions import check_same_conditions, differing_fields
from edgeseg.measure.diagnostic import FOREIGN_CORES
from edgeseg.measure.estimate import Estimate, ratio_of_medians
from edgeseg.measure.settling import batches_of

Answer = Literal["better", "worse", "equal", "inconclusive"]

# Of every interval here. With 95%, one of twenty comparisons of a thing with itself would find a difference.
CONFIDENCE = 0.99
TOLERANCE = 0.02
MAX_DROP = 0.005  # of mIoU, as in Budget
CPU, WALL = "cpu_ms", "p50_ms"


@dataclass(frozen=True)
class Figure:
    """One figure of both sides in ms. scope: as of `Row`. name: "cpu_ms", own CPU time of an image, or "p50_ms".

    ratio: B / A with its interval; None where it cannot be estimated. reason: why there is no answer; "" else.
    """

    scope: str
    name: str
    a: float
    b: float
    ratio: Estimate | None
    answer: Answer
    reason: str = ""


@dataclass(frozen=True)
class MiouDrop:
    """The mIoU of both on the same data, as fractions. drop: A - B, with an interval where images were resampled."""

    data: str
    images: int
    a: float
    b: float
    drop: Estimate
    max_drop: float

    @property
    def answer(self) -> Answer:
        """ "worse" where more than `max_drop` is lost, and not by chance alone; "equal" where surely no more is."""
        if self.drop.value > self.max_drop and self.drop.low > 0:
            return "worse"
        if self.drop.high > self.max_drop:
            return "inconclusive"
        return "better" if self.drop.high < 0 else "equal"


@dataclass(frozen=True)
class Comparison:
    """B against A. name: what both are. a, b: what each is. across: fields that differ, although the user allows it.

    not_compared: what only one side has, or has of other images.
    """

    name: str
    a: str
    b: str
    figures: tuple[Figure, ...]
    miou: MiouDrop | None = None
    across: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def answers(self) -> list[Answer]:
        """The answers of all figures."""
        return [*(each.answer for each in self.figures), *([self.miou.answer] if self.miou else [])]

    @property
    def is_regression(self) -> bool:
        """Whether some figure of B is worse."""
        return "worse" in self.answers

    @property
    def is_complete(self) -> bool:
        """Whether everything that a side has was compared, and has an answer."""
        return bool(self.figures) and "inconclusive" not in self.answers and not self.not_compared

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        figures = [{**vars(each), "ratio": each.ratio.to_dict() if each.ratio else None} for each in self.figures]
        miou = {**vars(self.miou), "drop": self.miou.drop.to_dict(), "answer": self.miou.answer} if self.miou else None
        sides = {"name": self.name, "a": self.a, "b": self.b}
        answers = {"regression": self.is_regression, "complete": self.is_complete}
        notes = {"across": list(self.across), "not_compared": list(self.not_compared)}
        return {**sides, **answers, "figures": figures, "miou": miou, **notes}


def answer_from_ratio(ratio: Estimate, tolerance: float) -> Answer:
    """What the interval of B / A of a time says. "equal": it lies within the tolerance, a fraction, of 1."""
    if 1 / (1 + tolerance) <= ratio.low and ratio.high <= 1 + tolerance:
        return "equal"
    return "better" if ratio.high < 1 else "worse" if ratio.low > 1 else "inconclusive"


def compare_records(
    a: BenchRecord,
    b: BenchRecord,
    *,
    tolerance: float = TOLERANCE,
    max_drop: float = MAX_DROP,
    across: Collection[str] = (),
) -> Comparison:
    """Compare the scopes that both have. across: the fields that may differ, see `check_same_conditions`.

    The interval has the noise within the two runs, not what differs from run to run: the same engine, timed twice, can
    be outside. Engines that are timed side by side (compare_engines.py) have no such error.
    """
    check_same_conditions(a, b, across)
    figures = []
    for row in a.rows:
        other = b.row(row.scope)
        if other is not None:
            for name in (CPU, WALL):
                figure = _figure(name, row, other, tolerance)
                reason = _unsettled(row, other) or _doubt(name, a, b)
                figures.append(replace(figure, answer="inconclusive", reason=reason) if reason else figure)
    name = f"{a.model.width}x{a.model.height} {a.conditions.scenario}"
    labels = [f"{each.model.name} {each.model.engine} {each.model.precision}" for each in (a, b)]
    miou, differing = _miou_drop(a.accuracy, b.accuracy, max_drop), tuple(differing_fields(a, b))
    return Comparison(name, labels[0], labels[1], tuple(figures), miou, differing, tuple(_not_compared(a, b)))


def _figure(name: str, a: Row, b: Row, tolerance: float) -> Figure:
    values = [row.cpu_ms if name == CPU else row.latency.p50_ms for row in (a, b)]
    blocks = [row.cpu_blocks if name == CPU else _medians(row.samples) for row in (a, b)]
    if min(map(len, blocks)) < 2 or min(map(min, blocks)) <= 0:
        return Figure(a.scope, name, values[0], values[1], None, "inconclusive", "a record holds no samples of it")
    ratio = ratio_of_medians(blocks[0], blocks[1], CONFIDENCE)
    return Figure(a.scope, name, values[0], values[1], ratio, answer_from_ratio(ratio, tolerance))


def _medians(samples: Sequence[float]) -> Sequence[float]:
    return [statistics.median(part) for part in batches_of(samples)]


def _unsettled(a: Row, b: Row) -> str:
    sides = [side for side, row in (("A", a), ("B", b)) if not row.settled]
    return f"{' and '.join(sides)} did not settle" if sides else ""


def _doubt(name: str, a: BenchRecord, b: BenchRecord) -> str:
    """Why a figure has no answer: a record says that it must not be used, or other processes slowed it."""
    for side, record in (("A", a), ("B", b)):
        if record.status == "invalid":
            return f"{side} is invalid: {', '.join(each.code for each in record.diagnostics if each.invalidates)}"
        if name == WALL and record.load.foreign_cores > FOREIGN_CORES:
            return f"other processes used {record.load.foreign_cores:.1f} cores during {side}"
    return ""


def _miou_drop(a: Accuracy | None, b: Accuracy | None, max_drop: float) -> MiouDrop | None:
    """The drop where both were evaluated on the same images; without an interval, for records lack figures by image."""
    if a is None or b is None or (a.data, a.images) != (b.data, b.images):
        return None
    drop = a.miou - b.miou
    return MiouDrop(a.data, a.images, a.miou, b.miou, Estimate(drop, drop, drop), max_drop)


def _not_compared(a: BenchRecord, b: BenchRecord) -> Iterator[str]:
    """What only one side has, or has of other images."""
    for side, record, other in (("A", a, b), ("B", b, a)):
        for row in record.rows:
            if other.row(row.scope) is None:
                yield f"only {side} has a row of the scope {row.scope}"
        if record.accuracy is not None and other.accuracy is None:
            yield f"only {side} has mIoU"
    if a.accuracy and b.accuracy and _miou_drop(a.accuracy, b.accuracy, 0) is None:
        of = [f"{each.images} images of {each.data}" for each in (a.accuracy, b.accuracy)]
        yield f"A has mIoU of {of[0]}, and B of {of[1]}"


def matched_records(
    a: Iterable[BenchRecord], b: Iterable[BenchRecord]
) -> tuple[list[tuple[BenchRecord, BenchRecord]], list[BenchRecord], list[BenchRecord]]:
    """Pairs of one model, size, engine, precision and scenario, and the records of either side that have no partner.

    Where a side has several, those with the fewest differing fields belong together, the newest first.
    """
    left, pairs, alone = sorted(b, key=lambda each: each.when, reverse=True), [], []
    for record in sorted(a, key=lambda each: each.when, reverse=True):
        candidates = [each for each in left if _subject(each) == _subject(record)]
        if not candidates:
            alone.append(record)
            continue
        nearest = min(candidates, key=lambda each: len(differing_fields(record, each)))
        left.remove(nearest)
        pairs.append((record, nearest))
    return pairs, alone, left


def _subject(record: BenchRecord) -> tuple[object, ...]:
    model, conditions = record.model, record.conditions
    which = (model.name, model.width, model.height, model.engine, model.precision, model.output)
    return (*which, conditions.scenario, conditions.streams)
