"""The check of a build: which engines it refuses, the first wrong layer that it names, and the cause."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from residual_onnx import quantised, residual_onnx
from small_cli import runner
from small_onnx import float_onnx, frames, int8_onnx

from edgeseg.artifact import Artifact, load_onnx, read_onnx, write_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import SOURCE_RMS, CheckImages, relative_rms
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.diagnose import LOWER
from edgeseg.engines.engine import BuildJob, BuildResult, Engine
from edgeseg.engines.subgraphs import Deviation, SubgraphComparator, copied_outputs, reference_outputs
from edgeseg.engines.verify import agreement_of
from edgeseg.errors import AgreementError, MismatchError
from edgeseg.graph.truncate import bypass_pairs, data_flow, truncate_graph
from edgeseg.provenance import Agreement, Provenance
from edgeseg.spec import Output, Precision

pytest.importorskip("onnxruntime")
pytest.importorskip("polygraphy.comparator")

from edgeseg.engines.divergence import first_divergent

Parents = dict[str, tuple[str, ...]]
BUGGY_OPENVINO = "2026.4"  # computes a concat of signed codes wrongly


@st.composite
def graphs(draw: st.DrawFn) -> Parents:
    """Tensors t0, t1, ... that each are computed from up to three before them."""
    count = draw(st.integers(1, 40))
    parents: Parents = {"t0": ()}
    for index in range(1, count):
        before = draw(st.lists(st.integers(0, index - 1), min_size=1, max_size=3, unique=True))
        parents[f"t{index}"] = tuple(f"t{each}" for each in sorted(before))
    return parents


def tainted_by(parents: Parents, culprit: str) -> set[str]:
    """`culprit` and all that is computed from it."""
    tainted = {culprit}
    for name, sources in parents.items():
        if tainted & set(sources):
            tainted.add(name)
    return tainted


@given(graphs(), st.data())
def test_the_bisection_finds_the_one_wrong_tensor_of_any_graph(parents: Parents, data: st.DataObject) -> None:
    culprit = data.draw(st.sampled_from(sorted(parents)))
    tainted = tainted_by(parents, culprit)
    last = data.draw(st.sampled_from(sorted(tainted)))
    asked: list[str] = []

    def is_off(name: str) -> bool:
        asked.append(name)
        return name in tainted

    assert first_divergent(parents, last, is_off) == culprit
    assert len(asked) == len(set(asked)) < len(parents)


@given(st.integers(1, 300), st.data())
def test_a_chain_is_halved_each_time(length: int, data: st.DataObject) -> None:
    parents = {f"t{i}": (f"t{i - 1}",) if i else () for i in range(length)}
    culprit = data.draw(st.integers(0, length - 1))
    asked: list[str] = []

    def is_off(name: str) -> bool:
        asked.append(name)
        return int(name[1:]) >= culprit

    assert first_divergent(parents, f"t{length - 1}", is_off) == f"t{culprit}"
    assert len(asked) <= math.ceil(math.log2(length))


def outputs_of(model: ir.Model) -> dict[str, np.ndarray]:
    return next(reference_outputs(model, frames(1)))


def test_a_cut_graph_gives_the_tensors_of_the_whole_and_needs_no_more(residual: Artifact, table: RangeTable) -> None:
    int8 = quantised(residual, table, "canonical")
    names = [name for name in data_flow(ir.from_proto(read_onnx(int8.path))).parents if name != "logits"]
    whole = ir.from_proto(read_onnx(int8.path))
    whole.graph.outputs.extend(value for node in whole.graph for value in node.outputs if value.name in names)
    want = outputs_of(whole)
    for name in names:
        cut = truncate_graph(ir.from_proto(read_onnx(int8.path)), [name])
        onnx.checker.check_model(ir.to_proto(cut))
        np.testing.assert_array_equal(outputs_of(cut)[name], want[name])
    assert {node.op_type for node in truncate_graph(ir.from_proto(read_onnx(int8.path)), ["stem"]).graph} == {
        *("Cast", "Transpose", "Sub", "Mul", "QuantizeLinear", "DequantizeLinear", "Conv"),
    }


def test_without_its_pairs_a_graph_is_the_float_one_but_for_the_weights(residual: Artifact, table: RangeTable) -> None:
    int8 = quantised(residual, table, "onnxruntime")
    smooth = outputs_of(bypass_pairs(ir.from_proto(read_onnx(int8.path))))["logits"]
    exact = outputs_of(ir.from_proto(read_onnx(residual.path)))["logits"]
    rounded = outputs_of(ir.from_proto(read_onnx(int8.path)))["logits"]
    assert 0 < np.square(smooth - exact).mean() < np.square(rounded - exact).mean()


def test_a_flow_passes_over_rounded_copies_and_what_is_no_float(tmp_path: Path) -> None:
    mask = ir.from_proto(read_onnx(float_onnx(tmp_path, Output.MASK).path))
    flow = data_flow(mask)
    assert flow.outputs == ("logits",)
    assert (flow.parents["float"], flow.parents["c0"], flow.parents["x1"]) == ((), ("x0",), ("c0",))
    assert list(flow.parents)[-1] == "logits"


def forced(int8: Artifact, engine: str, out: Path, **options: Any) -> Artifact:
    return engine_from_onnx(int8.path, engine, out_dir=out, frames=frames(2), force=True, **options)


def buggy_openvino(canonical: Artifact) -> None:
    """Skip unless OpenVINO computes the logits of `canonical` wrongly on this CPU."""
    openvino = pytest.importorskip("openvino")
    if not openvino.__version__.startswith(BUGGY_OPENVINO):
        pytest.skip(f"OpenVINO {openvino.__version__} need not have the bugs of {BUGGY_OPENVINO}")
    with open_engine("openvino").open(canonical) as backend:
        logits = [copied_outputs(backend, frame)["logits"] for frame in frames(2)]
    exact = [each["logits"] for each in reference_outputs(load_onnx(canonical.path).graph(), frames(2))]
    if relative_rms(logits, exact) < SOURCE_RMS[Precision.INT8]:
        pytest.skip("OpenVINO computes this concat correctly on this CPU")


def test_the_concat_that_openvino_computes_wrongly_is_caught_and_named(
    residual: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    canonical = quantised(residual, table, "canonical")
    buggy_openvino(canonical)
    with pytest.raises(AgreementError) as caught:
        forced(canonical, "openvino", tmp_path / "out")
    assert caught.value.code == "ES-AGREEMENT-ONNX"
    assert caught.value.message.startswith("small.openvino.int8.onnx ")
    assert "fuse/Conv (Conv)" in caught.value.message
    assert caught.value.hint == LOWER
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_is_caught_where_the_model_gives_a_mask(residual: Artifact, table: RangeTable, tmp_path: Path) -> None:
    buggy_openvino(quantised(residual, table, "canonical"))
    mask = residual_onnx(tmp_path, "mask.onnx", output=Output.MASK)
    with pytest.raises(AgreementError, match=r"fuse/Conv \(Conv\)") as caught:
        forced(quantised(mask, table, "canonical"), "openvino", tmp_path / "out")
    assert caught.value.hint == LOWER


@pytest.mark.parametrize("output", list(Output))
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "pytorch"])
def test_a_file_made_for_its_engine_passes(
    engine: str, output: Output, residual: Artifact, table: RangeTable, tmp_path: Path
) -> None:
    pytest.importorskip({"pytorch": "torch"}.get(engine, engine))
    source = residual_onnx(tmp_path, "source.onnx", output=output)
    int8 = quantised(source, table, engine)
    built = engine_from_onnx(int8.path, engine, out_dir=tmp_path / "out", reference=source.path, frames=frames(4))
    assert built.agreement.source_relative_rms < 0.05  # right engines of untrained nets; the wrong one has 0.1 to 0.6
    assert built.agreement.source_labels > 0.9  # thin margins between the classes of random weights
    assert built.agreement.frames == 4
    assert Artifact.open(built.path).agreement == built.agreement


def wrong_runtime(node: str, factor: float) -> Engine:
    """ONNX Runtime that multiplies the weight of `node` by `factor`."""
    right = open_engine("onnxruntime")

    def write(job: BuildJob) -> BuildResult:
        written = right.write(job)
        model = onnx.load(job.path)
        for each in model.graph.node:
            for constant in model.graph.initializer:
                if each.name == node and constant.name == each.input[1]:
                    constant.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(constant) * factor, constant.name))
        onnx.save(model, job.path)
        return written

    return dataclasses.replace(right, name="wrong", write=write)


def check_of(engine: Engine, source: Artifact, folder: Path, **options: Any) -> Agreement:
    loaded = load_onnx(source.path)
    built = engine.build(loaded, folder / "built.onnx", source.precision)
    return agreement_of(engine, built, loaded, options.get("reference"), CheckImages(frames(2)))


@pytest.mark.parametrize("node", ["conv0", "conv1", "conv2"])
def test_any_layer_that_is_computed_wrongly_is_named(node: str, tmp_path: Path) -> None:
    with pytest.raises(AgreementError) as caught:
        check_of(wrong_runtime(node, 1.01), float_onnx(tmp_path), tmp_path)
    assert caught.value.code == "ES-AGREEMENT-ONNX"
    assert f" {node} (Conv)" in caught.value.message
    assert "float.onnx" in caught.value.hint


def test_a_wrong_layer_of_a_mask_is_found_though_no_label_moves(tmp_path: Path) -> None:
    with pytest.raises(AgreementError, match=r" conv1 \(Conv\)"):
        check_of(wrong_runtime("conv1", 1.01), float_onnx(tmp_path, Output.MASK), tmp_path)


def test_numbers_that_only_the_engine_makes_infinite_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(AgreementError) as caught:
        check_of(wrong_runtime("conv1", np.float32(np.inf)), float_onnx(tmp_path), tmp_path)
    assert "built.onnx gives NaN" in caught.value.message
    assert "conv1 (Conv)" in caught.value.message


@pytest.mark.parametrize(("ratio", "passes"), [(1.9, True), (2.1, False)])
def test_codes_that_round_independently_are_no_wrong_layer(
    ratio: float, passes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two right runtimes may differ by 2 ** 0.5 times what rounding changes, in any tensor alike."""
    monkeypatch.setattr(SubgraphComparator, "compare", lambda *_: Deviation(0.02 * ratio, 0.02, 0, True))
    int8 = int8_onnx(tmp_path)
    if passes:
        assert check_of(open_engine("onnxruntime"), int8, tmp_path).source_relative_rms == 0.02 * ratio
        assert caplog.messages[-1].startswith("built.onnx: ")
    else:
        with pytest.raises(AgreementError, match=r"built\.onnx .*4\.2%.*2\.0%"):
            check_of(open_engine("onnxruntime"), int8, tmp_path)


