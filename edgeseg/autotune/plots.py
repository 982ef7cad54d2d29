"""Plots of a decision and of a sensitivity analysis. Without matplotlib there are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.autotune.autotune import Decision
from edgeseg.autotune.candidate import Candidate
from edgeseg.autotune.sensitivity import Effect, ranked
from edgeseg.files import whole_file
from edgeseg.measure.estimate import Estimate

COLOURS = {"chosen": "tab:green", "within": "tab:blue", "outside": "tab:red"}
MAX_ROWS = 40  # on one page
OPAQUE, PALE = 1.0, 0.35
LOSS, TIME = "tab:red", "tab:blue"


def draw_pareto(path: Path, decision: Decision) -> bool:
    """Plot mIoU, or the share of the float engine's labels, in percent with its 95% interval, over the median latency.

    Writes a PNG; returns False without matplotlib. The chosen engine is green; red ones are not within the budget.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    measured = [each for each in decision.candidate_set.candidates if each.timing and each.cost and each.scores]
    figure = Figure(figsize=(8, 5), layout="constrained")
    labelled = all(each.cost is not None and each.cost.labelled for each in measured)
    ylabel = "mIoU, %" if labelled else "labels equal to the float engine's, %"
    axes = figure.add_subplot(xlabel="median latency, ms", ylabel=ylabel)
    figure.suptitle(decision.summary, fontsize=9, wrap=True)
    for each in measured:
        kind = "chosen" if each is decision.chosen else "within" if each.is_within else "outside"
        accuracy, below, above = accuracy_percent(each)
        axes.errorbar(each.p50_ms, accuracy, [[below], [above]], fmt="o", capsize=3, color=COLOURS[kind])
        names = ", ".join(block.name for block in each.blocks)
        text = f"{each.name} ({names})" if 0 < len(names) < 40 else each.name
        axes.annotate(text, (each.p50_ms, accuracy), (6, 6), textcoords="offset points", fontsize=8)
    axes.axhline(least_percent(decision), color="grey", linestyle="--", linewidth=1, label="budget")
    axes.legend(loc="lower right", fontsize=8)
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120)
    return True


def accuracy_percent(candidate: Candidate) -> tuple[float, float, float]:
    """The accuracy, and how far its interval reaches below and above. The interval is that of the loss."""
    assert candidate.cost is not None and candidate.scores is not None
    loss = candidate.cost.loss
    miou = candidate.scores.miou
    value = 1 - loss.value if miou is None else miou
    return 100 * value, 100 * max(0.0, loss.high - loss.value), 100 * max(0.0, loss.value - loss.low)


def least_percent(decision: Decision) -> float:
    """The accuracy that the budget requires."""
    reference = decision.candidate_set.candidates[0]
    assert reference.cost is not None and reference.scores is not None
    top = 1.0 if reference.scores.miou is None else reference.scores.miou
    return 100 * (top - reference.cost.limit)


def draw_sensitivity(path: Path, effects: Sequence[Effect], title: str) -> bool:
    """Plot the costliest of `effects`, the worst at the top, with 95% intervals.

    Writes a PNG; returns False without matplotlib. A bar is pale where its interval contains 0.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    shown = ranked(effects)[:MAX_ROWS]
    figure = Figure(figsize=(11, 1.8 + 0.3 * len(shown)), layout="constrained")
    losses, times = figure.subplots(1, 2, sharey=True)
    omitted = len(effects) - len(shown)
    note = f"; {omitted} that cost less are omitted" if omitted else ""
    figure.suptitle(f"{title}{note}; pale: not significant", fontsize=10, wrap=True)
    labelled = any(effect.drop is not None for effect in shown)
    losses.set_title("int8, all else float (grey: SQNR of the logits)", fontsize=10)
    losses.set_xlabel("mIoU lost, points" if labelled else "labels changed, %")
    times.set_title("float, all else int8", fontsize=10)
    times.set_xlabel("latency added, % of the int8 engine's")
    for row, effect in enumerate(shown):
        draw_bar(losses, row, effect.loss, LOSS)
        sqnr = "" if effect.sqnr_db is None else f"{effect.sqnr_db:.0f} dB"
        losses.annotate(sqnr, (1, row), (-4, 0), xycoords=("axes fraction", "data"), fontsize=7,
                        textcoords="offset points", ha="right", va="center", color="dimgrey")  # fmt: skip
        if effect.ablation is not None:
            ratio = effect.ablation.ratio
            draw_bar(times, row, Estimate(ratio.value - 1, ratio.low - 1, ratio.high - 1), TIME)
    losses.set_yticks(range(len(shown)), [effect.block.name for effect in shown], fontsize=8)
    losses.set_ylim(len(shown) - 0.4, -0.6)
    losses.margins(x=0.2)
    for axes in (losses, times):
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="x", color="lightgrey", linewidth=0.5)
        axes.set_axisbelow(True)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110)
    return True


def draw_bar(axes: Any, row: int, share: Estimate, colour: str) -> None:
    """One bar in percent, with its interval."""
    value, low, high = 100 * share.value, 100 * share.low, 100 * share.high
    axes.barh(row, value, color=colour, alpha=PALE if low <= 0 <= high else OPAQUE, height=0.7)
    reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
    axes.errorbar(value, row, xerr=reach, color="black", linewidth=0.8, capsize=2)
