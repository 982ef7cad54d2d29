"""Images of different streams that are computed at once."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from small_streams import Drawn, Kept

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.live import runner as runner_module
from edgeseg.live.batching import batch_that_pays
from edgeseg.live.runner import LiveRunner
from edgeseg.live.stream import StreamConfig
from edgeseg.predictions import SemanticMask
from edgeseg.video.frame import Frame


class BatchEngine:
    """A segmenter with a batch of 4. costs: seconds of a call by its number of images, on a clock of its own."""

    slots, batch = 1, 4

    def __init__(self, costs: dict[int, float]) -> None:
        self.spec = SimpleNamespace(labels=CAMVID_LABELS, input=SimpleNamespace(width=32, height=16))
        self.artifact = SimpleNamespace(spec=SimpleNamespace(name="fake"), engine="none", precision="fp32")
        self.costs, self.time, self.calls = costs, 0.0, []

    def segment_batch(self, images: list[np.ndarray | Frame]) -> list[SemanticMask]:
        self.calls.append(len(images))
        self.time += self.costs.get(len(images), 0.0)
        rgbs = [image.rgb() if isinstance(image, Frame) else image for image in images]
        return [SemanticMask(np.full(rgb.shape[:2], rgb[0, 0, 0] % 11, np.uint8), CAMVID_LABELS) for rgb in rgbs]

    def submit(self, frame: object, size: object = None, *, overlay_opacity: float | None = None) -> object:
        pytest.fail("a batch was asked for")

    def clear_latency(self) -> None:
        """Nothing is recorded."""


@pytest.mark.parametrize(
    ("seconds_of_four", "expected"),
    [
        (0.02, (4, 0.004)),  # half the time of single images; waits a fifth of it
        (0.035, (4, 0.007)),
        (0.0361, (1, 0.0)),  # gains less than a tenth
        (0.08, (1, 0.0)),
    ],
)
def test_a_batch_is_used_where_it_is_measured_to_pay(seconds_of_four: float, expected: tuple[int, float]) -> None:
    engine = BatchEngine({1: 0.01, 4: seconds_of_four})
    assert batch_that_pays(engine, clock=lambda: engine.time) == pytest.approx(expected)


def test_the_window_has_limits() -> None:
    for seconds, window in ((0.001, 0.002), (1.0, 0.03)):
        engine = BatchEngine({1: 1.0, 4: seconds})
        assert batch_that_pays(engine, clock=lambda: engine.time) == (4, window)  # noqa: B023 - called at once


def test_each_result_of_a_batch_belongs_to_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "batch_that_pays", lambda segmenter: (4, 5.0))
    engine, sinks = BatchEngine({}), [Kept() for _ in range(4)]
    streams = [StreamConfig(f"s{n}", Drawn(6), lambda info, n=n: [sinks[n]]) for n in range(4)]
    report = LiveRunner(streams, engine).run()
    assert [status.frames for status in report.streams] == [6] * 4
    for sink in sinks:
        assert [frame.index for frame in sink.frames] == list(range(6))
        for result in sink.results:
            assert (result.prediction.labels == result.frame.rgb()[0, 0, 0] % 11).all()
    assert max(engine.calls) > 1


def test_one_stream_is_not_batched() -> None:
    engine = BatchEngine({})
    engine.submit = lambda frame, **_: next(futures)  # type: ignore[method-assign]
    from edgeseg.segmenter import PredictionFuture

    mask = SemanticMask(np.zeros((32, 64), np.uint8), CAMVID_LABELS)
    futures = (PredictionFuture.of(mask, {"total": 1.0}) for _ in itertools.count())
    LiveRunner([StreamConfig("one", Drawn(3))], engine).run()
    assert engine.calls == []
