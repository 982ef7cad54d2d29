from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from small_cli import runner
from small_onnx import frames, street_onnx

from edgeseg.artifact import Artifact, load_onnx
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import CandidateBuilder
from edgeseg.autotune.choice import Auto
from edgeseg.autotune.evaluation_set import evaluation_set_from_options
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.conversion import convert
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import CheckImages
from edgeseg.errors import DataError, MismatchError
from edgeseg.spec import Precision


@pytest.fixture(autouse=True)
def short_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.autotune.benchmark.SECONDS", 0.01)


MIXED = Budget(min_agreement=0.9999, minutes=1)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, rgb in enumerate(frames(24)):
        cv2.imwrite(str(folder / f"{index:02}.png"), rgb)
    return folder


def test_the_onnx_of_a_mix_names_the_engine_that_it_was_measured_on(tmp_path: Path) -> None:
    source = load_onnx(street_onnx(tmp_path).path)
    table, images = ranges_from_images(source, frames(4)), CheckImages(frames(2))
    maker = CandidateBuilder(source, table, open_engine("onnxruntime"), tmp_path, images)
    mixed = maker.build(Precision.INT8, [Block("second", ("conv1",))], checked=False)
    assert mixed.path.with_name("street.onnxruntime.int8-mixed.onnx").exists()
    assert maker.build(Precision.INT8, checked=False).path.with_name("street.int8.onnx").exists()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_engine_is_chosen_by_what_was_measured(engine: str, images: Path, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    source, out = street_onnx(tmp_path), tmp_path / "out"
    made = convert(source.path, engine=engine, precision=Auto(MIXED), images=images, limit=12, out=out)
    decision = made.decision
    assert decision is not None
    artifact = Artifact.open(made.engine.path)
    assert artifact.path.name == f"street.{engine}.{decision.chosen.name}.onnx"
    assert artifact.decision["verdict"] == decision.summary
    names = [each["name"] for each in artifact.decision["candidates"]]
    assert names[0] == "fp32"
    assert "int8" in names
    within = [each for each in decision.field.candidates if each.is_within]
    assert decision.chosen in within
    assert all(not each.is_faster or each.ratio.value >= decision.chosen.ratio.value for each in within if each.ratio)  # type: ignore[union-attr]
    assert artifact.decision["judged_on"]["pictures"] == 12
    left = {path.name for path in out.iterdir()}
    kept = {made.engine.path.name, f"{made.engine.path.name}.json", "street.onnx", "street.ranges.json"}
    assert left - {f"{made.engine.path.stem}.pareto.png"} == kept


def test_labelled_pictures_decide_by_miou(tmp_path: Path) -> None:
    data = "street:?seed=1&scenes=10&frames=1&size=64x32"
    made = convert(
        street_onnx(tmp_path).path,
        engine="onnxruntime",
        precision=Auto(Budget(minutes=0), data),
        images="street:?seed=50&scenes=8&frames=1&size=64x32",
        out=tmp_path / "out",
    )
    assert made.decision is not None
    judged = made.engine.decision["judged_on"]
    assert judged["labelled"]
    assert judged["source"].startswith("street:")
    assert all(0 <= each["miou"] <= 1 for each in made.engine.decision["candidates"])


def test_pictures_that_were_calibrated_on_do_not_judge(images: Path, tmp_path: Path) -> None:
    spec = street_onnx(tmp_path).spec
    panel = evaluation_set_from_options(spec, None, images, limit=10)
    assert len(panel.judged) == 14
    with pytest.raises(DataError) as problem:
        evaluation_set_from_options(spec, None, images, limit=20)
    assert problem.value.message == (
        f"4 pictures are left to judge on in {images}, beside the 20 for calibration; 8 are needed"
    )
    assert "--limit" in problem.value.hint


def test_labelled_pictures_that_were_calibrated_on_are_left_out(tmp_path: Path) -> None:
    spec = street_onnx(tmp_path).spec
    data = "street:?seed=1&scenes=12&frames=1&size=64x32"
    assert len(evaluation_set_from_options(spec, data, data.replace("scenes=12", "scenes=3"), limit=100).judged) == 9
    with pytest.raises(DataError, match="0 pictures are left to judge on in street:"):
        evaluation_set_from_options(spec, data, data, limit=100)


def test_without_pictures_drawn_ones_judge_and_without_images_some_of_the_data_weigh(tmp_path: Path) -> None:
    spec = street_onnx(tmp_path).spec
    drawn = evaluation_set_from_options(spec, None, None, limit=1)
    assert (drawn.source, drawn.advice) == ("synthetic street images", "")
    assert len(drawn.judged) == 64
    panel = evaluation_set_from_options(spec, "street:?seed=1&scenes=40&frames=1&size=64x32", None, limit=1)
    assert (len(panel.search), len(panel.judged)) == (16, 24)
    assert not {rgb.tobytes() for rgb in panel.search} & {picture.rgb().tobytes() for picture in panel.judged}


def test_an_engine_that_only_simulates_int8_decides_nothing(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(MismatchError, match="pytorch computes int8 in floating point"):
        convert(street_onnx(tmp_path).path, engine="pytorch", precision=Auto(), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_verdict_and_all_candidates(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    run = runner(monkeypatch, capfd)
    words = [
        "convert",
        street_onnx(tmp_path).path,
        "--engine",
        "onnxruntime",
        "--precision",
        "auto",
        "--images",
        images,
    ]
    words += ["--limit", 12, "--minutes", 0, "--min-agreement", 0.5, "-o", tmp_path / "out"]
    found = run(*map(str, words), "--json").json()
    assert found["decision"]["verdict"]
    assert [each["name"] for each in found["decision"]["candidates"]][:2] == ["fp32", "int8"]
    table = run(*map(str, words))
    assert "agreement with the float engine decides" in table.out
    assert "fp32" in table.out
    assert Path(found["plot"]).stat().st_size > 1000


def test_data_beside_a_named_precision_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = runner(monkeypatch, capfd)("convert", street_onnx(tmp_path).path, "--precision", "fp32", "--data", "street:")
    assert done.code == 2
    assert done.error_code == "ES-MISMATCH-OPTIONS"