def test_the_progress_of_the_search_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="edgeseg.engines")
    with pytest.raises(AgreementError):
        check_of(wrong_runtime("conv1", 2.0), float_onnx(tmp_path), tmp_path)
    assert caplog.messages[0].startswith("built.onnx ")
    assert any(message.startswith("bisection: c1 is wrong") for message in caplog.messages)


def without_polygraphy(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `pip install edgeseg[debug]` was not typed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "polygraphy"]:
        monkeypatch.setitem(sys.modules, name, None)
    for module in ("divergence", "quantization_error"):
        monkeypatch.delitem(sys.modules, f"edgeseg.engines.{module}", raising=False)


def test_without_polygraphy_a_build_that_is_off_fails_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_polygraphy(monkeypatch)
    with pytest.raises(AgreementError) as caught:
        check_of(wrong_runtime("conv1", 1.01), float_onnx(tmp_path), tmp_path)
    assert caught.value.code == "ES-AGREEMENT-ONNX"
    assert caught.value.hint.startswith("pip install edgeseg[debug]")


def test_without_polygraphy_int8_that_lost_too_much_is_refused_all_the_same(
    residual: Artifact, table: RangeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_polygraphy(monkeypatch)
    int8 = quantised(residual, table, "onnxruntime")
    other = residual_onnx(tmp_path, "other.onnx", seed=9)
    with pytest.raises(AgreementError) as caught:
        engine_from_onnx(
            int8.path, "onnxruntime", out_dir=tmp_path / "out", reference=other.path, frames=frames(2, seed=7)
        )
    assert caught.value.code == "ES-AGREEMENT"
    assert "pip install edgeseg[debug]" in caught.value.hint


IMPORTS = """
import sys
from pathlib import Path
from small_onnx import frames
from edgeseg.engines.build import engine_from_onnx
for source in sys.argv[2:]:
    engine_from_onnx(Path(source), "onnxruntime", out_dir=Path(sys.argv[1]), frames=frames(2))
assert not any(name.startswith("polygraphy") for name in sys.modules)
"""


def test_a_build_that_is_right_does_not_import_polygraphy(tmp_path: Path) -> None:
    for output in Output:
        (tmp_path / output).mkdir()
    sources = [float_onnx(tmp_path / output, output).path for output in Output]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, tmp_path / "out", *sources],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]


