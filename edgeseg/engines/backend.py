"""A model that is loaded and ready to run: the interface between edgeseg and the runtimes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.engines.request import FusedRunner
from edgeseg.errors import DataError, EdgeSegError, SizeError, UnavailableError, UnknownNameError
from edgeseg.predictions.decoder import Decoder
from edgeseg.spec import TensorSpec

Array = NDArray[Any]


class Backend(ABC):
    """One loaded model. The constructor loads it, and `close` frees its memory. It is a context manager.

    Any thread may use it, one at a time.
    """

    def __init__(self, name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self._wanted = tuple((spec.name, np.dtype(spec.dtype), spec.shape) for spec in inputs)
        self._closed = False

    def infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the model once: input name -> array in, output name -> array out.

        The arrays of `feed` are only read, and may be reused after the call. The results belong to the backend and are
        valid until its next call: copy them to keep them. On an asynchronous device they are ready after
        `synchronize()`.
        """
        if self._closed or len(feed) != len(self._wanted):
            raise self._feed_error(feed)
        for name, dtype, shape in self._wanted:
            array = feed.get(name)
            if array is None or array.dtype != dtype or (array.shape != shape and not fits(array.shape, shape)):
                raise self._feed_error(feed)
        return self._infer(feed)

    def fused(self, decoder: Decoder) -> FusedRunner | None:
        """A runner that resizes, infers and decodes on the device like `decoder`; None if this backend only infers."""
        return None

    def synchronize(self) -> None:  # noqa: B027 - a CPU is always done
        """Wait until the last call has finished."""

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    @abstractmethod
    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        """`infer` with a checked feed."""

    @abstractmethod
    def _close(self) -> None:
        """Free the runtime's objects; called once."""

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _feed_error(self, feed: Mapping[str, Array]) -> EdgeSegError:
        """Why `infer` does not accept `feed`."""
        if self._closed:
            return UnavailableError(f"{self.name} is closed", hint="open it again: edgeseg.open()", code="ES-CLOSED")
        missing, extra = first_difference(feed, [spec.name for spec in self.inputs])
        names = ", ".join(spec.name for spec in self.inputs)
        if missing or extra:
            message = f"the feed has no {missing}" if missing else f"{self.name} has no input {extra}"
            return UnknownNameError(message, hint=f"feed exactly: {names}")
        return next(problem for spec in self.inputs if (problem := array_error(self.name, spec, feed[spec.name])))


def first_difference(feed: Mapping[str, Array], names: list[str]) -> tuple[str, str]:
    """The first of `names` that is not in `feed`, and the first of `feed` that is not in `names`; "" for none."""
    missing = next((name for name in names if name not in feed), "")
    extra = next((name for name in feed if name not in names), "")
    return missing, extra


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether `shape` is `wanted`, in which -1 is any size."""
    return len(shape) == len(wanted) and all(want in (-1, side) for side, want in zip(shape, wanted))


def array_error(name: str, spec: TensorSpec, array: Array) -> EdgeSegError | None:
    """Why `array` cannot be the input `spec`; None if it can."""
    if array.dtype != np.dtype(spec.dtype):
        message = f"{name} takes {spec.name} as {spec.dtype}, not {array.dtype}"
        return DataError(message, hint=f"array.astype({spec.dtype!r}); a frame is 0..255 and not normalised")
    if not fits(array.shape, spec.shape):
        message = f"{name} takes {spec.name} of shape {spec.shape}, not {array.shape}"
        return SizeError(message, hint="resize the frame to the model's size: shapes are (N, H, W, 3)")
    return None
