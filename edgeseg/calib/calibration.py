"""A network under calibration: it runs on images and collects the statistics of every float tensor."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.artifact import Onnx, load_onnx
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.images import Rgb
from edgeseg.calib.observers import Extremes
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.calib.warnings import constant_logits, few_images, uniform_images
from edgeseg.errors import DataError, FormatError, SizeError
from edgeseg.graph.core import Core, constant, core_from_model
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.graph.probe import probe_activations
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.sessions import open_session
from edgeseg.spec import ModelSpec

KNOWN_DOMAINS = {"", "ai.onnx", "com.microsoft"}
ProbeOutputs = list[list[NDArray[np.float32]]]
EXPORT_AGAIN = "the weights are damaged or the training diverged: export a good checkpoint"


class ImageRecord:
    """The images that a calibration has read: their count, their SHA-256, and how many have a single colour."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.count = self.uniform = 0
        self.digest = hashlib.sha256()

    def add(self, rgb: Rgb) -> None:
        """Add one image that has passed `check`."""
        self.digest.update(np.ascontiguousarray(rgb).data)
        self.count += 1
        self.uniform += bool((rgb == rgb[0, 0]).all())

    def check(self, rgb: Rgb) -> None:
        """Raise SizeError unless `rgb`, the next image, fits the model's input."""
        shape = (self.spec.input.height, self.spec.input.width, 3)
        if rgb.shape != shape or rgb.dtype != np.uint8:
            raise SizeError(
                f"calibration image {self.count} is {rgb.dtype} {rgb.shape}, but {self.spec.name} takes uint8 {shape}",
                hint="resize it with edgeseg.pixels.resize.resize_rgb, or name a folder",
            )

    @property
    def sha256(self) -> str:
        """The SHA-256 of all pixels, in order."""
        return self.digest.hexdigest()


@dataclass
class RunningStats:
    """The statistics of one tensor so far. A row of the range table and the number of images restore them exactly."""

    extremes: Extremes = field(default_factory=Extremes)
    histogram: Histogram = field(default_factory=Histogram)
    channels: ChannelStats | None = None

    @classmethod
    def from_row(cls, row: TensorStats, images: int, *, by_channel: bool) -> RunningStats:
        """The statistics that gave `row`, which has averages, after `images` images. by_channel: restore channels."""
        averages = (float(row.average_minimum or 0), float(row.average_maximum or 0))
        extremes = Extremes(row.minimum, row.maximum, *averages, images)
        histogram = Histogram(row.histogram.exponent, row.histogram.counts.copy())
        return cls(extremes, histogram, row.channels if by_channel else None)

    def add(
        self,
        minimum: NDArray[np.float32],
        maximum: NDArray[np.float32],
        mean: NDArray[np.float32],
        sample: NDArray[np.float32],
    ) -> None:
        """Add one image: extremes and mean, of the tensor (scalars) or by channel (C,), and a sample of values."""
        self.extremes.add(float(minimum.min()), float(maximum.max()))
        self.histogram.add(sample)
        if mean.ndim:
            absmax = np.maximum(np.abs(minimum), np.abs(maximum))
            before = self.channels or ChannelStats(np.zeros_like(mean), absmax)
            weight = np.float32(1 / self.extremes.images)
            self.channels = ChannelStats(before.mean + weight * (mean - before.mean), np.maximum(before.absmax, absmax))

    def row(self, name: str) -> TensorStats:
        """The row of the tensor called `name`."""
        extremes = self.extremes
        averages = (extremes.average_minimum, extremes.average_maximum)
        return TensorStats(name, extremes.minimum, extremes.maximum, self.histogram, *averages, self.channels)


