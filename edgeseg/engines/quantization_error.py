"""Find the first layer of an int8 ONNX whose quantisation error is too large, and its cause.

Imported only if an int8 engine changes too many labels: it needs Polygraphy, as divergence.py does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import onnx_ir as ir
from polygraphy.backend.onnxrt import OnnxrtRunner
from polygraphy.comparator import SnrCompareFunc

from edgeseg.artifact import LoadedModel
from edgeseg.engines.backend import Array
from edgeseg.engines.diagnose import Cause, FailingLayer, diagnose, node_label, pairs_before
from edgeseg.engines.divergence import compare_runners, feed_from_frame, portions
from edgeseg.engines.engine import Engine
from edgeseg.engines.subgraphs import reference_outputs, reference_session
from edgeseg.graph.truncate import bypass_pairs, data_flow, node_of, truncate_graph

# The least signal to quantisation noise: the noise is a third of the signal. Trained nets have 20 to 50 dB in every
# tensor.
LEAST_DB = 10.0


def quantization_error(engine: Engine, source: LoadedModel, reference: LoadedModel, frame: Array) -> Cause | None:
    """The first layer of `source` with too large an error for `frame` (1, H, W, 3), and the cause.

    None if `source` and `reference` share no tensor.
    """
    ratios = list(signal_to_noise(source, reference, frame))
    if not ratios:
        return None
    name, db = next((item for item in ratios if item[1] < LEAST_DB), min(ratios, key=lambda item: item[1]))
    node, exact = node_of(source.graph(), name), exact_model(source, reference)
    inputs = {str(pair.tensor.name) for value in node.inputs for pair in pairs_before(value)}
    tensors = [each for each in data_flow(exact).parents if each == name or each in inputs]
    values = next(reference_outputs(truncate_graph(exact, tensors), frame))
    cause = diagnose(FailingLayer(engine, source, node, values[name], reference, values))
    return Cause(
        f"{node_label(node)} is the first layer with a low signal to noise, {db:.0f} dB: {cause.sentence}", cause.hint
    )


def signal_to_noise(source: LoadedModel, reference: LoadedModel, frame: Array) -> Iterator[tuple[str, float]]:
    """The tensors that `source` and `reference` share, in order, each with its signal to quantisation noise in dB."""
    rounded, exact = shapes_of(source.graph()), shapes_of(exact_model(source, reference))
    # a lowered graph may have transposed its tokens
    shared = [name for name, shape in rounded.items() if shape is not None and exact.get(name) == shape]
    for names in portions(exact_model(source, reference), shared):
        ours, theirs = truncate_graph(source.graph(), names), truncate_graph(exact_model(source, reference), names)
        float_runner, int8_runner = (OnnxrtRunner(partial(reference_session, graph)) for graph in (theirs, ours))
        compare = SnrCompareFunc(snr_threshold=LEAST_DB)
        results = compare_runners(float_runner, int8_runner, feed_from_frame(theirs, frame), compare)
        yield from ((name, float(results[name].snr)) for name in names)


def shapes_of(model: ir.Model) -> dict[str, ir.Shape | None]:
    """Name -> shape of the float tensors of `model`, in the graph's order."""
    names = data_flow(model).parents
    values = {str(value.name): value.shape for node in model.graph for value in node.outputs}
    return {name: values[name] for name in names}


def exact_model(source: LoadedModel, reference: LoadedModel) -> ir.Model:
    """The graph to compare the tensors of `source` with: `reference`, or `source` without rounding of activations.

    The latter if channels were equalised: they have another scale than those of the float model.
    """
    ranges = source.provenance.ranges
    return bypass_pairs(source.graph()) if ranges and "equalize" in ranges.corrections else reference.graph()
