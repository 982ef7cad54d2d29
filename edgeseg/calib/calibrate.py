"""Run the float graph over images and note what every tensor holds."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.artifact import artifact_from_onnx, read_onnx
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.range import RangeTable, TensorStats
from edgeseg.errors import DataError, SizeError
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.graph.probe import Probe, probe_activations
from edgeseg.spec import ModelSpec

Rgb = NDArray[np.uint8]
Progress = Callable[[int], None]


@dataclass
class Seen:
    """What one tensor held so far."""

    minimum: float = math.inf
    maximum: float = -math.inf
    histogram: Histogram = field(default_factory=Histogram)

    def add(self, minimum: float, maximum: float, sample: NDArray[np.float32]) -> None:
        """Take in one image's extremes and sample."""
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        self.histogram.add(sample)


def ranges_from_images(
    model_path: str | Path, images: Iterable[Rgb] | Callable[[], Iterable[Rgb]], *, progress: Progress | None = None
) -> RangeTable:
    """The range table of the float deploy graph at `model_path` over `images`, (H, W, 3) uint8 at the input's size.

    images: read once, one at a time; none is kept. progress: called with the number of images done.
    The same images in the same order give the same table, to the byte.
    """
    path = Path(model_path)
    proto = read_onnx(path)
    spec = artifact_from_onnx(path).spec
    model = ir.from_proto(proto)
    ids, identity = tensor_ids(model), graph_id(model)
    probes = probe_activations(model)
    session = open_session(model)
    seen = {probe.tensor: Seen() for probe in probes}
    pixels, count = hashlib.sha256(), 0
    for rgb in images() if callable(images) else images:
        check_image(rgb, spec, count)
        pixels.update(np.ascontiguousarray(rgb).data)
        observe_image(session, rgb, probes, seen, count)
        count += 1
        if progress is not None:
            progress(count)
    if not count:
        raise DataError("no images to calibrate with", hint="name a folder with at least one image; 64 are enough")
    tensors = {ids[name]: TensorStats(name, s.minimum, s.maximum, s.histogram) for name, s in seen.items()}
    return RangeTable(identity, spec.name, count, pixels.hexdigest(), tensors)


def observe_image(session: Any, rgb: Rgb, probes: list[Probe], seen: dict[str, Seen], number: int) -> None:
    """Run one image and add what its tensors held. DataError where one is not finite."""
    names = [name for probe in probes for name in probe.outputs]
    values = session.run(names, {session.get_inputs()[0].name: rgb[None]})
    for probe, minimum, maximum, sample in zip(probes, values[0::3], values[1::3], values[2::3]):
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            raise DataError(
                f"tensor {probe.tensor} holds NaN or infinity on image {number}",
                hint="the weights are damaged or the training diverged: export a good checkpoint",
            )
        seen[probe.tensor].add(float(minimum), float(maximum), sample)


def check_image(rgb: Rgb, spec: ModelSpec, number: int) -> None:
    """Raise SizeError unless `rgb` fits the model's input."""
    wanted = (spec.input.height, spec.input.width, 3)
    if rgb.shape != wanted or rgb.dtype != np.uint8:
        raise SizeError(
            f"calibration image {number} is {rgb.dtype} {rgb.shape}, {spec.name} takes uint8 {wanted}",
            hint="resize it with edgeseg.pixels.resize.resize_rgb, or name a folder",
        )


def open_session(model: ir.Model) -> Any:
    """An ONNX Runtime session of `model` on all cores that does not spin while it waits.

    It runs each probe as soon as its tensor is there: in the default order all tensors would live until the end.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    data = ir.to_proto(model).SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
