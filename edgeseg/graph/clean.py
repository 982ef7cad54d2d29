"""Take out of an exported graph what depends on the machine and the day, and name its nodes after their modules.

The exporter writes a stack trace with local paths into nearly every node. Two exports of the same weights from two
folders must be byte-equal, so all of that goes; what stays is the module's path, as the node's name.
"""

from __future__ import annotations

import ast

import onnx_ir as ir

SCOPES = "pkg.torch.onnx.name_scopes"


def clean_graph(model: ir.Model) -> ir.Model:
    """Strip metadata and doc strings, and name each node `<module path>/<operator>`, numbered where that is taken."""
    taken: dict[str, int] = {}
    for node in model.graph:
        name = f"{module_path(node)}/{node.op_type}".lstrip("/")
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}.{taken[name]}"
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.doc_string = model.doc_string = None
    model.graph.name = "edgeseg"
    model.producer_name, model.producer_version = "edgeseg", None
    return model


def module_path(node: ir.Node) -> str:
    """The path of the torch module that the node came from, "" where the exporter did not say.

    A convolution into which a batch norm was folded counts as the convolution.
    """
    if node.op_type == "Conv" and (weight := node.inputs[1]) is not None and (weight.name or "").endswith(".weight"):
        return str(weight.name).removesuffix(".weight")
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""
