"""TensorRT's log: collected for the layer dump and for errors, and passed on to Python's logging."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Log:
    """The messages of one TensorRT builder or runtime. sink: the logger that TensorRT gets.

    is_interrupted: Ctrl-C came during a callback of TensorRT.
    """

    def __init__(self, trt: Any) -> None:
        self.messages: list[str] = []
        self.errors: list[str] = []
        self.is_interrupted = False
        self.sink = sink_for(trt, self)

    def add(self, severity: int, message: str) -> None:
        """Called by TensorRT, from any thread. severity: 0 internal error, 1 error, 2 warning, 3 info, 4 verbose."""
        self.messages.append(message)
        if severity <= 1:
            self.errors.append(message)
        logger.log((logging.DEBUG, logging.INFO)[severity == 2], "%s", message)

    def safely(self, call: Callable[..., None], *args: Any) -> None:
        """Call from a callback, whose exceptions the bindings drop: Ctrl-C is noted, any other is only logged."""
        try:
            call(*args)
        except KeyboardInterrupt:
            self.is_interrupted = True
        except Exception:
            logger.debug("a callback of TensorRT failed", exc_info=True)


def sink_for(trt: Any, log: Log) -> Any:
    """A logger of TensorRT's class that passes every message to `log`."""

    class Sink(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.safely(log.add, int(severity), message)

    return Sink()
