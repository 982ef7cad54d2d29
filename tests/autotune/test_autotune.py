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
    builder = CandidateBuilder(source, table, open_engine("onnxruntime"), tmp_path, images)
    mixed = builder.build(Precision.INT8, [Block("second", ("conv1",))], checked=False)
    assert mixed.path.with_name("street.onnxruntime.int8-mixed.onnx").exists()
    assert builder.build(Precision.INT8, checked=False).path.with_name("street.int8.onnx").exists()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_engine_is_chosen_by_what_was_measured(engine: str, images: Path, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    source, out = street_onnx(tmp_path), tmp_path / "out"
    made = convert(source.path, engine=engine, precision=Auto(MIXED), images=images, limit=12, out=out)
    decision = made.decision
    assert decision is not None
    artifact = Artifact.open(made.engine.path)
    assert artifact.path.name == f"street.{engine}.{decision.chosen.name}.onnx"
    assert artifact.decision["summary"] == decision.summary
    names = [each["name"] for each in artifact.decision["candidates"]]
    assert names[0] == "fp32"
    assert "int8" in names
    within = [each for each in decision.candidate_set.candidates if each.is_within]
    assert decision.chosen in within
    assert all(not each.is_faster or each.ratio.value >= decision.chosen.ratio.value for each in within if each.ratio)  # type: ignore[union-attr]
    assert artifact.decision["evaluated_on"]["images"] == 12
    files = {path.name for path in out.iterdir()}
    expected = {made.engine.path.name, f"{made.engine.path.name}.json", "street.onnx", "street.ranges.json"}
    assert files - {f"{made.engine.path.stem}.pareto.png"} == expected


def test_labelled_images_decide_by_miou(tmp_path: Path) -> None:
    data = "street:?seed=1&scenes=10&frames=1&size=64x32"
    made = convert(
        street_onnx(tmp_path).path,
        engine="onnxruntime",
        precision=Auto(Budget(minutes=0), data),
        images="street:?seed=50&scenes=8&frames=1&size=64x32",
        out=tmp_path / "out",
    )
    assert made.decision is not None
    evaluated_on = made.engine.decision["evaluated_on"]
    assert evaluated_on["labelled"]
    assert evaluated_on["source"].startswith("street:")
    assert all(0 <= each["miou"] <= 1 for each in made.engine.decision["candidates"])


def test_calibration_images_are_not_in_the_evaluation_set(images: Path, tmp_path: Path) -> None:
    spec = street_onnx(tmp_path).spec
    evaluation_set = evaluation_set_from_options(spec, None, images, limit=10)
    assert len(evaluation_set.images) == 14
    with pytest.raises(DataError, match="4 images") as error:
        evaluation_set_from_options(spec, None, images, limit=20)
    assert error.value.code == "ES-DATA-FEW"


def test_labelled_calibration_images_are_left_out(tmp_path: Path) -> None:
    spec = street_onnx(tmp_path).spec
    data = "street:?seed=1&scenes=12&frames=1&size=64x32"
    assert len(evaluation_set_from_options(spec, data, data.replace("scenes=12", "scenes=3"), limit=100).images) == 9
    with pytest.raises(DataError, match="0 images") as error:
        evaluation_set_from_options(spec, data, data, limit=100)
    assert error.value.code == "ES-DATA-FEW"


def test_the_evaluation_set_without_data_is_synthetic_and_without_images_search_uses_some_of_the_data(
    tmp_path: Path,
) -> None:
    spec = street_onnx(tmp_path).spec
    synthetic = evaluation_set_from_options(spec, None, None, limit=1)
    assert (synthetic.source, synthetic.advice) == ("synthetic street images", "")
    assert len(synthetic.images) == 64
    evaluation_set = evaluation_set_from_options(spec, "street:?seed=1&scenes=40&frames=1&size=64x32", None, limit=1)
    assert (len(evaluation_set.search), len(evaluation_set.images)) == (16, 24)
    searched = {rgb.tobytes() for rgb in evaluation_set.search}
    assert not searched & {image.rgb().tobytes() for image in evaluation_set.images}


def test_an_engine_that_only_simulates_int8_decides_nothing(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(MismatchError) as error:
        convert(street_onnx(tmp_path).path, engine="pytorch", precision=Auto(), out=tmp_path / "out")
    assert error.value.code == "ES-MISMATCH-SIMULATED"
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_summary_and_all_candidates(
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
    result = run(*map(str, words), "--json").json()
    assert result["decision"]["summary"]
    assert [each["name"] for each in result["decision"]["candidates"]][:2] == ["fp32", "int8"]
    table = run(*map(str, words))
    assert "agreement with the float engine decides" in table.out
    assert "fp32" in table.out
    assert Path(result["plot"]).stat().st_size > 1000


def test_data_beside_a_named_precision_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = runner(monkeypatch, capfd)("convert", street_onnx(tmp_path).path, "--precision", "fp32", "--data", "street:")
    assert done.code == 2
    assert done.error_code == "ES-MISMATCH-OPTIONS"