class Calibration:
    """The float deploy graph `onnx` and the statistics of every tensor of its core."""

    def __init__(self, onnx: Onnx) -> None:
        source = load_onnx(onnx)
        model = source.graph()
        self.images = ImageRecord(source.spec)
        check_operators(model, source.path.name)
        core = core_from_model(model)
        check_network(core, source.path.name)
        self.ids, self.graph_id = tensor_ids(model), graph_id(model)
        logits = {str(value.name) for value in core.outputs}
        self.probes = probe_activations(model)
        self.session = probed_session(model)
        self.stats = [RunningStats() for _ in self.probes]
        self.logits = [index for index, probe in enumerate(self.probes) if probe.tensor in logits]
        self.input_hashes: set[int] = set()
        self.logit_hashes: set[int] = set()

    def run(self, rgb: Rgb) -> ProbeOutputs:
        """The outputs of each probe on `rgb`; nothing is recorded yet. DataError where a tensor is not finite."""
        self.images.check(rgb)
        names = [name for probe in self.probes for name in probe.outputs]
        values = iter(self.session.run(names, {self.session.get_inputs()[0].name: rgb[None]}))
        outputs = [list(islice(values, len(probe.outputs))) for probe in self.probes]
        for probe, parts in zip(self.probes, outputs):
            if not all(np.isfinite(part).all() for part in parts):
                message = f"tensor {probe.tensor} holds NaN or infinity on image {self.images.count}"
                raise DataError(message, hint=EXPORT_AGAIN, code="ES-DATA-NOT-FINITE")
        return outputs

    def add(self, rgb: Rgb, outputs: ProbeOutputs) -> None:
        """Record the `outputs` of `run` on `rgb`."""
        self.images.add(rgb)
        for stats, parts in zip(self.stats, outputs):
            stats.add(*parts)
        samples = [parts[-1].tobytes() for parts in outputs]
        self.input_hashes.add(hash(samples[0]))
        self.logit_hashes.add(hash(b"".join(samples[index] for index in self.logits)))

    def table(self) -> RangeTable:
        """The range table of the images so far."""
        rows: dict[str, TensorStats] = {}
        for probe, stats in zip(self.probes, self.stats):
            key = self.ids[probe.tensor]
            if key not in rows or rows[key].channels is None:  # tensors with the same computation share a row
                rows[key] = stats.row(probe.tensor)
        return RangeTable(self.graph_id, self.images.spec.name, self.images.count, self.images.sha256, rows)

    def can_resume_from(self, table: RangeTable) -> bool:
        """Whether `table` is of this network and has every statistic that this version records."""
        rows = [(probe, table.tensors.get(self.ids[probe.tensor])) for probe in self.probes]
        return table.graph_id == self.graph_id and all(
            row is not None and row.average_minimum is not None and (row.channels is not None or not probe.by_channel)
            for probe, row in rows
        )

    def resume_from(self, table: RangeTable) -> None:
        """Restore the statistics of `table`, for which `can_resume_from` holds; `images` has its images already."""
        for index, probe in enumerate(self.probes):
            row = table.tensors[self.ids[probe.tensor]]
            self.stats[index] = RunningStats.from_row(row, table.images, by_channel=probe.by_channel)

    def warnings(self) -> list[Diagnostic]:
        """Warnings about the images, and about the logits since the start or since `resume_from`."""
        count = self.images.count
        return [
            *few_images(count),
            *uniform_images(self.images.uniform, count),
            *constant_logits(len(self.logit_hashes), len(self.input_hashes)),
        ]


def check_operators(model: ir.Model, name: str) -> None:
    """Raise FormatError where an operator is not one of ONNX or ONNX Runtime."""
    for node in model.graph:
        if node.domain not in KNOWN_DOMAINS:
            node_name = node.name or node.outputs[0].name
            raise FormatError(
                f"node {node_name} of {name} is a {node.domain}.{node.op_type}, which is not an ONNX operator",
                hint="export the network with standard ONNX operators",
                code="ES-OPERATOR",
            )


def check_network(core: Core, name: str) -> None:
    """Raise FormatError where an output does not depend on the image, DataError where a weight is NaN."""
    computed = {core.input, *(value for node in core.nodes for value in node.outputs)}
    for output in core.outputs:
        if output not in computed:
            message = f"output {output.name} of {name} is a constant: it does not depend on the image"
            hint = "export the network again, with its input connected to its output"
            raise FormatError(message, hint=hint, code="ES-FORMAT-CONSTANT")
    for value in dict.fromkeys(value for node in core.nodes for value in node.inputs):
        array = constant(value)
        if value is not None and array is not None and array.dtype.kind == "f" and np.isnan(array).any():
            message = f"weight {value.name} of {name} holds NaN"
            raise DataError(message, hint=EXPORT_AGAIN, code="ES-DATA-NOT-FINITE")


def probed_session(model: ir.Model) -> Any:
    """A session of `model` on all cores that frees each tensor as early as possible.

    Its level does not change the layout of convolutions: otherwise each probe would wait for a copy in the usual
    layout, and BiSeNetV2 at 2048x1024 would take 1.5 GB instead of 0.6.
    """
    data = ir.to_proto(model).SerializeToString()
    return open_session(data, "extended", threads=os.cpu_count() or 1, frees_early=True)
