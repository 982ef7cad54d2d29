"""Fine-tuning through Q/DQ: it computes what `quantize` writes, learns, and hands on files that fit each other."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from residual_onnx import residual_onnx
from small_onnx import SPEC, onnx_model

torch = pytest.importorskip("torch")

from edgeseg.artifact import Artifact, artifact_from_onnx, read_onnx, write_onnx  # noqa: E402
from edgeseg.calib.calibrate import ranges_from_images  # noqa: E402
from edgeseg.calib.placement import TARGETS  # noqa: E402
from edgeseg.calib.quantize import Method, int8_from_ranges, scales_from_table  # noqa: E402
from edgeseg.calib.range import RangeTable  # noqa: E402
from edgeseg.engines.pytorch import ENGINE  # noqa: E402
from edgeseg.errors import DataError, FileProblem, FormatError, MismatchError  # noqa: E402
from edgeseg.files import sha256_from_file  # noqa: E402
from edgeseg.graph.qdq import DEQUANTIZE, LEVELS, MAX_BIAS_QUANTA, weight_scales  # noqa: E402
from edgeseg.spec import Output  # noqa: E402
from edgeseg.train.qat.config import QatConfig  # noqa: E402
from edgeseg.train.qat.finetune import (  # noqa: E402
    draw_for,
    finetune_int8,
    tuner_from_onnx,
)
from edgeseg.train.qat.graph import weight_steps  # noqa: E402
from edgeseg.train.qat.rounding import WeightRounding, rounded_activation  # noqa: E402
from edgeseg.train.qat.tuner import Tuner  # noqa: E402

UNMODIFIED = Method(
    "percentile", uint8_input=False, weight_bits=8
)  # as in fine-tuning: ranges and first weights unchanged
QUICK = QatConfig(steps=4, batch=2, learning_rate=1e-3, distill=1.0, supervise=1.0, balance=0.5, every=3)
# Both sides are torch, but a convolution that will be learnt from may sum in another order (1e-6 of an activation).
# Once in a while that carries a value over the border between two codes; of a logit, one code of one input is little.
ROUNDING = 1e-2


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flat patches of 8x8 pixels whose class is told by their red."""
    patches = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    rgb = patches.repeat(8, 0).repeat(8, 1)
    return rgb, rgb[..., 0] // 52


