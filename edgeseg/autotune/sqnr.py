"""How much noise int8 puts into the logits: the signal-to-quantisation-noise ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeseg.artifact import Artifact
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.agreement import signal_to_noise_db
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.options import RunOptions
from edgeseg.segmenter import Segmenter

KEPT_VALUES = 1 << 18  # of one picture's logits: a grid of positions where there are more


class Tap(Backend):
    """A loaded model that notes the logits of each run; nothing where it gives a mask. Closing it closes the model."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner.name, inner.inputs, inner.outputs)
        self.inner = inner
        self.noted: list[Array] = []

    def synchronize(self) -> None:
        """As the model."""
        self.inner.synchronize()

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        found = self.inner.infer(feed)
        self.inner.synchronize()
        logits = found[self.outputs[0].name]
        if logits.dtype.kind == "f":
            step = math.ceil(math.sqrt(logits.size / KEPT_VALUES))
            self.noted.append(np.array(logits[..., ::step, ::step], np.float32))
        return found

    def _close(self) -> None:
        self.inner.close()


def open_tapped(path: Path, run: RunOptions) -> tuple[Segmenter, list[Array]]:
    """The segmenter of the engine at `path`, and the list that its logits are added to, a picture each."""
    artifact = Artifact.open(path)
    tap = Tap(open_engine(artifact.engine or default_engine(for_onnx=True, device=run.device)).open(artifact, run))
    segmenter = Segmenter(artifact, tap)
    segmenter.warm_up()
    tap.noted.clear()
    return segmenter, tap.noted


def sqnr_db(clean: Sequence[Array], noisy: Sequence[Array]) -> float | None:
    """10 log10 of the power of `clean` over that of the difference, over all pictures; None without any.

    Infinite where both are the same.
    """
    return signal_to_noise_db(noisy, clean) if clean else None
