"""Find the first layer that an engine computes wrongly, with Polygraphy's comparator.

Imported only for such a search: Polygraphy comes with `pip install edgeseg[debug]`.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from polygraphy.backend.base import BaseRunner
from polygraphy.backend.onnxrt import OnnxrtRunner
from polygraphy.common import TensorMetadata
from polygraphy.comparator import Comparator
from polygraphy.logger import G_LOGGER

from edgeseg.engines.agreement import all_finite
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.subgraphs import Names, Outputs, SubgraphComparator, reference_outputs, reference_session
from edgeseg.graph.truncate import data_flow

logger = logging.getLogger(__name__)

# A wrong layer deviates at least so many times more than its inputs: a concat on OpenVINO 7 times and more. Rounding
# alone adds about a third from layer to layer.
JUMP = 2.0
SHARES_OF_OUTPUT = (0.75, 1.5, 3.0)
VALUES_AT_ONCE = 1 << 25  # 128 MiB of float32


def first_divergent_tensor(comparator: SubgraphComparator, frame: Array) -> tuple[str, float]:
    """The first wrong tensor for `frame` (1, H, W, 3), given that an output is wrong, and the ratio of its deviation.

    Relative to what is allowed, the deviation of a wrong layer does not shrink on its way to an output. Rounding adds
    up, too, and may exceed what is allowed before that layer. So a tensor counts as wrong if it deviates about as much
    as the output, and as the first if it deviates much more than its inputs.
    """
    ratio = functools.cache(functools.partial(ratio_of, comparator, frame))
    flow, candidates = data_flow(comparator.model()), []
    last = max(flow.outputs, key=ratio)
    for share in SHARES_OF_OUTPUT:
        limit = share * ratio(last) if np.isfinite(ratio(last)) else 1.0
        name = first_divergent(flow.parents, last, lambda name: ratio(name) > limit)  # noqa: B023 - called at once
        candidates.append(name)
        if ratio(name) > JUMP * max(map(ratio, flow.parents[name]), default=0.0):
            return name, ratio(name)
    return candidates[0], ratio(candidates[0])


def ratio_of(comparator: SubgraphComparator, frame: Array, tensor: str) -> float:
    """The deviation of `tensor` divided by the allowed one, if the engine and the ONNX end in it."""
    names = (tensor,)
    subgraph = comparator.subgraph(names)
    reference = OnnxrtRunner(functools.partial(reference_session, subgraph), "reference")
    engine = EngineRunner("engine", functools.partial(comparator.open, names))

    def compare(want: Outputs, got: Outputs) -> Mapping[str, object]:
        return {tensor: comparator.compare([got], [want], names, frame)}

    return float(compare_runners(reference, engine, feed_from_frame(subgraph, frame), compare)[tensor].ratio)


def first_not_finite(comparator: SubgraphComparator, frame: Array) -> str:
    """The first tensor of the ONNX that contains NaN or infinity, given that an output does."""
    model = comparator.model()
    for names in portions(model, list(data_flow(model).parents)):
        outputs = next(reference_outputs(comparator.subgraph(names), frame))
        for name in names:
            if not all_finite([outputs[name]]):
                return name
    raise AssertionError("an output is not finite, but no tensor is")


def first_divergent(parents: Mapping[str, tuple[str, ...]], last: str, is_wrong: Callable[[str], bool]) -> str:
    """The tensor that is wrong although all tensors before it are right, given that `last` is wrong.

    parents: tensor -> its inputs, in the graph's order. Everything before a right tensor counts as right. Like git
    bisect, each step tests the tensor that rules out the most, whatever the answer.
    """
    before: dict[str, set[str]] = {}
    for name, sources in parents.items():
        before[name] = set(sources).union(*(before[source] for source in sources))
    first, suspects = last, before[last]
    while suspects:
        remaining = {name: len(before[name] & suspects) for name in before if name in suspects}
        tried = min(remaining, key=lambda name: max(remaining[name], len(suspects) - remaining[name] - 1))
        is_tried_wrong = is_wrong(tried)
        kind = "wrong" if is_tried_wrong else "right"
        logger.info("bisection: %s is %s (%d candidates)", tried, kind, len(suspects))
        if is_tried_wrong:
            first, suspects = tried, suspects & before[tried]
        else:
            suspects = suspects - before[tried] - {tried}
    return first


def portions(model: ir.Model, names: list[str]) -> Iterator[Names]:
    """`names` in portions of at most VALUES_AT_ONCE values, at least one tensor each."""
    data_flow(model)
    shapes = {value.name: value.shape for node in model.graph for value in node.outputs}
    portion: list[str] = []
    total = 0
    for name in names:
        size = math.prod(side for side in shapes[name] or () if isinstance(side, int))
        if portion and total + size > VALUES_AT_ONCE:
            yield tuple(portion)
            portion, total = [], 0
        portion.append(name)
        total += size
    if portion:
        yield tuple(portion)


class EngineRunner(BaseRunner):  # type: ignore[misc] # Polygraphy has no types
    """Polygraphy's runner of an engine. open_engine: opens it when the runner is activated."""

    def __init__(self, name: str, open_engine: Callable[[], Backend]) -> None:
        super().__init__(name=name)
        self.open_engine = open_engine

    def activate_impl(self) -> None:
        """Open the engine."""
        self.backend = self.open_engine()

    def get_input_metadata_impl(self) -> Any:
        """The inputs; a side that is not fixed is None."""
        metadata = TensorMetadata()
        for spec in self.backend.inputs:
            metadata.add(spec.name, np.dtype(spec.dtype), tuple(None if side < 0 else side for side in spec.shape))
        return metadata

    def infer_impl(self, feed_dict: Mapping[str, Array]) -> dict[str, Array]:
        """Copies of all outputs, by name."""
        began = time.perf_counter()
        outputs = self.backend.infer(feed_dict)
        self.backend.synchronize()
        outputs = {name: np.array(array) for name, array in outputs.items()}
        self.inference_time = time.perf_counter() - began
        return outputs

    def deactivate_impl(self) -> None:
        """Close the engine."""
        self.backend.close()
        del self.backend


def compare_runners(
    first: BaseRunner, second: BaseRunner, feed: Mapping[str, Array], compare: Callable[[Any, Any], Any]
) -> Mapping[str, Any]:
    """The results of Polygraphy's compare function `compare` for the outputs of two runners, by output."""
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL):  # it prints
        results = Comparator.run([first, second], [feed])
        (accuracy,) = Comparator.compare_accuracy(results, compare_func=compare)
    (result,) = accuracy[(first.name, second.name)]
    return result  # type: ignore[no-any-return]


def feed_from_frame(model: ir.Model, frame: Array) -> dict[str, Array]:
    """The feed of the one input of `model`. frame: (1, H, W, 3) uint8."""
    return {str(model.graph.inputs[0].name): np.ascontiguousarray(frame)}
