"""One network under calibration: it runs on pictures and keeps what its tensors held."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.artifact import Onnx, load_onnx
from edgeseg.calib.pictures import Pictures, Rgb
from edgeseg.calib.range import RangeTable, TensorStats
from edgeseg.calib.tensor_statistics import TensorStatistics
from edgeseg.calib.warnings import constant_logits
from edgeseg.errors import DataError, FormatError
from edgeseg.graph.core import Core, constant, core_from_model
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.graph.probe import probe_activations
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.sessions import open_session

KNOWN_DOMAINS = {"", "ai.onnx", "com.microsoft"}
Found = list[list[NDArray[np.float32]]]
EXPORT_A_GOOD_ONE = "the weights are damaged or the training diverged: export a good checkpoint"


class Calibration:
    """The float deploy graph `onnx`, and what every tensor of its core held so far."""

    def __init__(self, onnx: Onnx) -> None:
        source = load_onnx(onnx)
        model = source.graph()
        self.pictures = Pictures(source.spec)
        check_operators(model, source.path.name)
        core = core_from_model(model)
        check_network(core, source.path.name)
        self.ids, self.graph_id = tensor_ids(model), graph_id(model)
        logits = {str(value.name) for value in core.outputs}
        self.probes = probe_activations(model)
        self.session = probed_session(model)
        self.seen = [TensorStatistics() for _ in self.probes]
        self.logits = [index for index, probe in enumerate(self.probes) if probe.tensor in logits]
        self.asked: set[int] = set()
        self.answered: set[int] = set()

    def run(self, rgb: Rgb) -> Found:
        """What each probe tells of `rgb`. DataError where a tensor is not finite. Nothing is kept yet."""
        self.pictures.check(rgb)
        names = [name for probe in self.probes for name in probe.outputs]
        values = iter(self.session.run(names, {self.session.get_inputs()[0].name: rgb[None]}))
        found = [list(islice(values, len(probe.outputs))) for probe in self.probes]
        for probe, parts in zip(self.probes, found):
            if not all(np.isfinite(part).all() for part in parts):
                message = f"tensor {probe.tensor} holds NaN or infinity on image {self.pictures.images}"
                raise DataError(message, hint=EXPORT_A_GOOD_ONE)
        return found

    def add(self, rgb: Rgb, found: Found) -> None:
        """Keep what was found on `rgb`."""
        self.pictures.add(rgb)
        for seen, parts in zip(self.seen, found):
            seen.add(*parts)
        samples = [parts[-1].tobytes() for parts in found]
        self.asked.add(hash(samples[0]))
        self.answered.add(hash(b"".join(samples[index] for index in self.logits)))

    def table(self) -> RangeTable:
        """The range table of what was seen so far."""
        rows: dict[str, TensorStats] = {}
        for probe, seen in zip(self.probes, self.seen):
            row, known = seen.stats(probe.tensor), rows.get(self.ids[probe.tensor])
            if known is None or known.channels is None:  # tensors that are computed alike share a row
                rows[self.ids[probe.tensor]] = row
        pictures = self.pictures
        return RangeTable(self.graph_id, pictures.spec.name, pictures.images, pictures.sha256, rows)

    def fits(self, table: RangeTable) -> bool:
        """Whether `table` is of this network and tells all that a table of today does."""
        rows = [(probe, table.tensors.get(self.ids[probe.tensor])) for probe in self.probes]
        return table.graph_id == self.graph_id and all(
            row is not None and row.average_minimum is not None and (row.channels is not None or not probe.by_channel)
            for probe, row in rows
        )

    def go_on(self, table: RangeTable) -> None:
        """Take up what `table`, which `fits`, has seen; `pictures` has read its pictures already."""
        for index, probe in enumerate(self.probes):
            row = table.tensors[self.ids[probe.tensor]]
            self.seen[index] = TensorStatistics.from_stats(row, table.images, by_channel=probe.by_channel)

    def caveats(self) -> list[Diagnostic]:
        """What is doubtful about the pictures, and about the answers that were given since the start or `go_on`."""
        return self.pictures.caveats() + constant_logits(len(self.answered), len(self.asked))


def check_operators(model: ir.Model, name: str) -> None:
    """Raise FormatError where an operator is neither of ONNX nor of ONNX Runtime."""
    for node in model.graph:
        if node.domain not in KNOWN_DOMAINS:
            message = f"node {node.name or node.outputs[0].name} of {name} is a {node.domain}.{node.op_type}"
            raise FormatError(
                f"{message}, which is no operator of ONNX", hint="export the network with standard ONNX operators"
            )


def check_network(core: Core, name: str) -> None:
    """Raise FormatError where an output does not depend on the picture, DataError where a weight is NaN."""
    computed = {core.input, *(value for node in core.nodes for value in node.outputs)}
    for output in core.outputs:
        if output not in computed:
            message = f"output {output.name} of {name} is a constant: it does not depend on the picture"
            raise FormatError(message, hint="export the network again, with its input wired to its output")
    for value in dict.fromkeys(value for node in core.nodes for value in node.inputs):
        array = constant(value)
        if value is not None and array is not None and array.dtype.kind == "f" and np.isnan(array).any():
            raise DataError(f"weight {value.name} of {name} holds NaN", hint=EXPORT_A_GOOD_ONE)


def probed_session(model: ir.Model) -> Any:
    """A session of `model` on all cores that keeps no tensor longer than it must.

    It does not change the layout of convolutions, as it would at its highest level: each probe would then wait for a
    copy in the usual layout, and BiSeNetV2 at 2048x1024 take 1.5 GB in place of 0.6.
    """
    data = ir.to_proto(model).SerializeToString()
    return open_session(data, "extended", threads=os.cpu_count() or 1, frees_early=True)
