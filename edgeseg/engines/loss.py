"""Which layer of an int8 ONNX is the first that quantising lost, and why: both files are run as they are written."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import onnx_ir as ir

from edgeseg.artifact import LoadedModel
from edgeseg.engines.agreement import signal_to_noise_db
from edgeseg.engines.backend import Array
from edgeseg.engines.causes import Cause, Suspect, cause_in_quantising, named, pairs_before
from edgeseg.engines.engine import Engine
from edgeseg.engines.plain import plain_outputs
from edgeseg.graph.cut import bypass_pairs, cut_graph, flow_of

# Signal to quantisation noise below which a tensor counts as lost: the noise is a third of the signal. Trained nets
# have 20 to 50 dB in every tensor.
LOST_DB = 10.0
VALUES_AT_ONCE = 1 << 25  # 128 MiB of float32


def loss_explained(engine: Engine, source: LoadedModel, reference: LoadedModel, frame: Array) -> Cause | None:
    """The first lost layer of `source` on `frame` (1, H, W, 3), as a sentence that names it; None for other graphs."""
    rounded, exact = source.graph, functools.partial(exact_model, source, reference)
    known = flow_of(exact()).parents
    names = [name for name in flow_of(rounded()).parents if name in known]
    found = [
        (name, signal_to_noise_db([ours], [theirs]))
        for name, ours, theirs in values_of_both(rounded, exact, names, frame)
        if ours.shape == theirs.shape  # a lowered graph may have turned its tokens
    ]
    if not found:
        return None
    name, db = next((item for item in found if item[1] < LOST_DB), min(found, key=lambda item: item[1]))
    node = node_of(rounded(), name)
    inputs = {str(pair.tensor.name) for value in node.inputs for pair in pairs_before(value)}
    values = next(plain_outputs(cut_graph(exact(), [each for each in known if each == name or each in inputs]), frame))
    cause = cause_in_quantising(Suspect(engine, source, node, values[name], reference, values))
    return Cause(f"{named(node)} is the first with {db:.0f} dB of signal to noise: {cause.sentence}", cause.hint)


def exact_model(source: LoadedModel, reference: LoadedModel) -> ir.Model:
    """The graph whose tensors those of `source` are held against: `reference`, or itself with no activation rounded.

    Itself where channels were equalised: they have another scale than those of the float model.
    """
    ranges = source.provenance.ranges
    return bypass_pairs(source.graph()) if ranges and "equalize" in ranges.corrections else reference.graph()


def node_of(model: ir.Model, tensor: str) -> ir.Node:
    """The node that computes `tensor`."""
    return next(node for node in model.graph if any(value.name == tensor for value in node.outputs))


def values_of_both(
    rounded: Callable[[], ir.Model], exact: Callable[[], ir.Model], names: list[str], frame: Array
) -> Iterator[tuple[str, Array, Array]]:
    """Name, values in `rounded`, values in `exact`, in the order of `names`; as many at once as memory allows."""
    for some in portions(exact(), names):
        ours, theirs = (next(plain_outputs(cut_graph(make(), some), frame)) for make in (rounded, exact))
        yield from ((name, ours[name], theirs[name]) for name in some)


def portions(model: ir.Model, names: list[str]) -> Iterator[list[str]]:
    """`names` in portions of at most VALUES_AT_ONCE values, or of one tensor."""
    flow_of(model)
    shapes = {value.name: value.shape for node in model.graph for value in node.outputs}
    some: list[str] = []
    total = 0
    for name in names:
        size = math.prod(side for side in shapes[name] or () if isinstance(side, int))
        if some and total + size > VALUES_AT_ONCE:
            yield some
            some, total = [], 0
        some.append(name)
        total += size
    if some:
        yield some
