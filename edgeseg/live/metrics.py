"""Prometheus metrics of a running stream, in a registry of their own.

    edgeseg_stream_fps                   gauge      stream          frames that arrived per second
    edgeseg_process_fps                  gauge      stream          results per second
    edgeseg_frames_total                 counter    stream          results
    edgeseg_skipped_total                counter    stream, reason  frames without a result: "replaced" or "too_old"
    edgeseg_stale_total                  counter    stream          repetitions of the last result of a silent source
    edgeseg_unwritten_total              counter    stream          results that a slow sink did not get
    edgeseg_reconnects_total             counter    stream          attempts to connect after a loss
    edgeseg_stalls_total                 counter    stream          times that the source was silent for too long
    edgeseg_frame_age_seconds            gauge      stream          of the newest result, from capture to now
    edgeseg_stage_seconds                gauge      stream, stage   median of the last results
    edgeseg_engine_seconds               histogram  stream          time of the engine for one result
    edgeseg_class_share                  gauge      stream, class   share of the pixels of the newest mask
    edgeseg_stream_state                 gauge      stream, state   1 for the state of the stream, else 0
    edgeseg_engine_info                  gauge      engine          1
    edgeseg_device_temperature_celsius   gauge      sensor          where the system reports it

A value that is not known yet is absent. Memory, processor time and descriptors of the process are those of
prometheus-client (`process_*`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgeseg.capture.state import StreamState
from edgeseg.live.status import LiveView, StreamStatus
from edgeseg.measure.temperature import temperatures

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class LiveMetrics:
    """The metrics of a `LiveView`. It is the only caller of its `engine_seconds`."""

    def __init__(self, view: LiveView) -> None:
        self.registry = CollectorRegistry()
        self._view = view
        self._lock = threading.Lock()
        self._results = 0
        self._engine = Histogram(
            "edgeseg_engine_seconds", "Time of the engine for one result", ["stream"], buckets=BUCKETS, registry=None
        )
        self.registry.register(_StatusCollector(self))
        ProcessCollector(registry=self.registry)

    def observe(self) -> int:
        """Move the engine times that are new since the last call into the histogram; returns the number of all."""
        with self._lock:
            for stream, seconds in self._view.engine_seconds():
                self._engine.labels(stream).observe(seconds)
                self._results += 1
            return self._results

    def collect(self) -> Iterator[Metric]:
        """All metrics but those of the process."""
        self.observe()
        yield from self._engine.collect()
        statuses = self._view.statuses()
        yield from _counters(statuses)
        yield from _gauges(statuses)
        yield _gauge("edgeseg_engine_info", "The engine", ["engine"], [([self._view.engine], 1.0)])
        sensors = [([sensor], celsius) for sensor, celsius in temperatures().items()]
        yield _gauge("edgeseg_device_temperature_celsius", "Temperature of the device", ["sensor"], sensors)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The text for Prometheus and its content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _StatusCollector(Collector):
    """Registers the metrics without collecting them: the view may not be ready."""

    def __init__(self, metrics: LiveMetrics) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


Values = Sequence[tuple[Sequence[str], float]]  # label values and the value


def _counters(statuses: Sequence[StreamStatus]) -> Iterator[Metric]:
    for name, text, values in (
        ("edgeseg_frames", "Results", [([s.name], s.frames) for s in statuses]),
        ("edgeseg_stale", "Repetitions of the last result of a silent source", [([s.name], s.stale) for s in statuses]),
        ("edgeseg_unwritten", "Results that a slow sink did not get", [([s.name], s.unwritten) for s in statuses]),
        ("edgeseg_reconnects", "Attempts to connect after a loss", [([s.name], s.reconnects) for s in statuses]),
        ("edgeseg_stalls", "Times that the source was silent for too long", [([s.name], s.stalls) for s in statuses]),
    ):
        yield _counter(name, text, ["stream"], values)
    skipped = [([s.name, "replaced"], s.dropped) for s in statuses]
    skipped += [([s.name, "too_old"], s.too_old) for s in statuses]
    yield _counter("edgeseg_skipped", "Frames without a result", ["stream", "reason"], skipped)


def _gauges(statuses: Sequence[StreamStatus]) -> Iterator[Metric]:
    rates = [([s.name], s.source_fps) for s in statuses]
    yield _gauge("edgeseg_stream_fps", "Frames that arrived per second", ["stream"], rates)
    rates = [([s.name], s.fps) for s in statuses]
    yield _gauge("edgeseg_process_fps", "Results per second", ["stream"], rates)
    ages = [([s.name], s.age_seconds) for s in statuses if s.age_seconds is not None]
    yield _gauge("edgeseg_frame_age_seconds", "Age of the newest result", ["stream"], ages)
    stages = [([s.name, stage], ms / 1000) for s in statuses for stage, ms in s.milliseconds.items()]
    yield _gauge("edgeseg_stage_seconds", "Median time of a stage", ["stream", "stage"], stages)
    shares = [([s.name, name], share) for s in statuses for name, share in s.shares.items()]
    yield _gauge("edgeseg_class_share", "Share of the pixels of the newest mask", ["stream", "class"], shares)
    states = [([s.name, state.value], float(s.state is state)) for s in statuses for state in StreamState]
    yield _gauge("edgeseg_stream_state", "1 for the state of the stream", ["stream", "state"], states)


def _counter(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family
