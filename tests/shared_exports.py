"""Graphs that torch exported, shared by the tests of a run: an export takes seconds, and many tests need the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir
from torch import nn

from edgeseg.export.onnx import graph_from_module


def sharing(folder: Path) -> Callable[[nn.Module, int, int], ir.Model]:
    """`graph_from_module` that keeps its graphs in `folder`, by the network's structure, its values and the size."""

    def shared(network: nn.Module, height: int, width: int) -> ir.Model:
        path = folder / f"{digest(network, height, width)}.onnx"
        if not path.exists():
            partial = folder / f"{path.stem}.{os.getpid()}"
            onnx.save(ir.to_proto(graph_from_module(network, height, width)), partial)
            partial.replace(path)
        return ir.from_proto(onnx.load(path))

    return shared


def digest(network: nn.Module, height: int, width: int) -> str:
    """What the exported graph depends on."""
    hashed = hashlib.sha256(f"{type(network)} {network} {height} {width}".encode())
    for name, values in (*network.named_parameters(), *network.named_buffers()):
        hashed.update(name.encode() + values.detach().contiguous().numpy().tobytes())
    return hashed.hexdigest()
