"""The decision in one line, with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from edgeseg.autotune.candidate import Candidate
from edgeseg.autotune.estimate import Estimate
from edgeseg.spec import Precision


def verdict_from_choice(
    chosen: Candidate, base: Candidate, candidates: Sequence[Candidate], layers: int, unsearched: str = ""
) -> str:
    """What was chosen and why.

    base: the fastest float engine within the budget. layers: how many int8 could reach. unsearched: as in `Field`.
    """
    if chosen is not base:
        return " ".join(f"{chosen.name} kept: {gain(chosen, base)}{float_part(chosen, layers)}".split())
    tried = [candidate for candidate in candidates if candidate.precision is Precision.INT8]
    if not tried:
        return f"{base.name} kept: there are no ranges for int8"
    return f"{base.name} kept: " + "; ".join([*reasons(tried, base), *([unsearched] if unsearched else [])])


def gain(chosen: Candidate, base: Candidate) -> str:
    """What the chosen one wins, and what it costs."""
    cost = "" if chosen.cost is None else f", {chosen.cost.text()} ({chosen.cost.doubt()})"
    return f"{faster(chosen.ratio)} than {base.name}{cost}"


def faster(ratio: Estimate | None) -> str:
    """A latency ratio in words: "1.90x faster", "4% slower", "no faster"."""
    if ratio is None:
        return "not timed"
    if ratio.high < 1:
        return f"{1 / ratio.value:.2f}x faster"
    return f"{ratio.value - 1:.0%} slower" if ratio.low > 1 else "no faster"


def float_part(chosen: Candidate, layers: int) -> str:
    """Which layers stay float."""
    if not chosen.blocks:
        return ""
    names = ", ".join(block.name for block in chosen.blocks)
    return f", {chosen.float_layers} of {layers} layers float ({names})"


def reasons(tried: Sequence[Candidate], base: Candidate) -> list[str]:
    """Why plain int8 is not taken, and why the best of the mixed ones is not."""
    mixed = [candidate for candidate in tried if candidate.blocks]
    best = min(mixed, key=lambda candidate: (not candidate.is_within, candidate.p50_ms), default=None)
    return [reason(candidate, base) for candidate in (tried[0], best) if candidate is not None]


def reason(candidate: Candidate, base: Candidate) -> str:
    """Why one candidate is not taken."""
    if candidate.problem:
        return f"{candidate.name} is out: {candidate.problem}"
    cost = candidate.cost
    speed = f"{candidate.name} is {faster(candidate.ratio)} here"
    if cost is None or cost.is_within:
        return speed if not candidate.is_faster else f"{speed}, and not by enough"
    return f"{speed} and {cost.complaint()}"
