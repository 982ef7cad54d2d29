"""INT8 next to a batch norm that cannot be folded into a convolution: one scale would lose the small channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto
from residual_onnx import Builder, quantised
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, frames, onnx_model

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.subgraphs import reference_outputs

BLOCKS = 2
GAINS = (0.01, 1.0)  # of the channels of a convolution without a batch norm


def normalised_concat(folder: Path, seed: int) -> Artifact:
    """Twice a convolution beside a pooling, their Concat, a BatchNormalization, a ReLU; then two convolutions."""
    b = Builder(seed, "")
    x = b.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = b.node("Transpose", [x], "planar", perm=[0, 3, 1, 2])
    x = b.node("Sub", [x, b.constant("mean", np.full((1, 3, 1, 1), 120, np.float32))], "centred")
    x = b.node("Mul", [x, b.constant("scale", np.full((1, 3, 1, 1), 1 / 60, np.float32))], "image")
    channels, model = 3, None
    for block in range(BLOCKS):
        wide = b.conv(x, f"wide{block}", (channels, 16), stride=2)
        gains = np.exp(b.rng.uniform(*np.log(GAINS), 16)).astype(np.float32)
        b.constants[f"wide{block}.w"] *= gains[:, None, None, None]
        b.constants[f"wide{block}.b"] *= gains
        pool = b.node("MaxPool", [x], f"pool{block}", kernel_shape=[2, 2], strides=[2, 2])
        both = b.node("Concat", [wide, pool], f"both{block}", axis=1)
        channels += 16
        values = values_of(model_to(b, both), both)
        statistics = {"scale": np.ones(channels), "bias": np.zeros(channels), "mean": values.mean((0, 2, 3)),
                      "variance": values.var((0, 2, 3))}  # fmt: skip
        names = [b.constant(f"norm{block}.{name}", each.astype(np.float32)) for name, each in statistics.items()]
        x = b.relu(b.node("BatchNormalization", [both, *names], f"norm{block}"), f"norm{block}.relu")
    b.conv(b.relu(b.conv(x, "mix", (channels, 16)), "mix.relu"), "logits", (16, CLASSES), 1)
    model = model_to(b, "logits", [1, CLASSES, HEIGHT >> BLOCKS, WIDTH >> BLOCKS])
    artifact = Artifact(folder / "concat.onnx", SPEC)
    write_onnx(ir.to_proto(model), artifact)
    return artifact


def model_to(builder: Builder, output: str, shape: list[int] | None = None) -> ir.Model:
    """The model that `builder` has built, up to `output`."""
    proto = onnx_model(
        builder.nodes,
        [("rgb", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [(output, TensorProto.FLOAT, shape)],
        builder.constants,
    )
    return ir.from_proto(proto)


def values_of(model: ir.Model, name: str) -> np.ndarray:
    """The output `name` on eight frames."""
    return np.concatenate([outputs[name] for outputs in reference_outputs(model, frames(8))])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_concat_that_is_normalised_keeps_its_labels(engine: str, seed: int, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    source = normalised_concat(tmp_path, seed)
    int8 = quantised(source, ranges_from_images(source.path, frames(8)), engine)
    built = engine_from_onnx(
        int8.path, engine, out_dir=tmp_path / "out", reference=source.path, frames=frames(8, seed=7)
    )
    assert built.agreement.labels > 0.97  # 0.83 to 0.92 where the Concat was rounded
    assert all(layer.obtained == layer.requested for layer in built.layers if layer.requested)


def test_only_what_feeds_the_normalisation_stays_float(tmp_path: Path) -> None:
    source = normalised_concat(tmp_path, 0)
    table = ranges_from_images(source.path, frames(8))
    rounded = {}
    for target in ("onnxruntime", "openvino"):
        model = ir.from_proto(read_onnx(quantised(source, table, target).path))
        rounded[target] = {node.inputs[0].name for node in model.graph if node.op_type == "QuantizeLinear"}  # type: ignore[union-attr]
    assert not any(name.startswith(("wide", "pool", "both")) for names in rounded.values() for name in names)
    assert rounded["onnxruntime"] >= {"norm1.relu", "mix.relu"}
    assert rounded["openvino"] >= {"norm0.relu", "norm1.relu"}
