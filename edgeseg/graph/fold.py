"""Compute once what depends on weights alone, whatever its size.

The exporter folds small constants by itself, and leaves the product of two weights for every picture.
"""

from __future__ import annotations

import logging

import onnx_ir as ir

MAX_BYTES = 1 << 31  # of a result; the optimiser's own limit leaves out the decoders of SegFormer-B2 and larger


def fold_constants(model: ir.Model) -> ir.Model:
    """Replace every node whose inputs are all constants by its value, and drop what nobody reads any more."""
    from onnxscript import optimizer  # torch's exporter needs it, too; a machine that runs engines has neither

    quiet = logging.getLogger("onnxscript.optimizer")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        optimizer.fold_constants(model, should_fold=lambda node: True, output_size_limit=MAX_BYTES)
    finally:
        quiet.setLevel(level)
    optimizer.remove_unused_nodes(model)
    return model
