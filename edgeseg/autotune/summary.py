"""The decision and its reason in one line."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.autotune.candidate import Candidate
from edgeseg.measure.estimate import Estimate
from edgeseg.spec import Precision


def decision_summary(
    chosen: Candidate, base: Candidate, candidates: Sequence[Candidate], layers: int, unsearched: str = ""
) -> str:
    """The chosen candidate and the reason.

    base: the fastest float engine within the budget. layers: how many int8 can quantise. unsearched: as in
    `CandidateSet`.
    """
    if chosen is not base:
        return " ".join(f"{chosen.name} kept: {gain(chosen, base)}{float_layers(chosen, layers)}".split())
    int8 = [candidate for candidate in candidates if candidate.precision is Precision.INT8]
    if not int8:
        return f"{base.name} kept: there are no ranges for int8"
    return f"{base.name} kept: " + "; ".join([*reasons(int8), *([unsearched] if unsearched else [])])


def gain(chosen: Candidate, base: Candidate) -> str:
    """The speed-up of the chosen candidate and its loss."""
    cost = "" if chosen.cost is None else f", {chosen.cost.text()} ({chosen.cost.interval()})"
    return f"{faster(chosen.ratio)} than {base.name}{cost}"


def faster(ratio: Estimate | None) -> str:
    """A latency ratio in words: "1.90x faster", "4% slower", "no faster"."""
    if ratio is None:
        return "not timed"
    if ratio.high < 1:
        return f"{1 / ratio.value:.2f}x faster"
    return f"{ratio.value - 1:.0%} slower" if ratio.low > 1 else "no faster"


def float_layers(chosen: Candidate, layers: int) -> str:
    """The layers that stay float."""
    if not chosen.blocks:
        return ""
    names = ", ".join(block.name for block in chosen.blocks)
    return f", {chosen.float_layers} of {layers} layers float ({names})"


def reasons(int8: Sequence[Candidate]) -> list[str]:
    """Why int8, which comes first in `int8`, is not chosen, and why the best mixed candidate is not."""
    mixed = [candidate for candidate in int8 if candidate.blocks]
    best = min(mixed, key=lambda candidate: (not candidate.is_within, candidate.p50_ms), default=None)
    return [reason(candidate) for candidate in (int8[0], best) if candidate is not None]


def reason(candidate: Candidate) -> str:
    """Why one candidate is not chosen."""
    if candidate.problem:
        return f"{candidate.name} is excluded: {candidate.problem}"
    cost = candidate.cost
    speed = f"{candidate.name} is {faster(candidate.ratio)} here"
    if cost is None or cost.is_within:
        return speed if not candidate.is_faster else f"{speed}, which is not enough"
    return f"{speed} and {cost.complaint()}"
