"""Which layer is the first that computes something else: a search that rests on Polygraphy's Comparator.

Imported only where a deviation is searched: Polygraphy is there with `pip install edgeseg[debug]`.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from edgeseg.engines.agreement import all_finite
from edgeseg.engines.backend import Array
from edgeseg.engines.runners import EngineRunner, ReferenceRunner, compared, feeds_from_frames, outputs_of
from edgeseg.engines.subgraphs import Names, Outputs, SubgraphComparator
from edgeseg.graph.truncate import data_flow

logger = logging.getLogger(__name__)

# How many times farther off the wrong layer is than what it reads: 7 times and more were seen for a concat on OpenVINO.
# Rounding alone adds about a third from layer to layer.
JUMP = 2.0
SHARES_OF_OUTPUT = (0.75, 1.5, 3.0)
VALUES_AT_ONCE = 1 << 25  # 128 MiB of float32


def first_divergent_tensor(comparator: SubgraphComparator, frame: Array) -> tuple[str, float]:
    """The first tensor that is off on `frame` (1, H, W, 3), where an output is known to be, and its ratio.

    What a wrong layer does grows no smaller, measured by what is allowed, on its way to an output; rounding adds up as
    well, and may pass what is allowed before that layer. So a tensor counts as off where it is about as far off as the
    output, and as found where it is much farther off than what it is computed from.
    """
    ratio = functools.cache(functools.partial(ratio_of, comparator, frame))
    flow, found = data_flow(comparator.model()), []
    last = max(flow.outputs, key=ratio)
    for share in SHARES_OF_OUTPUT:
        limit = share * ratio(last) if np.isfinite(ratio(last)) else 1.0
        found.append(first_divergent(flow.parents, last, lambda name: ratio(name) > limit))  # noqa: B023 - called at once
        if ratio(found[-1]) > JUMP * max(map(ratio, flow.parents[found[-1]]), default=0.0):
            return found[-1], ratio(found[-1])
    return found[0], ratio(found[0])


def ratio_of(comparator: SubgraphComparator, frame: Array, tensor: str) -> float:
    """How many times what is allowed the engine is off in `tensor`, where both it and the ONNX end in that."""
    names = (tensor,)
    subgraph = comparator.subgraph(names)
    reference = ReferenceRunner("reference", subgraph)
    engine = EngineRunner("engine", functools.partial(comparator.open, names))

    def compare(want: Outputs, got: Outputs) -> Mapping[str, object]:
        return {tensor: comparator.compare([got], [want], names, frame)}

    (found,) = compared(reference, engine, feeds_from_frames(subgraph, frame), compare)
    return float(found[tensor].ratio)


def first_not_finite(comparator: SubgraphComparator, frame: Array) -> str:
    """The first tensor that holds NaN or infinity as the ONNX is written, where an output is known to."""
    model = comparator.model()
    for names in portions(model, list(data_flow(model).parents)):
        marked = comparator.subgraph(names)
        (outputs,) = outputs_of(ReferenceRunner("reference", marked), feeds_from_frames(marked, frame))
        for name in names:
            if not all_finite([outputs[name]]):
                return name
    raise AssertionError("an output that is not finite is a tensor that is not finite")


def first_divergent(parents: Mapping[str, tuple[str, ...]], last: str, is_off: Callable[[str], bool]) -> str:
    """The tensor that is off while all it is computed from is right, where `last` is known to be off.

    parents: tensor -> those that it is computed from, in the graph's order. What comes before a right tensor counts as
    right. As few as can be are asked: each time the one that rules out most whatever the answer, as git bisect does.
    """
    before: dict[str, set[str]] = {}
    for name, sources in parents.items():
        before[name] = set(sources).union(*(before[source] for source in sources))
    found, suspects = last, before[last]
    while suspects:
        left = {name: len(before[name] & suspects) for name in before if name in suspects}
        tried = min(left, key=lambda name: max(left[name], len(suspects) - left[name] - 1))
        off = is_off(tried)
        logger.info("bisection: %s is %s (one of %d tensors)", tried, "off" if off else "right", len(suspects))
        found = tried if off else found
        suspects = suspects & before[tried] if off else suspects - before[tried] - {tried}
    return found


def portions(model: ir.Model, names: list[str]) -> Iterator[Names]:
    """`names` in portions of at most VALUES_AT_ONCE values, or of one tensor."""
    data_flow(model)
    shapes = {value.name: value.shape for node in model.graph for value in node.outputs}
    some: list[str] = []
    total = 0
    for name in names:
        size = math.prod(side for side in shapes[name] or () if isinstance(side, int))
        if some and total + size > VALUES_AT_ONCE:
            yield tuple(some)
            some, total = [], 0
        some.append(name)
        total += size
    if some:
        yield tuple(some)