def images(count: int, seed: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [draw(rng)[0] for _ in range(count)]


@pytest.fixture
def source(tmp_path: Path) -> Artifact:
    return residual_onnx(tmp_path, "net.onnx")


@pytest.fixture
def table(source: Artifact) -> RangeTable:
    return ranges_from_images(source.path, images(8))


def tuner_of(source: Artifact, table: RangeTable, config: QatConfig = QUICK) -> Tuner:
    return tuner_from_onnx(read_onnx(source.path), table, source, config, draw)


def engine_logits(path: Path, rgb: np.ndarray) -> np.ndarray:
    """What the engine pytorch computes from the ONNX at `path`."""
    with ENGINE.open(artifact_from_onnx(path)) as backend:
        return next(iter(backend.infer({"rgb": rgb[None]}).values())).copy()


def student_logits(tuner: Tuner, rgb: np.ndarray) -> np.ndarray:
    logits: np.ndarray = tuner.student(torch.from_numpy(rgb[None]), tuner.weights).detach().numpy()
    return logits


def close(actual: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two logits differ by no more than a code that fell to its neighbour, and that in few places."""
    difference = np.abs(actual - expected) / np.abs(expected).max()
    return bool(difference.max() < ROUNDING and np.mean(difference > 1e-5) < 0.02)


@pytest.mark.parametrize("target", TARGETS)
def test_the_student_computes_what_quantize_writes(
    target: str, source: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    tuner = tuner_of(source, table, dataclasses.replace(QUICK, target=target))
    int8 = int8_from_ranges(source.path, table, target=target, out=tmp_path / "int8.onnx", method=UNMODIFIED)
    for rgb in images(3, seed=9):
        expected = engine_logits(int8.path, rgb)
        assert close(student_logits(tuner, rgb), expected)
        assert not close(engine_logits(source.path, rgb), expected)  # int8 does change it


def test_the_teacher_computes_the_float_graph(source: Artifact, table: RangeTable) -> None:
    (rgb,) = images(1)
    logits = tuner_of(source, table).teacher(torch.from_numpy(rgb[None])).numpy()
    np.testing.assert_array_equal(logits, engine_logits(source.path, rgb))


@pytest.mark.parametrize("target", ["canonical", "onnxruntime"])
def test_gradients_reach_every_weight_behind_a_pair(target: str, source: Artifact, table: RangeTable) -> None:
    tuner = tuner_of(source, table, dataclasses.replace(QUICK, target=target))
    tuner.loss(*draw(np.random.default_rng(0))).backward()
    layers = ("stem", "left", "fuse", "depthwise", "project", "gate", "signed", "head", "logits")
    assert set(tuner.weights) == {f"{layer}.{part}" for layer in layers for part in "wb"}
    assert all(bool(weight.grad.abs().sum() > 0) for weight in tuner.weights.values())


def test_every_quantised_weight_of_the_file_is_rounded_from_a_float_one(
    source: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    int8 = int8_from_ranges(source.path, table, target="canonical", out=tmp_path / "int8.onnx", method=UNMODIFIED)
    model, quantised = ir.load(source.path), ir.load(int8.path)
    steps = weight_steps(quantised, model, scales_from_table(model, table, "percentile"))
    codes = [node for node in quantised.graph if node.op_type == DEQUANTIZE and node.inputs[0].is_initializer()]
    assert set(steps) == {node.outputs[0].name for node in codes}
    assert len(steps) == 7


@pytest.mark.parametrize("family", ["bisenetv2", "segformer"])
def test_a_family_can_be_tuned(family: str, tmp_path: Path, shared_exports: None) -> None:
    from small_nets import street_frames, write_small_weights

    from edgeseg.export.model import export_model, source_from_model

    weights = write_small_weights(tmp_path / "tiny.safetensors", family)
    frames = [rgb for rgb, _ in street_frames(source_from_model(weights).spec)]
    source, _ = export_model(weights, tmp_path / "tiny.onnx", frames=frames[:1])
    table = ranges_from_images(source.path, frames)
    tuner = tuner_of(source, table, QatConfig())
    int8 = int8_from_ranges(source.path, table, target="canonical", out=tmp_path / "int8.onnx", method=UNMODIFIED)
    expected = engine_logits(int8.path, frames[0])
    # hundreds of layers: where one code falls otherwise, which depends on the processor, later ones follow
    assert np.mean(student_logits(tuner, frames[0]).argmax(1) == expected.argmax(1)) > 0.95
    tuner.loss(frames[0], np.zeros(frames[0].shape[:2], np.uint8)).backward()
    assert len(tuner.weights) > 50
    assert all(bool(weight.grad.abs().sum() > 0) for weight in tuner.weights.values())


def test_the_tuned_file_gives_what_was_trained(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    tuner = tuner_of(source, table)
    for _ in range(QUICK.steps):
        tuner.set_rate(tuner.steps_done / QUICK.steps)
        tuner.step(contextlib.nullcontext())
    result = finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    moved = RangeTable.open(result.ranges)
    int8 = int8_from_ranges(result.onnx.path, moved, target="canonical", out=tmp_path / "int8.onnx")
    (rgb,) = images(1, seed=9)
    assert close(engine_logits(int8.path, rgb), student_logits(tuner, rgb))
    assert not close(engine_logits(int8.path, rgb), engine_logits(source.path, rgb))


def test_learning_brings_int8_nearer_to_the_float_model(source: Artifact, table: RangeTable) -> None:
    config = QatConfig(steps=40, batch=4, learning_rate=2e-5, scale=(1.0, 1.0), colour=0.0)
    tuner = tuner_of(source, table, config)

    def distance() -> float:
        with torch.no_grad():
            return sum(float(tuner.loss(rgb, np.zeros((32, 64), np.uint8))) for rgb in images(8, seed=11))

    before = distance()
    for _ in range(config.steps):
        tuner.set_rate(tuner.steps_done / config.steps)
        tuner.step(contextlib.nullcontext())
    assert distance() < 0.9 * before  # 0.7 is usual; weights that hop between two codes make it jump


def test_the_tuned_files_belong_together(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    result = finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["net.onnx", "net.qat.pt", "net.ranges.json"]
    assert result.onnx == artifact_from_onnx(tmp_path / "out" / "net.onnx")
    assert (result.onnx.spec, result.onnx.precision, result.onnx.output) == (
        source.spec,
        source.precision,
        Output.LOGITS,
    )
    assert (result.steps, len(result.losses), result.resumed) == (4, 4, 0)
    moved = RangeTable.open(result.ranges)
    old, new = (
        scales_from_table(ir.load(path), ranges, "percentile")
        for path, ranges in ((source.path, table), (result.onnx.path, moved))
    )
    assert old == new
    assert (moved.images, moved.images_sha256) == (table.images, table.images_sha256)
    with pytest.raises(MismatchError, match="small"):
        table.check(ir.load(result.onnx.path))
    for target in TARGETS:
        int8_from_ranges(result.onnx.path, moved, target=target, out=tmp_path / f"{target}.onnx")


def test_the_tuned_file_says_where_it_comes_from(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, data=(("street:?seed=3&frames=2&size=64x32", 1.0),), seed=7)
    made = finetune_int8(source.path, table, config, draw, tmp_path / "out").onnx.provenance
    other = dataclasses.replace(config, seed=8)
    assert made.identity != finetune_int8(source.path, table, other, draw, tmp_path / "other").onnx.provenance.identity
    assert len(made.weights_sha256) == 64
    provenance = made.to_dict()
    assert provenance["source"] == {"weights": "seed 0", "onnx_sha256": sha256_from_file(source.path)}
    assert (provenance["qat"]["steps"], provenance["qat"]["seed"]) == (4, 7)
    assert provenance["qat"]["data"][0][0].startswith("street:?seed=3")
    assert provenance["qat"]["images_sha256"] == table.images_sha256


def test_a_graph_that_gives_a_mask_is_tuned_by_its_logits(tmp_path: Path) -> None:
    source = residual_onnx(tmp_path, "mask.onnx", output=Output.MASK)
    table = ranges_from_images(source.path, images(4))
    result = finetune_int8(source.path, table, dataclasses.replace(QUICK, steps=1), draw, tmp_path / "out")
    assert result.onnx.output is Output.MASK
    assert engine_logits(result.onnx.path, images(1)[0]).shape == (1, 32, 64)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    stop: int, source: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    def interrupt(task: str, done: int, total: int | None) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_int8(source.path, table, QUICK, draw, tmp_path / "stopped", progress=interrupt)
    assert not (tmp_path / "stopped" / "net.onnx").exists()
    resumed = finetune_int8(source.path, table, QUICK, draw, tmp_path / "stopped")
    whole = finetune_int8(source.path, table, QUICK, draw, tmp_path / "whole")
    assert (resumed.resumed, len(resumed.losses)) == (stop, QUICK.steps - stop)
    assert resumed.losses == whole.losses[stop:]
    assert resumed.onnx.path.read_bytes() == whole.onnx.path.read_bytes()
    assert resumed.ranges.read_bytes() == whole.ranges.read_bytes()


def test_a_killed_run_goes_on_from_the_last_checkpoint(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    def killed(task: str, done: int, total: int | None) -> None:
        if done == QUICK.steps:
            raise RuntimeError  # nothing is saved on the way out

    with pytest.raises(RuntimeError):
        finetune_int8(source.path, table, QUICK, draw, tmp_path / "killed", progress=killed)
    assert finetune_int8(source.path, table, QUICK, draw, tmp_path / "killed").resumed == QUICK.every


def test_a_finished_run_is_not_done_again(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    first = finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    data = first.onnx.path.read_bytes()
    again = finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    assert (again.resumed, again.losses) == (QUICK.steps, ())
    assert again.onnx.path.read_bytes() == data


def test_it_ends_when_its_time_is_over(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, steps=1000, minutes=1e-6)
    assert finetune_int8(source.path, table, config, draw, tmp_path / "out").steps == 1
    config = dataclasses.replace(config, minutes=0.0)
    assert finetune_int8(source.path, table, config, draw, tmp_path / "none").steps == 0


def test_a_table_of_another_model_is_refused(table: RangeTable, tmp_path: Path) -> None:
    other = residual_onnx(tmp_path, "other.onnx", seed=3)
    with pytest.raises(MismatchError, match="small") as caught:
        finetune_int8(other.path, table, QUICK, draw, tmp_path / "out")
    assert "edgeseg calibrate" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_run_is_refused(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    with pytest.raises(MismatchError) as caught:
        finetune_int8(source.path, table, dataclasses.replace(QUICK, seed=1), draw, tmp_path / "out")
    assert caught.value.code == "ES-MISMATCH-RUN"
    assert "seed" in caught.value.message
    (tmp_path / "out" / "net.qat.pt").write_bytes(b"no checkpoint")
    with pytest.raises(FormatError) as damaged:
        finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    assert damaged.value.code == "ES-FORMAT-CHECKPOINT"


def test_a_loss_that_is_no_number_stops_it(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK, learning_rate=1e30)
    with pytest.raises(DataError) as caught:
        finetune_int8(source.path, table, config, draw, tmp_path / "out")
    assert caught.value.code == "ES-DATA-DIVERGED"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_gradient_that_is_no_number_changes_no_weight(source: Artifact, table: RangeTable) -> None:
    tuner = tuner_of(source, table)
    before = {name: weight.detach().clone() for name, weight in tuner.weights.items()}
    next(iter(tuner.weights.values())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DataError, match=r"gradient .* step 0"):
        tuner.step(contextlib.nullcontext())
    assert all(torch.equal(weight, before[name]) for name, weight in tuner.weights.items())


@pytest.mark.parametrize(
    ("heads", "value"),
    [(["logits"], "float"), (["a", "b"], "2 heads")],
)
def test_a_graph_with_nothing_to_tune_is_refused(heads: list[str], value: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["rgb"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planar"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planar", "mean"], ["picture"], "centre"),
        *(helper.make_node("Conv", ["picture", "w"], [head], f"conv-{head}") for head in heads),
    ]
    outputs = [(head, TensorProto.FLOAT, [1, 5, 32, 64]) for head in heads]
    weights = {"w": np.ones((5, 3, 1, 1), np.float32), "mean": np.full((1, 3, 1, 1), 120, np.float32)}
    source = Artifact(tmp_path / "net.onnx", SPEC)
    write_onnx(onnx_model(nodes, [("rgb", TensorProto.UINT8, [1, 32, 64, 3])], outputs, weights), source)
    table = ranges_from_images(source.path, images(1))
    with pytest.raises(FormatError, match=value) as caught:
        finetune_int8(source.path, table, QUICK, draw, tmp_path / "out")
    assert caught.value.hint


def test_an_int8_file_is_refused(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    int8 = int8_from_ranges(source.path, table, target="canonical", out=tmp_path / "int8.onnx", method=UNMODIFIED)
    with pytest.raises(FormatError, match=r"int8\.onnx") as caught:
        finetune_int8(int8.path, table, QUICK, draw, tmp_path / "out")
    assert "fp32" in caught.value.hint


def test_the_source_is_not_overwritten(source: Artifact, table: RangeTable, tmp_path: Path) -> None:
    with pytest.raises(FileProblem) as caught:
        finetune_int8(source.path, table, QUICK, draw, tmp_path)
    assert caught.value.code == "ES-FILE-SAME"


def test_pictures_are_drawn_from_the_data() -> None:
    config = QatConfig(data=(("street:?seed=3&frames=2&size=64x32", 1.0),))
    rgb, labels = draw_for(config, SPEC)(np.random.default_rng(0))
    assert (rgb.shape, labels.shape) == ((32, 64, 3), (32, 64))


def test_labels_of_other_classes_are_refused_where_they_are_learnt() -> None:
    config = QatConfig(data=(("street:?seed=3&frames=2&size=64x32", 1.0),), supervise=1.0)
    with pytest.raises(MismatchError, match="street"):
        draw_for(config, SPEC)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_activations_learn_inside_their_range_alone(dtype: Any) -> None:
    zero = torch.tensor(0 if dtype == torch.int8 else 128, dtype=dtype)
    x = torch.tensor([-70.0, -64.2, -64.3, -0.24, 0.26, 63.7, 63.8, 90.0], requires_grad=True)
    rounded = rounded_activation(x, torch.tensor(0.5), zero)
    rounded.sum().backward()
    assert rounded.tolist() == [-64, -64, -64, 0, 0.5, 63.5, 63.5, 63.5]
    assert x.grad.tolist() == [0, 1, 0, 1, 1, 1, 0, 0]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1]),
    st.floats(1e-6, 10),
    st.sampled_from([0.0, 1e-3, 1e9]),
)
def test_weights_are_rounded_as_quantize_does(seed: int, axis: int, activation_scale: float, bias_size: float) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.1, (4, 4)).astype(np.float32)
    weight[1] = weight[:, 1] = 0
    bias = (bias_size * rng.normal(size=4)).astype(np.float32)
    weight[1, 1] = np.float32(seed % 2) * 1e-42  # below what a runtime takes for a number
    least = np.abs(bias.astype(np.float64)) / MAX_BIAS_QUANTA / activation_scale
    scales = np.expand_dims(weight_scales(weight, axis, least), 1 - axis)
    expected = np.clip(np.round(weight / scales), -LEVELS, LEVELS).astype(np.float32) * scales
    rounded = WeightRounding(axis, activation_scale)(torch.from_numpy(weight), torch.from_numpy(bias))
    np.testing.assert_array_equal(rounded.numpy(), expected)
