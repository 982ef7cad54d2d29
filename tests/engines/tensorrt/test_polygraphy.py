"""NVIDIA's own debugger over our files: it reads them, TensorRT-RTX's parser takes them, and they compute the same."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from residual_onnx import quantised
from small_onnx import CLASSES, HEIGHT, WIDTH, frames, onnx_model

from edgeseg.artifact import Artifact, load_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.errors import UnavailableError
from edgeseg.spec import Precision

comparator = pytest.importorskip("polygraphy.comparator")
onnxrt = pytest.importorskip("polygraphy.backend.onnxrt")
runners = pytest.importorskip("edgeseg.engines.runners")

PATIENCE_SECONDS = 120  # a command takes about a second; a machine that is busy may take much longer
# A float engine is refused where its relative rms against its file is above 0.001 (engines/agreement.py): 60 dB.
FLOAT_DB = 60.0
# int8 on these random weights: 37 to 38 dB, and the lowered form 33 dB from the canonical one, since it rounds the
# outputs too. 20 dB is Polygraphy's own; ranges of another tensor would leave less.
INT8_DB = 20.0
COUNT = 4


def polygraphy(*words: str | Path, **environment: str) -> str:
    """What the command prints. It runs in a process of its own, for it reads the environment once."""
    done = subprocess.run(
        [Path(sys.executable).with_name("polygraphy"), *words],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    return done.stdout


@pytest.fixture(params=["float", "canonical"])
def artifact(request: pytest.FixtureRequest, residual: Artifact, table: RangeTable) -> Artifact:
    """A float ONNX, and the int8 one that TensorRT gets."""
    return residual if request.param == "float" else quantised(residual, table, request.param)


def test_inspect_model_shows_our_input_output_and_nodes(artifact: Artifact) -> None:
    out = polygraphy("inspect", "model", artifact.path, "--show", "layers")
    assert f"rgb [dtype=uint8, shape=(1, {HEIGHT}, {WIDTH}, 3)]" in out
    assert f"logits [dtype=float32, shape=(1, {CLASSES}, {HEIGHT // 2}, {WIDTH // 2})]" in out
    assert "stem/Conv" in out
    assert ("QuantizeLinear" in out) == (artifact.precision is Precision.INT8)


def capability(path: Path, *words: str) -> str:
    """What the parser of TensorRT-RTX says of a file; it needs no GPU."""
    pytest.importorskip("tensorrt_rtx")
    dumps = path.parent / "dumps"
    return polygraphy("inspect", "capability", path, "-o", dumps, *words, POLYGRAPHY_USE_TENSORRT_RTX="1")


@pytest.mark.parametrize("words", [(), ("--with-partitioning",)])
def test_the_parser_of_rtx_takes_our_files_whole(words: Sequence[str], artifact: Artifact) -> None:
    assert "Graph is fully supported by TensorRT" in capability(artifact.path, *words)


def test_capability_names_a_node_that_the_parser_refuses(tmp_path: Path) -> None:
    nodes = [helper.make_node("Det", ["x"], ["y"], "odd/Det")]
    model = onnx_model(nodes, [("x", TensorProto.FLOAT, [3, 3])], [("y", TensorProto.FLOAT, [])], {})
    onnx.save(model, tmp_path / "odd.onnx")
    out = capability(tmp_path / "odd.onnx")
    assert "fully supported" not in out
    assert "odd/Det" in out


def engine_runner(name: str, artifact: Artifact) -> Any:
    """An engine that edgeseg opens, as Polygraphy runs things."""
    return runners.EngineRunner(
        name, functools.partial(open_engine(artifact.engine).open, artifact, RunOptions(threads=1))
    )


def session(artifact: Artifact) -> Any:
    """Polygraphy's own runner of an ONNX file."""
    return onnxrt.OnnxrtRunner(onnxrt.SessionFromOnnx(str(artifact.path)), name=artifact.path.stem)


def passes(runners: Sequence[Any], least_db: float, data: Any = None) -> bool:
    """Whether the second runner's output lies within `least_db` of signal to noise from the first's, each time."""
    results = comparator.Comparator.run(
        runners, data or comparator.DataLoader(seed=1, iterations=4, val_range=(0, 255))
    )
    assert [len(iterations) for _, iterations in results] == [len(data or range(4))] * 2
    assert comparator.Comparator.validate(results, check_inf=True, check_nan=True)
    measure = comparator.SnrCompareFunc(snr_threshold=least_db)
    return bool(comparator.Comparator.compare_accuracy(results, compare_func=measure))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_float_engine_computes_what_its_file_says(name: str, residual: Artifact, tmp_path: Path) -> None:
    try:
        engine = open_engine(name)
        engine.available()
    except UnavailableError as problem:
        pytest.skip(str(problem))
    built = engine.build(load_onnx(residual.path), tmp_path / f"built.{engine.extension}", Precision.FP32)
    assert passes([session(residual), engine_runner(name, built)], FLOAT_DB)


@pytest.mark.parametrize("target", ["canonical", "onnxruntime"])
def test_int8_is_near_the_float_file_and_not_equal_to_it(target: str, residual: Artifact, table: RangeTable) -> None:
    runners = [session(residual), session(quantised(residual, table, target))]
    pictures = [{"rgb": frame[None]} for frame in frames(COUNT, seed=9)]
    for data in (pictures, None):  # what it was calibrated for, and noise
        assert passes(runners, INT8_DB, data)
        assert not passes(runners, FLOAT_DB, data)


def test_the_lowered_form_computes_what_the_canonical_one_says(residual: Artifact, table: RangeTable) -> None:
    assert passes([session(quantised(residual, table, target)) for target in ("canonical", "onnxruntime")], INT8_DB)


def test_ranges_that_are_off_are_seen(residual: Artifact, table: RangeTable, tmp_path: Path) -> None:
    good = quantised(residual, table, "canonical")
    model = onnx.load(good.path)
    scale = next(node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear")
    tensor = next(each for each in model.graph.initializer if each.name == scale)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) / np.float32(8), scale))
    bad = Artifact(tmp_path / "bad.onnx", good.spec)
    onnx.save(model, bad.path)
    assert not passes([session(good), session(bad)], INT8_DB)
