"""Polygraphy's runners over an ONNX as it is written, and over an engine that edgeseg opened.

Imported only where a deviation is searched: Polygraphy is there with `pip install edgeseg[debug]`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from polygraphy.backend.base import BaseRunner
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator
from polygraphy.logger import G_LOGGER

from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.onnxruntime import specs_of
from edgeseg.sessions import open_session
from edgeseg.spec import TensorSpec

CompareFunc = Callable[[Any, Any], Any]  # compare function of Polygraphy: (result of the first, of the second)


class ReferenceRunner(BaseRunner):  # type: ignore[misc] # Polygraphy has no types
    """An ONNX computed as it is written: ONNX Runtime with every optimisation off."""

    def __init__(self, name: str, model: ir.Model) -> None:
        super().__init__(name=name)
        self.model = model

    def activate_impl(self) -> None:
        """Open the session."""
        self.session = open_session(ir.to_proto(self.model).SerializeToString(), "none")

    def get_input_metadata_impl(self) -> Any:
        """The inputs."""
        return metadata_from_specs(specs_of(self.session.get_inputs()))

    def infer_impl(self, feed_dict: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs, by name."""
        begun = time.perf_counter()
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, dict(feed_dict))))
        self.inference_time = time.perf_counter() - begun
        return outputs

    def deactivate_impl(self) -> None:
        """Drop the session."""
        del self.session


class EngineRunner(BaseRunner):  # type: ignore[misc] # Polygraphy has no types
    """An engine. opened: opens it, as `functools.partial(engine.open, artifact)` does."""

    def __init__(self, name: str, opened: Callable[[], Backend]) -> None:
        super().__init__(name=name)
        self.opened = opened

    def activate_impl(self) -> None:
        """Open the engine."""
        self.backend = self.opened()

    def get_input_metadata_impl(self) -> Any:
        """The inputs."""
        return metadata_from_specs(self.backend.inputs)

    def infer_impl(self, feed_dict: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs, by name, to keep."""
        begun = time.perf_counter()
        outputs = self.backend.infer(feed_dict)
        self.backend.synchronize()
        outputs = {name: np.array(array) for name, array in outputs.items()}
        self.inference_time = time.perf_counter() - begun
        return outputs

    def deactivate_impl(self) -> None:
        """Close the engine."""
        self.backend.close()
        del self.backend


def metadata_from_specs(specs: Iterable[TensorSpec]) -> Any:
    """Inputs as Polygraphy describes them: a side that is not fixed is None."""
    metadata = TensorMetadata()
    for spec in specs:
        metadata.add(spec.name, np.dtype(spec.dtype), tuple(None if side < 0 else side for side in spec.shape))
    return metadata


def compared(
    first: BaseRunner, second: BaseRunner, feeds: Sequence[Mapping[str, Array]], compare: CompareFunc
) -> list[Mapping[str, Any]]:
    """What `compare` says of the outputs of two runners: for each of `feeds`, output name -> result."""
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):  # it prints
        results = Comparator.run([first, second], feeds)
        (accuracy,) = Comparator.compare_accuracy(results, compare_func=compare)
    return list(accuracy[(first.name, second.name)])


def outputs_of(runner: BaseRunner, feeds: Sequence[Mapping[str, Array]]) -> list[Mapping[str, Array]]:
    """All outputs of one runner, for each of `feeds`."""
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
        results = Comparator.run([runner], feeds)
    return list(results[runner.name])


def feeds_from_frames(model: ir.Model, frames: Array) -> list[Mapping[str, Array]]:
    """What the one input of `model` is fed, frame by frame. frames: (N, H, W, 3) uint8."""
    return [{str(model.graph.inputs[0].name): np.ascontiguousarray(frame[None])} for frame in frames]
