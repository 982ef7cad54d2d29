"""Fold the constants of an exported graph, strip what depends on the machine, and name nodes after their modules.

The exporter writes a stack trace with local paths into nearly every node. Two exports of the same weights from two
folders must be byte-equal, so all metadata is removed. The path of the torch module stays, as the node's name.
"""

from __future__ import annotations

import ast
import logging

import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

SCOPES = "pkg.torch.onnx.name_scopes"
MAX_BYTES = 1 << 31  # of a folded constant; the optimizer's default leaves out the decoders of SegFormer-B2 and larger


def fold_constants(model: ir.Model) -> ir.Model:
    """Compute every node whose inputs are all constant, and remove unused nodes, in place.

    The exporter itself folds small constants only, and leaves the product of two weights to be computed per image.
    """
    from onnxscript import optimizer  # a dependency of torch's exporter, which a deployment device need not have

    logger = logging.getLogger("onnxscript.optimizer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        optimizer.fold_constants(model, should_fold=lambda node: True, output_size_limit=MAX_BYTES)
    finally:
        logger.setLevel(level)
    optimizer.remove_unused_nodes(model)
    return model


def clean_graph(model: ir.Model) -> ir.Model:
    """Name each node `<module path>/<operator>`, numbered where that is taken, and strip all metadata, in place."""
    counts: dict[str, int] = {}
    for node in model.graph:
        name = f"{module_path(node)}/{node.op_type}".lstrip("/")
        counts[name] = counts.get(name, 0) + 1
        node.name = name if counts[name] == 1 else f"{name}.{counts[name]}"
    ClearMetadataAndDocStringPass()(model)  # of nodes and graphs; values and the model follow
    outputs = (value for node in model.graph for value in node.outputs)
    for value in (*model.graph.inputs, *model.graph.initializers.values(), *outputs):
        value.metadata_props.clear()
        value.doc_string = None
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.name = "edgeseg"
    model.producer_name, model.producer_version = "edgeseg", None
    return model


def module_path(node: ir.Node) -> str:
    """The path of the torch module that the node came from, "" if the exporter did not write one.

    A convolution with a folded batch norm gets the path of the convolution.
    """
    if node.op_type == "Conv" and (weight := node.inputs[1]) is not None and (weight.name or "").endswith(".weight"):
        return str(weight.name).removesuffix(".weight")
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""
