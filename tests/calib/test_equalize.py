from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from residual_onnx import Builder, residual_onnx
from small_onnx import SPEC, frames, onnx_model

from edgeseg.artifact import Artifact, read_onnx, write_onnx
from edgeseg.calib import OBSERVERS, range_from_stats
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.equalize import SMALLEST_SHARE, conv_pairs, equalize_channels
from edgeseg.calib.quantize import Method, int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.errors import MismatchError
from edgeseg.graph.core import constant
from edgeseg.graph.identity import tensor_ids

CHANNELS = 8
LAYERS = {"plain": (8, 1), "grouped": (8, 2), "widened": (16, 8)}  # output channels, groups; "depthwise" keeps channels


def uneven_model(layers: list[str], activation: str = "Relu", seed: int = 0, twice: bool = False):
    """A network whose channels were scaled by up to a thousand against each other, and back in the next layer."""
    builder = Builder(seed, "")
    x = builder.node("Cast", ["rgb"], "float", to=TensorProto.FLOAT)
    x = builder.node("Transpose", [x], "planar", perm=[0, 3, 1, 2])
    x = builder.node("Mul", [x, builder.constant("scale", np.float32(1 / 128))], "picture")
    x, channels = builder.conv(x, "first", (3, CHANNELS), stride=2), CHANNELS
    builder.constant("six", np.float32(6))
    builder.constant("zero", np.float32(0))
    for number, layer in enumerate(layers):
        factors = stretch(builder, "first" if number == 0 else f"layer{number - 1}")
        if activation:
            x = builder.node(activation, [x, "zero", "six"] if activation == "Clip" else [x], f"act{number}")
        out, groups = (channels, channels) if layer == "depthwise" else LAYERS[layer]
        y = builder.conv(x, f"layer{number}", (channels, out), group=groups)
        unstretch(builder, f"layer{number}", groups, factors)
        x = builder.node("Add", [y, x], f"sum{number}") if twice else y
        channels = out
    x = builder.relu(x, "last")
    builder.conv(x, "logits", (channels, 5), 1)
    inputs, outputs = ("rgb", TensorProto.UINT8, [1, 32, 64, 3]), ("logits", TensorProto.FLOAT, [1, 5, 16, 32])
    return onnx_model(builder.nodes, [inputs], [outputs], builder.constants)


def stretch(builder: Builder, name: str) -> np.ndarray:
    """Multiply the output channels of a convolution by factors, which it returns."""
    weight, bias = builder.constants[f"{name}.w"], builder.constants[f"{name}.b"]
    factors = 10 ** builder.rng.uniform(-1.5, 1.5, len(bias))
    builder.constants[f"{name}.w"] = (weight * factors[:, None, None, None]).astype(np.float32)
    builder.constants[f"{name}.b"] = (bias * factors).astype(np.float32)
    return factors


def unstretch(builder: Builder, name: str, groups: int, factors: np.ndarray) -> None:
    """Divide the input channels of a convolution by factors."""
    weight = builder.constants[f"{name}.w"]
    along = factors.reshape(groups, 1, -1).repeat(len(weight) // groups, axis=1).reshape(len(weight), -1)
    builder.constants[f"{name}.w"] = (weight / along[:, :, None, None]).astype(np.float32)


def uneven_onnx(folder, *arguments, **options) -> Artifact:
    artifact = Artifact(folder / "uneven.onnx", SPEC)
    write_onnx(uneven_model(*arguments, **options), artifact)
    return artifact


def both_forms(artifact: Artifact) -> tuple[ir.Model, RangeTable, ir.Model, RangeTable]:
    model = ir.from_proto(read_onnx(artifact.path))
    table = ranges_from_images(artifact.path, frames(4))
    return model, table, *equalize_channels(model, table)


def run(model: ir.Model, image: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"rgb": image[None]})[0]


layers = st.lists(st.sampled_from(["plain", "grouped", "depthwise"]), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None)
@given(layers, st.booleans(), st.sampled_from(["Relu", ""]), st.integers(0, 99))
def test_the_float_graph_computes_the_same(tmp_path_factory, layers, widened, activation, seed):
    layers = ["widened", *layers] if widened else layers
    artifact = uneven_onnx(tmp_path_factory.mktemp("net"), layers, activation, seed)
    model, _, equalized, _ = both_forms(artifact)
    assert len(list(conv_pairs(model))) == len(layers)
    image = frames(1, seed=seed)[0]
    expected, actual = run(model, image), run(equalized, image)
    # each layer sums up to 144 products, rounded to 2**-24 of the largest; a few layers of them
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


@pytest.fixture
def source(tmp_path) -> Artifact:
    return uneven_onnx(tmp_path, ["plain", "depthwise", "plain"])


