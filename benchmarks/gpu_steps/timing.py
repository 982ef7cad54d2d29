"""Times on the device by its own events, and calls a second by the wall clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from edgeseg.engines.backend import Backend
from edgeseg.engines.tensorrt.cuda import Cuda, Stream
from edgeseg.measure.recorder import summary_from_samples
from edgeseg.synthetic import StreetCamera
from gpu_steps.work import Work

REPEATS = 10  # of a kernel in the graph that is timed: one alone is shorter than what an event costs
FRAME = (1920, 1080)
Call = Callable[[], object]
Figures = dict[str, float]


def street_frame(size: tuple[int, int] = FRAME) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A synthetic street of (width, height)."""
    return StreetCamera(0, *size).render(0)[0]


def frame_for(backend: Backend) -> dict[str, np.ndarray[Any, Any]]:
    """The feed of `infer`: one image of the input's size."""
    spec = backend.inputs[0]
    return {spec.name: street_frame((spec.shape[2], spec.shape[1]))[None]}


def infer_of(backend: Backend) -> Call:
    """Upload one image, and wait for its result."""
    feed = frame_for(backend)

    def infer() -> None:
        backend.infer(feed)
        backend.synchronize()

    return infer


def stage_figures(backend: Any, work: Work) -> dict[str, Figures]:
    """Milliseconds of a TensorRT backend's upload, network and download, each summarised."""
    feed = frame_for(backend)
    once(infer_of(backend))  # the image is in the host buffers
    return summaries([backend.stage_milliseconds(feed) for _ in range(work.warm_up + work.samples)][work.warm_up :])


def call_figures(call: Call, work: Work) -> Figures:
    """Milliseconds of whole calls by the wall clock, and `fps`: calls a second over all of them."""
    samples = [once(call) for _ in range(work.warm_up + work.samples)][work.warm_up :]
    return {**summary_from_samples(samples).to_dict(), "fps": 1e3 * len(samples) / sum(samples)}


def once(call: Call) -> float:
    """Milliseconds of a call that waits for its result."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def event_figures(cuda: Cuda, stream: Stream, queue: Call, work: Work) -> Figures:
    """Milliseconds of what `queue` puts on the stream: a graph of REPEATS of it between two events, over REPEATS."""
    queue()  # loads and uploads what a graph must not hold
    cuda.wait(stream)
    with cuda.capture(stream) as graph:
        for _ in range(REPEATS):
            queue()
    start, end = cuda.event(), cuda.event()

    def sample() -> float:
        cuda.record(start, stream)
        cuda.launch(graph, stream)
        cuda.record(end, stream)
        cuda.wait(stream)
        return cuda.elapsed_ms(start, end) / REPEATS

    samples = [sample() for _ in range(work.warm_up + work.samples)][work.warm_up :]
    return summary_from_samples(samples).to_dict()


def fps_of_threads(calls: Sequence[Call], work: Work) -> float:
    """Calls a second of all threads together, one thread a call, each `work.samples` times after a warm-up.

    From the first thread's start to the last one's end.
    """
    line = threading.Barrier(len(calls))

    def loop(call: Call) -> tuple[float, float]:
        try:
            for _ in range(work.warm_up):
                call()
            line.wait()
            began = time.perf_counter()
            for _ in range(work.samples):
                call()
        except BaseException:
            line.abort()  # the others do not wait for one that failed
            raise
        return began, time.perf_counter()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(loop, call) for call in calls]
    errors = [each for each in (future.exception() for future in futures) if each is not None]
    if errors:
        raise next((each for each in errors if not isinstance(each, threading.BrokenBarrierError)), errors[0])
    times = [future.result() for future in futures]
    return len(calls) * work.samples / (max(end for _, end in times) - min(began for began, _ in times))


def summaries(samples: Sequence[Mapping[str, float]]) -> dict[str, Figures]:
    """A summary a key of `samples`."""
    return {key: summary_from_samples([each[key] for each in samples]).to_dict() for key in samples[0]}
