"""The decision as a picture: accuracy against latency, one point a candidate."""

from __future__ import annotations

from pathlib import Path

from edgeseg.autotune.autotune import Decision
from edgeseg.autotune.candidate import Candidate
from edgeseg.files import whole_file

COLOURS = {"chosen": "tab:green", "within": "tab:blue", "outside": "tab:red"}


def draw_pareto(path: Path, decision: Decision) -> bool:
    """Draw mIoU, or the share of the float engine's labels, in percent with its 95% interval, over the median latency.

    A PNG; False without matplotlib. Green is the engine that was chosen, red loses more than it may, or may do so.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    measured = [each for each in decision.field.candidates if each.lap and each.cost and each.scores]
    figure = Figure(figsize=(8, 5), layout="constrained")
    labelled = all(each.cost is not None and each.cost.labelled for each in measured)
    axes = figure.add_subplot(
        xlabel="median latency, ms", ylabel="mIoU, %" if labelled else "labels as the float engine, %"
    )
    figure.suptitle(decision.summary, fontsize=9, wrap=True)
    for each in measured:
        standing = "chosen" if each is decision.chosen else "within" if each.is_within else "outside"
        accuracy, below, above = accuracy_percent(each)
        axes.errorbar(each.p50_ms, accuracy, [[below], [above]], fmt="o", capsize=3, color=COLOURS[standing])
        names = ", ".join(block.name for block in each.blocks)
        text = f"{each.name} ({names})" if 0 < len(names) < 40 else each.name
        axes.annotate(text, (each.p50_ms, accuracy), (6, 6), textcoords="offset points", fontsize=8)
    axes.axhline(least_percent(decision), color="grey", linestyle="--", linewidth=1)
    axes.set_xlim(left=0)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120)
    return True


def accuracy_percent(candidate: Candidate) -> tuple[float, float, float]:
    """The figure, and how far its interval reaches below and above it. The interval is that of the loss."""
    assert candidate.cost is not None and candidate.scores is not None
    loss = candidate.cost.loss
    miou = candidate.scores.miou
    value = 1 - loss.value if miou is None else miou
    return 100 * value, 100 * max(0.0, loss.high - loss.value), 100 * max(0.0, loss.value - loss.low)


def least_percent(decision: Decision) -> float:
    """The accuracy that the budget asks for."""
    reference = decision.field.candidates[0]
    assert reference.cost is not None and reference.scores is not None
    top = 1.0 if reference.scores.miou is None else reference.scores.miou
    return 100 * (top - reference.cost.limit)
