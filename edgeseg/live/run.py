"""Run the streams of a run file, with its outputs, observers and page."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from edgeseg.capture.state import StreamEvent
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.live.observers import Observer, close_observers, observer_from_uri
from edgeseg.live.output import UnopenedSink
from edgeseg.live.run_file import RunConfig, StreamEntry
from edgeseg.live.runner import LiveRunner
from edgeseg.live.stream import StreamConfig
from edgeseg.live.trigger import Trigger
from edgeseg.segmenter import Segmenter
from edgeseg.uri import redacted
from edgeseg.video.sink import FrameSink, check_places, open_sink, open_sinks
from edgeseg.video.source import FrameSource, SourceInfo, open_source


def open_sources(config: RunConfig, *, skip_errors: bool = False) -> list[FrameSource]:
    """The sources of all streams. A live one does not connect yet. skip_errors: of images that cannot be read."""
    sources = [open_source(entry.source, skip_errors=skip_errors) for entry in config.streams]
    for source in sources:
        if source.kind == "live":
            source.max_age_seconds = config.max_age
    return sources


def check_outputs(config: RunConfig, sources: Sequence[FrameSource], *, overwrite: bool) -> None:
    """The error of an output that cannot be opened, before a model is converted."""
    check_places(
        [
            sink
            for entry, source in zip(config.streams, sources)
            for sink in _opened(entry, source, overwrite, source.info)
        ]
    )


def _opened(entry: StreamEntry, source: FrameSource, overwrite: bool, info: SourceInfo) -> Sequence[FrameSink]:
    return open_sinks(list(entry.output), info, inputs=source.files(), overwrite=overwrite)


def _opened_each(entry: StreamEntry, source: FrameSource, overwrite: bool, info: SourceInfo) -> Sequence[FrameSink]:
    """The sinks of a running stream: one that does not open any more takes no other with it."""
    sinks: list[FrameSink] = []
    for uri in entry.output:
        try:
            sinks.append(open_sink(uri, info, inputs=source.files(), overwrite=overwrite))
        except (EdgeSegError, OSError) as problem:
            sinks.append(UnopenedSink(redacted(uri), problem))
    return sinks


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
        for uri in config.events:
            observers.append(observer_from_uri(uri))

        def observe(event: StreamEvent) -> None:
            for observer in observers:
                observer(event)
            if on_event is not None:
                on_event(event)

        streams = [
            StreamConfig(
                entry.name,
                source,
                partial(_opened_each, entry, source, overwrite),
                entry.weight,
                [Trigger(each, segmenter.spec.labels) for each in entry.triggers],
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
            try:
                server = importlib.import_module("edgeseg.live.page.server")
            except ImportError:
                message, hint = "the page needs more packages", 'pip install "edgeseg[web]"'
                raise UnavailableError(message, hint=hint, code="ES-MISSING-WEB") from None
            page = server.page_from_uri(config.page, runner)
            page.start()
            opened.callback(page.close)
            runner.page_url = page.login_url
        yield runner
