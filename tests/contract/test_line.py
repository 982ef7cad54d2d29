"""Every family goes the whole line: module, ONNX, ranges, INT8 for each engine, engine, Segmenter, mask."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import pytest
from small_nets import parameters_by_variant, small_spec, smallest_variant, street_frames

import edgeseg
from edgeseg.artifact import Artifact, read_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.float16 import fp16_from_ranges
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.engines import ENGINES, open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import UnavailableError
from edgeseg.graph.check_qdq import check_canonical
from edgeseg.models import FAMILIES, open_family
from edgeseg.spec import Precision

pytest.importorskip("torch")

FLOAT_LABELS = 0.999  # fp32 against fp32: only near-ties may differ

# These families go the whole line on every engine in each run, and those with bundled weights on one; others nightly.
EVERY_ENGINE, ONE_ENGINE = ("bisenetv2", "segformer"), "openvino"
BUNDLED = ("bisenetv1", "bisenetv2", "icnet", "segformer")
# Larger variants repeat the blocks of the next smaller one, and take minutes.
LARGE = 15e6  # parameters


@dataclass(frozen=True)
class Limits:
    """What an engine of a net that is not trained must keep.

    Random activations have the long tails that training removes, the classes lie close together, and deep nets amplify
    rounding. int8_labels, fp16_labels: share of labels in common with the float graph. source_rms: deviation of an
    int8 engine from the quantised graph that it was built from, relative to the output.
    """

    int8_labels: float = 0.85
    fp16_labels: float = 0.99
    source_rms: float = 0.06


# Seen in those of BUNDLED: rms of 0.01 to 0.05, and 0.07 (openvino) to 0.11 (onnxruntime) of bisenetv2-large. `tiny`
# variants have few channels over which rounding could average out.
USUAL, DEEP, TINY_NET = Limits(), Limits(source_rms=0.15), Limits(int8_labels=0.7, fp16_labels=0.98, source_rms=0.25)


@dataclass(frozen=True)
class Line:
    """How far the line goes without an engine."""

    onnx: Artifact
    table: RangeTable
    frames: list[np.ndarray]
    limits: Limits


def every_line(engines: tuple[str, ...]) -> list[Any]:
    """The smallest variant of every family at a wide size on `engines`, and at a square one on one of them.

    So are the other variants of BUNDLED. engines: () for tests that take none.
    """
    params = []
    for family in FAMILIES:
        smallest = smallest_variant(family)
        sizes = parameters_by_variant(family) if family in BUNDLED else {}
        others = [(name, False) for name in sizes if name != smallest and sizes[name] < LARGE]
        for variant, square in [(smallest, False), (smallest, True), *others]:
            wide = variant == smallest and not square
            name = f"{family}-{'wide' if wide else 'square' if square else variant}"
            for engine in engines if wide or family in BUNDLED else set(engines) & {ONE_ENGINE}:
                often = wide and (family in EVERY_ENGINE or (family in BUNDLED and engine == ONE_ENGINE))
                params.append(parameter(((family, variant, square), engine), f"{name}-{engine}", often))
            if not engines:
                params.append(parameter(((family, variant, square),), name, wide and family in BUNDLED))
    return params


def parameter(values: tuple[Any, ...], name: str, often: bool) -> Any:
    """One case; nightly unless `often`."""
    return pytest.param(*values, id=name, marks=[] if often else [pytest.mark.slow, pytest.mark.nightly])


on_every_engine = pytest.mark.parametrize(("line", "engine"), every_line(tuple(ENGINES)), indirect=True)
with_every_family = pytest.mark.parametrize("line", every_line(()), indirect=True)


@pytest.fixture(scope="module")
def line_of(family_onnx: Callable[..., Artifact]) -> Callable[..., Line]:
    """The line of a family and variant, gone once."""

    @functools.cache
    def go(family: str, variant: str, square: bool) -> Line:
        onnx = family_onnx(family, variant, square=square)
        frames = [rgb for rgb, _ in street_frames(onnx.spec)]
        limits = DEEP if variant == "large" else USUAL if family in BUNDLED else TINY_NET
        return Line(onnx, ranges_from_images(onnx.path, frames), frames, limits)

    return go


@pytest.fixture
def line(request: pytest.FixtureRequest, line_of: Callable[..., Line]) -> Line:
    return line_of(*request.param)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    try:
        open_engine(request.param).available()
    except UnavailableError as problem:
        pytest.skip(str(problem))
    return str(request.param)


@on_every_engine
def test_int8_goes_the_whole_line(line: Line, engine: str, tmp_path: Path) -> None:
    quantised = int8_from_ranges(line.onnx.path, line.table, target=engine, out=tmp_path / "int8.onnx")
    built = engine_from_onnx(
        quantised.path,
        engine,
        out_dir=tmp_path / "out",
        reference=line.onnx.path,
        frames=np.stack(line.frames),
        force=True,  # random features keep fewer labels than trained ones: `limits` says what they must keep
    )
    assert built.agreement.labels >= line.limits.int8_labels
    asking = [layer for layer in built.layers if layer.requested == "int8"]
    obtained = [layer for layer in asking if layer.obtained == "int8"]
    if open_engine(engine).simulates:
        assert {layer.obtained for layer in asking} == {"fp32"}
    else:
        assert len(obtained) >= 0.9 * len(asking) > 0  # a runtime may leave a depthwise convolution in float
        assert not runs(engine) or built.agreement.source_relative_rms < line.limits.source_rms
    read = Artifact.open(built.path)
    assert read == built
    assert (read.engine, read.precision, read.spec) == (engine, Precision.INT8, line.onnx.spec)
    assert {"weights", "onnx_sha256", "ranges", "target", "built_from_sha256"} <= set(read.provenance.to_dict())
    assert read.provenance.ranges.images == len(line.frames)
    assert all(read.versions.values())
    assert read.device["cpu"]
    if not runs(engine):
        return
    with edgeseg.open(built.path, threads=1) as segmenter, edgeseg.open(line.onnx.path, threads=1) as floating:
        rgb = line.frames[0]
        mask, expected = segmenter.segment(rgb), floating.segment(rgb)
    assert mask.labels.shape == rgb.shape[:2]
    assert (mask.labels == expected.labels).mean() >= line.limits.int8_labels


@on_every_engine
def test_fp32_goes_the_whole_line(line: Line, engine: str, tmp_path: Path) -> None:
    built = engine_from_onnx(line.onnx.path, engine, out_dir=tmp_path, frames=np.stack(line.frames))
    assert built.agreement.labels >= FLOAT_LABELS
    assert {layer.obtained for layer in built.layers} <= {"", "fp32"}
    if not runs(engine):
        return
    with edgeseg.open(built.path, threads=1) as segmenter:
        assert sum(segmenter.segment(line.frames[0]).shares().values()) == pytest.approx(1)


@on_every_engine
def test_fp16_and_a_dynamic_batch_go_the_whole_line(line: Line, engine: str, tmp_path: Path) -> None:
    chosen = open_engine(engine)
    if Precision.FP16 not in chosen.precisions or "batch" not in chosen.options:
        pytest.skip(f"{engine} makes neither fp16 nor engines for several images")
    half = fp16_from_ranges(line.onnx.path, line.table, out=tmp_path / "half.onnx")
    built = engine_from_onnx(
        half.path,
        engine,
        out_dir=tmp_path / "out",
        reference=line.onnx.path,
        frames=np.stack(line.frames),
        options=BuildOptions(batch=(1, 2, 4)),
    )
    assert built.agreement.labels >= line.limits.fp16_labels
    asking = [layer for layer in built.layers if layer.requested]
    # TensorRT-RTX makes a few additions of a small product, such as a pool to bins or a gate, and names no type.
    known = [layer for layer in asking if layer.obtained]
    assert len(known) >= 0.8 * len(asking)
    assert {layer.obtained for layer in known} <= {"fp16", "fp32"}
    assert sum(layer.obtained == "fp16" for layer in known) >= 0.9 * len(known) > 0  # what may overflow stays fp32
    assert [shape[0] for shape in built.build.profile] == [1, 2, 4]


def runs(engine: str) -> bool:
    """Whether this machine runs what it builds for `engine`."""
    try:
        open_engine(engine).runnable()
    except UnavailableError:
        return False
    return True


@with_every_family
def test_what_depends_on_weights_alone_is_no_part_of_the_graph(line: Line) -> None:
    model = onnx_ir.from_proto(read_onnx(line.onnx.path))
    constants = set(model.graph.initializers.values())
    assert [node.name for node in model.graph if node.inputs and constants.issuperset(node.inputs)] == []
    assert {value.dtype for node in model.graph for value in node.outputs}.isdisjoint({onnx_ir.DataType.DOUBLE})


@with_every_family
def test_the_canonical_form_is_canonical(line: Line, tmp_path: Path) -> None:
    quantised = int8_from_ranges(line.onnx.path, line.table, target="canonical", out=tmp_path / "canonical.onnx")
    model = onnx_ir.from_proto(read_onnx(quantised.path))
    check_canonical(model)
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph) > 0
    assert quantised.provenance.target == "canonical"


def test_one_of_the_two_sizes_is_not_square() -> None:
    for family in FAMILIES:
        sizes = [small_spec(family, square=square).input for square in (False, True)]
        assert [size.width == size.height for size in sizes] == [False, True]
        assert all(open_family(family).size_rule.fits(size.width, size.height) for size in sizes)
