"""Export a torch module to a deploy ONNX: frame in, low-resolution logits or mask out, spec inside."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.errors import FormatError
from edgeseg.graph.clean import clean_graph, fold_constants
from edgeseg.graph.core import LOGITS
from edgeseg.graph.deploy import append_mask_tail, prepend_frame_head
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec, Output

OPSET = 18  # that of the exporter, which ignores a request for an older one


def onnx_from_module(
    network: nn.Module,
    spec: ModelSpec,
    path: Path,
    *,
    output: Output = Output.LOGITS,
    provenance: Provenance | None = None,
) -> Artifact:
    """Export `network` ((N, 3, H, W) float to logits) in evaluation mode to `path`.

    The same weights and spec give the same bytes.
    """
    model = graph_from_module(network.eval(), spec.input.height, spec.input.width)
    prepend_frame_head(model, spec.input)
    if output is Output.MASK:
        append_mask_tail(model, spec)
    artifact = Artifact(path=path, spec=spec, output=output, provenance=provenance or Provenance())
    write_onnx(ir.to_proto(model), artifact)
    return artifact


def graph_from_module(network: nn.Module, height: int, width: int) -> ir.Model:
    """The graph of `network`: "image" (1, 3, height, width) float to logits."""
    image = torch.zeros(1, 3, height, width)
    with quiet_exporter():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=["image"],
            output_names=[LOGITS],
            verbose=False,
        )
    assert program is not None
    model = clean_graph(fold_constants(program.model))
    if (opset := model.opset_imports[""]) < OPSET:
        raise FormatError(f"the exporter wrote opset {opset}", hint=f"edgeseg needs {OPSET}: pip install torch==2.13.0")
    return model


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence the exporter's notes about optional libraries, and its deprecation warnings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
