"""A deploy graph with one of everything that placement has a rule for, at any input size, with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from small_onnx import SPEC, onnx_model

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.calib.quantize import best_method, int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.provenance import Provenance
from edgeseg.spec import Output


class Builder:
    """Collects nodes and constants; every method returns the name of its output."""

    def __init__(self, seed: int, prefix: str) -> None:
        self.rng = np.random.default_rng(seed)
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, values: Any) -> str:
        self.constants[self.prefix + name] = np.asarray(values)
        return self.prefix + name

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        output = name if name in ("logits", "mask") else self.prefix + name
        self.nodes.append(helper.make_node(op, inputs, [output], self.prefix + name + "/" + op, **attributes))
        return output

    def conv(
        self, x: str, name: str, shape: tuple[int, int], kernel: int = 3, *, stride: int = 1, group: int = 1
    ) -> str:
        channels, out = shape
        fan_in = channels // group * kernel * kernel
        weight = self.rng.normal(0, (2 / fan_in) ** 0.5, (out, channels // group, kernel, kernel))
        bias = self.rng.normal(0, 0.1, out)
        inputs = [
            x,
            self.constant(f"{name}.w", weight.astype(np.float32)),
            self.constant(f"{name}.b", bias.astype(np.float32)),
        ]
        return self.node("Conv", inputs, name, strides=[stride] * 2, pads=[kernel // 2] * 4, group=group)

    def relu(self, x: str, name: str) -> str:
        return self.node("Relu", [x], name)


def residual_model(
    width: int = 64,
    height: int = 32,
    output: Output = Output.LOGITS,
    seed: int = 0,
    prefix: str = "",
    mean: float = 120,
) -> Any:
    """rgb (1, H, W, 3) uint8 to logits (1, 5, H/2, W/2), or a mask (1, H, W).

    stem -> pool | concat -> fuse -> depthwise -> project -> residual -> gate -> head -> logits
    """
    b = Builder(seed, prefix)
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "planar", perm=[0, 3, 1, 2])
    x = b.node("Sub", [x, b.constant("mean", np.full((1, 3, 1, 1), mean, np.float32))], "centred")
    x = b.node("Mul", [x, b.constant("scale", np.full((1, 3, 1, 1), 1 / 60, np.float32))], "picture")
    stem = b.relu(b.conv(x, "stem", (3, 8), stride=2), "stem.relu")
    left = b.relu(b.conv(stem, "left", (8, 8), stride=2), "left.relu")
    pool = b.node("MaxPool", [stem], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    both = b.node("Concat", [left, pool], "both", axis=1)
    fuse = b.relu(b.conv(both, "fuse", (16, 16)), "fuse.relu")
    deep = b.relu(b.conv(fuse, "depthwise", (16, 16), group=16), "depthwise.relu")
    project = b.conv(deep, "project", (16, 16), 1)
    added = b.relu(b.node("Add", [project, fuse], "residual"), "residual.relu")
    mean_name = b.constant("axes", np.array([2, 3], np.int64))
    gate = b.node("ReduceMean", [added, mean_name], "squeeze", keepdims=1)
    gate = b.node("Sigmoid", [b.conv(gate, "gate", (16, 16), 1)], "gate.sigmoid")
    gated = b.node("Mul", [added, gate], "gated")
    signed = b.conv(gated, "signed", (16, 16))
    smooth = b.node("AveragePool", [signed], "smooth", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    size = b.constant("size", np.array([1, 16, height // 2, width // 2], np.int64))
    large = b.node("Resize", [smooth, "", "", size], "large", mode="linear")
    head = b.relu(b.conv(large, "head", (16, 16)), "head.relu")
    logits = b.conv(head, "logits", (16, 5), 1)
    shape: list[int] = [1, 5, height // 2, width // 2]
    result = ("logits", TensorProto.FLOAT, shape)
    if output is Output.MASK:
        full = b.constant("full", np.array([1, 5, height, width], np.int64))
        b.node("Resize", [logits, "", "", full], "enlarged", mode="linear")
        b.node("ArgMax", [prefix + "enlarged"], "ids", axis=1, keepdims=0)
        b.node("Cast", [prefix + "ids"], "mask", to=TensorProto.UINT8)
        result = ("mask", TensorProto.UINT8, [1, height, width])
    return onnx_model(b.nodes, [("rgb", TensorProto.UINT8, [1, height, width, 3])], [result], b.constants)


def residual_onnx(folder: Path, name: str = "residual.onnx", **options: Any) -> Artifact:
    """`residual_model` as a file with its spec."""
    model = residual_model(**options)
    width, height = options.get("width", 64), options.get("height", 32)
    output = options.get("output", Output.LOGITS)
    artifact = Artifact(
        folder / name, SPEC.resized(width, height), output=output, provenance=Provenance(weights="seed 0")
    )
    write_onnx(model, artifact)
    return artifact


def quantised(source: Artifact, table: RangeTable, target: str) -> Artifact:
    """`source` in int8 for `target`, beside it, with weights of 7 bits: no processor saturates with these."""
    method, out = replace(best_method(source, table), weight_bits=7), source.path.with_name(f"{target}.onnx")
    return int8_from_ranges(source.path, table, target=target, out=out, method=method).artifact
