"""How many images of different streams to compute at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from edgeseg.segmenter import Segmenter

GAIN = 0.9  # a batch pays if an image of it takes at most this part of the time of a single image
ROUNDS = 5
WINDOW_SHARE = 0.2  # of the time of a batch: how long it may wait for its last image
LEAST_WINDOW_SECONDS, MOST_WINDOW_SECONDS = 0.002, 0.03


def batch_that_pays(segmenter: Segmenter, clock: Callable[[], float] = time.perf_counter) -> tuple[int, float]:
    """The number of images to compute at once, and the seconds that a batch waits for its last image.

    It is the engine's batch if that is measured to be faster for each image than single images; else 1, and 0 s.
    """
    batch = segmenter.batch
    if batch == 1:
        return 1, 0.0
    image = np.full((segmenter.spec.input.height, segmenter.spec.input.width, 3), 128, np.uint8)

    def seconds_of(count: int) -> float:
        began = clock()
        segmenter.segment_batch([image] * count)
        return clock() - began

    seconds_of(batch)  # warm-up
    pairs = [(seconds_of(1), seconds_of(batch)) for _ in range(ROUNDS)]
    single, whole = (min(times) for times in zip(*pairs))
    segmenter.clear_latency()
    if whole / batch > GAIN * single:
        return 1, 0.0
    return batch, min(MOST_WINDOW_SECONDS, max(LEAST_WINDOW_SECONDS, WINDOW_SHARE * whole))
