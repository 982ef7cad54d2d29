"""Convolutional networks for frames of any size, whose receptive field is known, as deploy graphs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from small_onnx import CLASSES, SPEC, onnx_model

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.spec import Output, Tiles

MEAN = 127  # of the spec below, so that a tile has beyond the frame what a convolution pads with
RECEPTIVE_FIELD = {1: 5, 8: 31}  # by stride: two 3x3 at stride 1; three at stride 2, and one more


def conv_net(
    folder: Path, size: tuple[int, int], stride: int, *, output: Output = Output.LOGITS, batch: int = 1,
    tiles: Tiles | None = None,
) -> Artifact:  # fmt: skip
    """3x3 convolutions from rgb to logits at `stride` (1 or 8), or to a mask. size: (H, W)."""
    rng, (height, width) = np.random.default_rng(stride), size
    steps = [2, 2, 2, 1] if stride == 8 else [1, 1]
    channels = [3, *([8] * (len(steps) - 1)), CLASSES]
    constants = {"mean": np.float32(MEAN), "deviation": np.float32(60)}
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planar"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planar", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["x0"]),
    ]
    for i, step in enumerate(steps):
        shape = (channels[i + 1], channels[i], 3, 3)
        constants[f"w{i}"] = rng.normal(0, (2 / (9 * channels[i])) ** 0.5, shape).astype(np.float32)
        constants[f"b{i}"] = rng.normal(0, 0.1, channels[i + 1]).astype(np.float32)
        name = "logits" if i == len(steps) - 1 else f"c{i}"
        nodes.append(helper.make_node("Conv", [f"x{i}", f"w{i}", f"b{i}"], [name], strides=[step, step], pads=[1] * 4))
        if name != "logits":
            nodes.append(helper.make_node("Relu", [name], [f"x{i + 1}"]))
    result: tuple[str, int, Any] = ("logits", TensorProto.FLOAT, [batch, CLASSES, height // stride, width // stride])
    if output is Output.MASK:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["ids"], axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["ids"], ["mask"], to=TensorProto.UINT8))
        result = ("mask", TensorProto.UINT8, [batch, height // stride, width // stride])
    model = onnx_model(nodes, [("rgb", TensorProto.UINT8, [batch, height, width, 3])], [result], constants)
    spec = SPEC.resized(width, height).tiled(tiles)
    spec = dataclasses.replace(spec, input=dataclasses.replace(spec.input, mean=(MEAN / 255,) * 3))
    path = folder / f"conv{stride}-{width}x{height}-{output}-{batch}.onnx"
    artifact = Artifact(path, spec, output=output)
    write_onnx(model, artifact)
    return artifact


def photo(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: patches of 4x4 pixels with some noise."""
    rng, (height, width) = np.random.default_rng(seed), size
    patches = rng.integers(0, 226, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    large = patches.repeat(4, 0).repeat(4, 1)[:height, :width]
    noisy: np.ndarray = large + rng.integers(0, 30, large.shape, dtype=np.uint8)
    return noisy
