"""Which layer of an int8 ONNX is the first that quantising lost, and why: both files are run as they are written.

Imported only where too many labels were lost: it rests on Polygraphy, as engines/divergence.py does.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from polygraphy.comparator import SnrCompareFunc

from edgeseg.artifact import LoadedModel
from edgeseg.engines.backend import Array
from edgeseg.engines.diagnose import Cause, FailingLayer, diagnose, named, pairs_before
from edgeseg.engines.divergence import portions
from edgeseg.engines.engine import Engine
from edgeseg.engines.reference import plain_outputs
from edgeseg.engines.runners import ReferenceRunner, compared, feeds_from_frames
from edgeseg.graph.truncate import bypass_pairs, data_flow, node_of, truncate_graph

# Signal to quantisation noise below which a tensor counts as lost: the noise is a third of the signal. Trained nets
# have 20 to 50 dB in every tensor.
LOST_DB = 10.0


def loss_explained(engine: Engine, source: LoadedModel, reference: LoadedModel, frame: Array) -> Cause | None:
    """The first lost layer of `source` on `frame` (1, H, W, 3), as a sentence that names it; None for other graphs."""
    found = list(signal_to_noise(source, reference, frame))
    if not found:
        return None
    name, db = next((item for item in found if item[1] < LOST_DB), min(found, key=lambda item: item[1]))
    node, exact = node_of(source.graph(), name), exact_model(source, reference)
    inputs = {str(pair.tensor.name) for value in node.inputs for pair in pairs_before(value)}
    known = [each for each in data_flow(exact).parents if each == name or each in inputs]
    values = next(plain_outputs(truncate_graph(exact, known), frame))
    cause = diagnose(FailingLayer(engine, source, node, values[name], reference, values))
    return Cause(f"{named(node)} is the first with {db:.0f} dB of signal to noise: {cause.sentence}", cause.hint)


def signal_to_noise(source: LoadedModel, reference: LoadedModel, frame: Array) -> Iterator[tuple[str, float]]:
    """The tensors that `source` and `reference` share, in their order, and the dB of signal to noise in each."""
    rounded, exact = shapes_of(source.graph()), shapes_of(exact_model(source, reference))
    # a lowered graph may have turned its tokens
    shared = [name for name, shape in rounded.items() if shape is not None and exact.get(name) == shape]
    for names in portions(exact_model(source, reference), shared):
        ours, theirs = truncate_graph(source.graph(), names), truncate_graph(exact_model(source, reference), names)
        (results,) = compared(
            ReferenceRunner("float", theirs),
            ReferenceRunner("int8", ours),
            feeds_from_frames(theirs, frame),
            SnrCompareFunc(snr_threshold=LOST_DB),
        )
        yield from ((name, float(results[name].snr)) for name in names)


def shapes_of(model: ir.Model) -> dict[str, ir.Shape | None]:
    """Name -> shape of the float tensors of `model`, in the graph's order."""
    names = data_flow(model).parents
    values = {str(value.name): value.shape for node in model.graph for value in node.outputs}
    return {name: values[name] for name in names}


def exact_model(source: LoadedModel, reference: LoadedModel) -> ir.Model:
    """The graph whose tensors those of `source` are held against: `reference`, or itself with no activation rounded.

    Itself where channels were equalised: they have another scale than those of the float model.
    """
    ranges = source.provenance.ranges
    return bypass_pairs(source.graph()) if ranges and "equalize" in ranges.corrections else reference.graph()