def test_a_search_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AgreementError):
        check_of(wrong_runtime("conv1", 1.01), float_onnx(tmp_path), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_number_is_infinitely_off() -> None:
    assert not Deviation(math.nan, 0.1, 0, True)
    assert Deviation(0.1, 0.1, 0, True)
    assert Deviation(0.3, 0.1, 0, True).ratio == pytest.approx(3)


def test_force_takes_the_file_of_another_target_through_the_check(
    residual: Artifact, table: RangeTable, tmp_path: Path, monkeypatch: Any, capfd: Any
) -> None:
    buggy_openvino(quantised(residual, table, "canonical"))
    monkeypatch.chdir(tmp_path)
    run = runner(monkeypatch, capfd)
    words = ("build", "canonical.onnx", "--engine", "openvino", "-o", "made")
    refused = run(*words)
    assert refused.code == 2
    assert "canonical.onnx" in refused.lines("error")[0]
    caught = run(*words, "--force")
    assert caught.code == 2
    assert "fuse/Conv (Conv)" in caught.lines("error")[0]
    assert caught.lines("hint") == [LOWER]
    assert not any(Path("made").iterdir())


def test_force_builds_what_the_engine_computes_rightly(tmp_path: Path) -> None:
    int8 = int8_onnx(tmp_path)
    write_onnx(read_onnx(int8.path), dataclasses.replace(int8, provenance=Provenance(target="tensorrt")))
    built = forced(int8, "onnxruntime", tmp_path / "out")
    assert built.agreement.source_relative_rms < 0.02  # three layers: few codes round the other way
    assert built.provenance.target == "tensorrt"
    with pytest.raises(MismatchError, match=r"int8\.onnx"):
        forced(int8, "onnxruntime", tmp_path / "out", precision=Precision.FP32)
