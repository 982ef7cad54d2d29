"""Sensitivity as a picture: what each block loses in int8 alone, and the time that it takes back in floating point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.autotune.estimate import Estimate
from edgeseg.autotune.sensitivity import Effect, ranked
from edgeseg.files import whole_file

MOST = 40  # rows that a page can hold
SURE, UNSURE = 1.0, 0.35  # opacity
LOSS, TIME = "tab:red", "tab:blue"


def draw_sensitivity(path: Path, effects: Sequence[Effect], title: str) -> bool:
    """Draw the costliest of `effects`, the worst at the top, with 95% intervals. A PNG; False without matplotlib.

    A bar is pale where its interval holds 0: these pictures and rounds cannot tell it from none.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    shown = ranked(effects)[:MOST]
    figure = Figure(figsize=(11, 1.8 + 0.3 * len(shown)), layout="constrained")
    losses, times = figure.subplots(1, 2, sharey=True)
    left_out = len(effects) - len(shown)
    figure.suptitle(title + (f"; {left_out} that cost less are left out" if left_out else ""), fontsize=10, wrap=True)
    labelled = any(effect.drop is not None for effect in shown)
    losses.set_title("in int8, all else float (grey: SQNR of the logits)", fontsize=10)
    losses.set_xlabel("mIoU lost, points" if labelled else "labels changed, %")
    times.set_title("float, all else int8", fontsize=10)
    times.set_xlabel("latency added, % of the int8 engine's")
    for row, effect in enumerate(shown):
        draw_bar(losses, row, effect.loss, LOSS)
        losses.annotate(sqnr_text(effect), (1, row), (-4, 0), xycoords=("axes fraction", "data"), fontsize=7,
                        textcoords="offset points", ha="right", va="center", color="dimgrey")  # fmt: skip
        if effect.weight is not None:
            ratio = effect.weight.ratio
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
    axes.barh(row, value, color=colour, alpha=UNSURE if low <= 0 <= high else SURE, height=0.7)
    reach = [[max(0.0, value - low)], [max(0.0, high - value)]]
    axes.errorbar(value, row, xerr=reach, color="black", linewidth=0.8, capsize=2)


def sqnr_text(effect: Effect) -> str:
    """The noise in the logits."""
    return "" if effect.sqnr_db is None else f"{effect.sqnr_db:.0f} dB"
