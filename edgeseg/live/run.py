"""Run the streams of a run file, with its outputs, observers and page."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from edgeseg.capture.state import StreamEvent
from edgeseg.engines.triton.address import is_address
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.live.observers import Observer, close_observers, factory_from_uri, observer_from_uri
from edgeseg.live.output import UnopenedSink
from edgeseg.live.run_file import RunConfig, StreamEntry
from edgeseg.live.runner import LiveRunner
from edgeseg.live.stream import StreamConfig
from edgeseg.live.trigger import Trigger
from edgeseg.segmenter import Segmenter
from edgeseg.spec import LabelSet
from edgeseg.uri import redacted
from edgeseg.video.sink import FrameSink, check_places, open_sink, open_sinks
from edgeseg.video.source import FrameSource, SourceInfo, open_source
from edgeseg.weights import is_model, weights_path
from edgeseg.weights.checkpoint import is_own
from edgeseg.weights.file import spec_from_weights


def open_sources(config: RunConfig, *, skip_errors: bool = False) -> list[FrameSource]:
    """The sources of all streams. A live one does not connect yet. skip_errors: of images that cannot be read."""
    sources: list[FrameSource] = []
    for entry in config.streams:
        with config.at(entry.table, "source"):
            sources.append(open_source(entry.source, skip_errors=skip_errors))
        if sources[-1].kind == "live":
            sources[-1].max_age_seconds = config.max_age
    return sources


def check_run(config: RunConfig, sources: Sequence[FrameSource], *, overwrite: bool) -> None:
    """Raise the error of an output, observer, page or trigger of the run, before a model is converted."""
    sinks: list[FrameSink] = []
    for entry, source in zip(config.streams, sources):
        with config.at(entry.table, "output"):
            sinks += open_sinks(list(entry.output), source.info, inputs=source.files(), overwrite=overwrite)
    check_places(sinks)
    with config.at("", "events"):
        for uri in config.events:
            factory_from_uri(uri)
    if config.page is not None:
        with config.at("", "page"):
            _page_server().page_from_uri(config.page, None)  # which is not started
    if any(entry.triggers for entry in config.streams) and (labels := _labels_of_weights(config.model)) is not None:
        for entry in config.streams:
            _triggers(config, entry, labels)


def _labels_of_weights(model: str) -> LabelSet | None:
    """The classes of weights that edgeseg wrote; None of any other model: it is opened before its classes are known."""
    if is_address(model) or not is_model(model):
        return None
    path = weights_path(model)
    return spec_from_weights(path).labels if is_own(path) else None


def _page_server() -> Any:
    """The module of the page. UnavailableError (ES-MISSING-WEB) where its packages are not installed."""
    try:
        return importlib.import_module("edgeseg.live.page.server")
    except ImportError:
        message, hint = "the page needs more packages", 'pip install "edgeseg[web]"'
        raise UnavailableError(message, hint=hint, code="ES-MISSING-WEB") from None


def _opened(entry: StreamEntry, source: FrameSource, overwrite: bool, info: SourceInfo) -> Sequence[FrameSink]:
    """The sinks of a running stream: one that does not open any more takes no other with it."""
    sinks: list[FrameSink] = []
    for uri in entry.output:
        try:
            sinks.append(open_sink(uri, info, inputs=source.files(), overwrite=overwrite))
        except (EdgeSegError, OSError) as problem:
            sinks.append(UnopenedSink(redacted(uri), problem))
    return sinks


def _triggers(config: RunConfig, entry: StreamEntry, labels: LabelSet) -> list[Trigger]:
    with config.at(entry.table, "triggers"):
        return [Trigger(each, labels) for each in entry.triggers]


@contextlib.contextmanager
def opened_runner(
    config: RunConfig,
    sources: Sequence[FrameSource],
    segmenter: Segmenter,
    *,
    frames: int | None = None,
    overwrite: bool = False,
    on_event: Callable[[StreamEvent], None] | None = None,
    stop: threading.Event | None = None,
) -> Iterator[LiveRunner]:
    """The runner of a run; its observers and its page live as long as the block."""
    with contextlib.ExitStack() as opened:
        observers: list[Observer] = []
        opened.callback(close_observers, observers)
        with config.at("", "events"):
            for uri in config.events:
                observers.append(observer_from_uri(uri))  # one by one: those before one that fails are closed

        def observe(event: StreamEvent) -> None:
            for observer in observers:
                observer(event)
            if on_event is not None:
                on_event(event)

        streams = [
            StreamConfig(
                entry.name,
                source,
                partial(_opened, entry, source, overwrite),
                entry.weight,
                _triggers(config, entry, segmenter.spec.labels),
            )
            for entry, source in zip(config.streams, sources)
        ]
        runner = LiveRunner(
            streams,
            segmenter,
            frames=frames,
            opacity=config.opacity,
            legend=config.legend,
            on_event=observe,
            stop=stop,
            ends_with_sinks=config.page is None,
        )
        if config.page is not None:
            with config.at("", "page"):
                page = _page_server().page_from_uri(config.page, runner)
                page.start()
            opened.callback(page.close)
            runner.page_url = page.login_url
        yield runner
