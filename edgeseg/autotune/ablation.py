"""What each block of an int8 network is worth in floating point: accuracy won back, and time lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.artifact import Artifact
from edgeseg.autotune.benchmark import benchmark
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.estimate import Estimate
from edgeseg.autotune.evaluator import QUICK, Evaluator
from edgeseg.autotune.judge import Judge
from edgeseg.progress import Progress
from edgeseg.spec import Precision

NOISE = 0.005  # of the latency: a smaller loss of time cannot be told from none


@dataclass(frozen=True)
class Ablation:
    """One block left float in an otherwise int8 engine.

    gain: share of the float engine's labels that come back. lost_ms: of the median latency; negative where it is
    faster in floating point. ratio: its latency to that of the int8 engine.
    """

    block: Block
    gain: float
    lost_ms: float
    ratio: Estimate

    @property
    def is_free(self) -> bool:
        """Whether the engine is surely faster with this block float."""
        return self.ratio.high < 1

    def worth(self, int8_ms: float) -> float:
        """Labels gained per millisecond lost."""
        return self.gain / max(self.lost_ms, NOISE * int8_ms)


def ablation_of_blocks(
    blocks: Sequence[Block], int8: Artifact, trial: Evaluator, search: Judge, progress: Progress
) -> list[Ablation]:
    """Weigh each of `blocks` against the int8 engine, as far as there is time.

    search: pictures that are not those of the final judgement.
    """
    found = []
    with trial.open(int8) as quantised:
        before = search.scores(quantised).agreement.mean()
        for number, block in enumerate(blocks):
            progress("weigh", number, len(blocks))
            if trial.is_over():
                break
            engine = trial.maker.build(Precision.INT8, [block], checked=False)
            with trial.open(engine) as segmenter:
                after = search.scores(segmenter).agreement.mean()
                laps = benchmark({"int8": quantised, "float": segmenter}, trial.rgb, rounds=QUICK)
            ratio = laps["float"].ratio_to(laps["int8"])
            lost = (ratio.value - 1) * laps["int8"].latency.p50_ms
            found.append(Ablation(block, float(after - before), lost, ratio))
        progress("weigh", len(blocks), len(blocks))
    return found