def test_the_transferred_table_is_that_of_another_calibration(tmp_path, source):
    model, _, equalized, transferred = both_forms(source)
    again_artifact = dataclasses.replace(source, path=tmp_path / "equalized.onnx")
    write_onnx(ir.to_proto(equalized), again_artifact)
    again = ranges_from_images(again_artifact.path, frames(4))
    assert transferred.graph_id == again.graph_id
    assert set(transferred.tensors) == set(again.tensors)
    entering = [str(pair.between[-1].name) for pair in conv_pairs(model)]
    assert entering == ["act0", "act1", "act2"]
    for key in (tensor_ids(equalized)[name] for name in entering):
        computed, measured = transferred.tensors[key], again.tensors[key]
        # a factor and its inverse, rounded to float32 in the weights of both convolutions
        np.testing.assert_allclose(computed.channels.absmax, measured.channels.absmax, rtol=1e-4)
        np.testing.assert_allclose(computed.channels.mean, measured.channels.mean, rtol=1e-4)
        assert computed.maximum == pytest.approx(measured.maximum, rel=1e-4)
        assert computed.minimum == measured.minimum == 0


def test_channels_get_nearer_to_each_other_and_the_range_stays(source):
    model, table, equalized, transferred = both_forms(source)
    before, after = tensor_ids(model), tensor_ids(equalized)
    for pair in conv_pairs(model):
        name = str(pair.between[-1].name)
        old, new = table.tensors[before[name]].channels.absmax, transferred.tensors[after[name]].channels.absmax
        assert new.max() == pytest.approx(old.max(), rel=1e-5)  # rounding of the factors
        assert spread(new) < 0.8 * spread(old)
    depthwise = transferred.tensors[after["act1"]].channels.absmax
    # its weight has a scale per channel: all are equal except those below the smallest share
    assert np.median(depthwise) == pytest.approx(depthwise.max(), rel=1e-4)


def spread(magnitudes: np.ndarray) -> float:
    """The standard deviation of the magnitudes' logarithms, with all small ones at SMALLEST_SHARE."""
    return float(np.log(np.maximum(magnitudes / magnitudes.max(), SMALLEST_SHARE)).std())


@pytest.mark.parametrize("observer", OBSERVERS)
def test_no_observer_clips_equalized_channels(source, observer):
    _, _, equalized, transferred = both_forms(source)
    ids = tensor_ids(equalized)
    for name in ("act0", "act1", "act2"):
        stats = transferred.tensors[ids[name]]
        assert range_from_stats(stats, observer).absmax > 0.95 * stats.absmax


@pytest.mark.parametrize("target", ["onnxruntime", "canonical"])
def test_uneven_channels_lose_less(tmp_path, source, target):
    table = ranges_from_images(source.path, frames(8))
    image = frames(1, seed=5)[0]
    expected = run(ir.from_proto(read_onnx(source.path)), image)

    def noise(**options: bool) -> float:
        path = tmp_path / "int8.onnx"
        artifact = int8_from_ranges(source.path, table, target=target, out=path, method=Method("minmax", **options))
        assert artifact.provenance.ranges.corrections == (("equalize",) if options else ())
        return float(((run(ir.load(path), image) - expected) ** 2).mean())

    assert noise(equalize=True) < 0.2 * noise()


def test_a_dead_channel_stays_within_bounds(tmp_path):
    proto = uneven_model(["plain"])
    names = {tensor.name: tensor for tensor in proto.graph.initializer}
    for name in ("first.w", "first.b"):
        values = np.frombuffer(names[name].raw_data, np.float32).copy()
        values[: len(values) // CHANNELS] = 0
        names[name].raw_data = values.tobytes()
    artifact = Artifact(tmp_path / "dead.onnx", SPEC)
    write_onnx(proto, artifact)
    model, _, equalized, _ = both_forms(artifact)
    before, after = (constant(next(conv_pairs(each)).second.inputs[1]) for each in (model, equalized))
    assert np.abs(after).max() / np.abs(before).max() <= 1 / SMALLEST_SHARE
    assert np.isfinite(after).all()


@pytest.mark.parametrize(("activation", "twice"), [("Clip", False), ("Sigmoid", False), ("Relu", True)])
def test_other_convolutions_are_unchanged(tmp_path, activation, twice):
    artifact = uneven_onnx(tmp_path, ["plain", "plain"], activation, twice=twice)
    model, table, equalized, transferred = both_forms(artifact)
    assert list(conv_pairs(model)) == []
    assert ir.to_proto(equalized) == ir.to_proto(model)
    assert transferred == table


def test_a_table_of_another_network_or_without_channels(tmp_path, source):
    model, table, equalized, _ = both_forms(source)
    with pytest.raises(MismatchError) as error:
        equalize_channels(equalized, table)
    rows = {key: dataclasses.replace(stats, channels=None) for key, stats in table.tensors.items()}
    assert error.value.code == "ES-RANGES-OTHER"
    with pytest.raises(MismatchError) as error:
        equalize_channels(model, dataclasses.replace(table, tensors=rows))
    assert error.value.code == "ES-RANGES-CHANNELS"


def test_a_network_without_conv_pairs_can_be_equalised(tmp_path):
    source = residual_onnx(tmp_path)
    table = ranges_from_images(source.path, frames(4))
    artifact = int8_from_ranges(
        source.path,
        table,
        target="openvino",
        out=tmp_path / "int8.onnx",
        method=Method(equalize=True, bias_correction=True),
    )
    assert artifact.provenance.ranges.corrections == ("equalize", "bias_correction")
    assert artifact.provenance.ranges.images_sha256 == table.images_sha256
