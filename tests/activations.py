"""Every activation of a deploy graph, taken out whole: what probes and ranges are held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from edgeseg.artifact import read_onnx
from edgeseg.graph.core import core_from_model


def every_activation(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> all values over `images`, the images first."""
    model = read_onnx(path)
    names = [str(value.name) for value in core_from_model(ir.from_proto(model)).activations()]
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(names, {"rgb": image[None]}) for image in images]
    return {name: np.stack([row[i] for row in rows]) for i, name in enumerate(names)}
