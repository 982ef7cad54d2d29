"""A model that is loaded and ready to run: the seam between edgeseg and the runtimes."""

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
    """One loaded model. Making one is loading it; closing it frees its memory. It is a context manager.

    May be made in one thread and used in another, by one thread at a time.
    """

    def __init__(self, name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self._wanted = tuple((spec.name, np.dtype(spec.dtype), spec.shape) for spec in inputs)
        self._closed = False

    def infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run the model once: input name -> array in, output name -> array out.

        The arrays of `feed` are only read, and may be reused after the call. Those that come back belong to the
        backend and are valid until its next call: copy what you keep. On a device that computes while Python goes on
        they are ready after `synchronize()`.
        """
        if self._closed or len(feed) != len(self._wanted):
            raise self._refusal(feed)
        for name, dtype, shape in self._wanted:
            array = feed.get(name)
            if array is None or array.dtype != dtype or (array.shape != shape and not fits(array.shape, shape)):
                raise self._refusal(feed)
        return self._infer(feed)

    def fused(self, decoder: Decoder) -> FusedRunner | None:
        """What resizes, infers and decodes on the device as `decoder` would; None where this backend only infers."""
        return None

    def synchronize(self) -> None:  # noqa: B027 - a CPU has nothing to wait for
        """Wait until the last call has finished."""

    def close(self) -> None:
        """Free the model. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._close()

    @abstractmethod
    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        """`infer` with a feed that has been checked."""

    @abstractmethod
    def _close(self) -> None:
        """Free what the runtime holds; called once."""

    def __enter__(self) -> Backend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refusal(self, feed: Mapping[str, Array]) -> EdgeSegError:
        """Why `infer` does not take `feed`."""
        if self._closed:
            return UnavailableError(f"{self.name} is closed", hint="open it again, or close it later")
        missing, extra = first_difference(feed, [spec.name for spec in self.inputs])
        names = ", ".join(spec.name for spec in self.inputs)
        if missing or extra:
            what = f"lacks its input {missing}" if missing else f"has no input {extra}"
            return UnknownNameError(f"{self.name} {what}", hint=f"feed exactly: {names}")
        return next(problem for spec in self.inputs if (problem := misfit(self.name, spec, feed[spec.name])))


def first_difference(feed: Mapping[str, Array], names: list[str]) -> tuple[str, str]:
    """The first name that `feed` lacks, and the first that it has too many; "" for none."""
    missing = next((name for name in names if name not in feed), "")
    extra = next((name for name in feed if name not in names), "")
    return missing, extra


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether `shape` is `wanted`, in which -1 stands for any size."""
    return len(shape) == len(wanted) and all(want in (-1, side) for side, want in zip(shape, wanted))


def misfit(name: str, spec: TensorSpec, array: Array) -> EdgeSegError | None:
    """What is wrong with `array` as the input `spec`."""
    if array.dtype != np.dtype(spec.dtype):
        message = f"{name} takes {spec.dtype} as {spec.name}, and got {array.dtype}"
        return DataError(message, hint=f"array.astype({spec.dtype!r}); a frame is 0..255 and not normalised")
    if not fits(array.shape, spec.shape):
        message = f"{name} takes {spec.name} of shape {spec.shape}, and got {array.shape}"
        return SizeError(message, hint="resize the frame to the model's size: shapes are (N, H, W, 3)")
    return None
