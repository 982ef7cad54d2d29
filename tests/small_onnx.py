"""Small ONNX models for tests: a deploy graph with a few convolutions, as floats and with Q/DQ."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.provenance import Provenance
from edgeseg.spec import InputSpec, LabelSet, ModelSpec, Output, Precision

HEIGHT, WIDTH, CLASSES = 32, 64, 5
SPEC = ModelSpec(
    name="small",
    input=InputSpec(width=WIDTH, height=HEIGHT),
    labels=LabelSet(names=tuple("abcde"), palette=tuple((40 * i, 10, 200 - 40 * i) for i in range(CLASSES))),
)

STREET = ModelSpec(name="guess", input=SPEC.input, labels=CAMVID_LABELS)


def onnx_model(
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[Any]]],
    outputs: Sequence[tuple[str, int, Sequence[Any] | None]],
    constants: Mapping[str, np.ndarray],
    opset: int = 18,
) -> Any:
    """A model from its parts, with an IR version that any runtime reads."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info(*each) for each in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def small_model(output: Output = Output.LOGITS, seed: int = 0, classes: int = CLASSES) -> Any:
    """rgb (1, 32, 64, 3) uint8 to logits (1, classes, 16, 32), or to their labels as a mask."""
    rng = np.random.default_rng(seed)
    channels = [3, 8, 16, classes]
    constants = {
        "mean": np.full((1, 3, 1, 1), 120, np.float32),
        "deviation": np.full((1, 3, 1, 1), 60, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planar"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planar", "mean"], ["centred"], "centre"),
        helper.make_node("Div", ["centred", "deviation"], ["x0"], "scale"),
    ]
    for i in range(3):
        fan_in = channels[i] * 9
        weight = rng.normal(0, (2 / fan_in) ** 0.5, (channels[i + 1], channels[i], 3, 3))
        constants[f"w{i}"] = weight.astype(np.float32)
        constants[f"b{i}"] = rng.normal(0, 0.1, channels[i + 1]).astype(np.float32)
        name = "logits" if i == 2 else f"c{i}"
        strides = [2, 2] if i == 0 else [1, 1]
        nodes.append(
            helper.make_node("Conv", [f"x{i}", f"w{i}", f"b{i}"], [name], f"conv{i}", strides=strides, pads=[1] * 4)
        )
        if i < 2:
            nodes.append(helper.make_node("Relu", [name], [f"x{i + 1}"], f"relu{i}"))
    shape = [1, classes, HEIGHT // 2, WIDTH // 2]
    result: tuple[str, int, Sequence[Any] | None] = ("logits", TensorProto.FLOAT, shape)
    if output is Output.MASK:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["ids"], "argmax", axis=1, keepdims=0))
        nodes.append(helper.make_node("Cast", ["ids"], ["mask"], "narrow", to=TensorProto.UINT8))
        result = ("mask", TensorProto.UINT8, [1, *shape[2:]])
    return onnx_model(nodes, [("rgb", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])], [result], constants)


def float_onnx(folder: Path, output: Output = Output.LOGITS, name: str = "float.onnx") -> Artifact:
    """The small model as a file with its spec."""
    artifact = Artifact(folder / name, SPEC, output=output, provenance=Provenance(weights="seed 0"))
    write_onnx(small_model(output), artifact)
    return artifact


def street_onnx(folder: Path, output: Output = Output.LOGITS, seed: int = 0, name: str = "street.onnx") -> Artifact:
    """The same with the 11 classes of the street camera, which it guesses."""
    artifact = Artifact(folder / name, STREET, output=output)
    write_onnx(small_model(output, seed, len(STREET.labels)), artifact)
    return artifact


def int8_onnx(folder: Path, name: str = "int8.onnx") -> Artifact:
    """The small model with Q/DQ as CPU runtimes fuse it: uint8 activations, int8 weights by channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = [{"rgb": frame[None]} for frame in frames(4)]

        def get_next(self) -> Any:
            return self.rest.pop() if self.rest else None

    source = float_onnx(folder, name="to-quantise.onnx")
    raw = folder / "raw.onnx"
    logging.disable(logging.WARNING)  # it advises to run shape inference first
    try:
        quantize_static(
            source.path,
            raw,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits: no processor saturates with these
            op_types_to_quantize=["Conv"],
        )
    finally:
        logging.disable(logging.NOTSET)
    artifact = dataclasses.replace(source, path=folder / name, precision=Precision.INT8)
    write_onnx(onnx.load(raw), artifact)
    return artifact


def frames(count: int, seed: int = 1) -> np.ndarray:
    """(count, 32, 64, 3) uint8: flat patches of 8x8 pixels, so that labels are not noise."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return patches.repeat(8, 1).repeat(8, 2)
