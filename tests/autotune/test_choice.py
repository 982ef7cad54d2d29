"""The precision and the engine that `convert` chooses by default, and the summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from small_cli import runner
from small_onnx import float_onnx, frames, street_onnx

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.autotune import candidate as candidate_module
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import Candidate
from edgeseg.autotune.choice import Auto
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.placement import TARGETS
from edgeseg.conversion import convert, engines_named
from edgeseg.engines import open_engine
from edgeseg.engines.diagnose import ROUNDING_ALONE
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import AgreementError, UnavailableError, UnknownNameError
from edgeseg.opening import existing_engine
from edgeseg.provenance import Agreement
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

pytest.importorskip("onnxruntime")


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    return ranges_from_images(street_onnx(tmp_path).path, frames(8)).write(tmp_path / "ranges.json")


@pytest.fixture
def say_faster(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Set whether int8 is faster: for a small network on a busy machine a benchmark may give any result."""

    def say(faster: bool) -> None:
        said = property(lambda each: faster and each.name == "int8")
        monkeypatch.setattr(Candidate, "is_faster", said)

    return say


def short(least: float) -> Auto:
    """The default search with another share of equal labels, for an untrained network."""
    return Auto(Budget(min_agreement=least), short=True)


def test_int8_is_kept_where_it_is_faster_and_keeps_the_labels(
    ranges: Path, tmp_path: Path, say_faster: Callable[[bool], None]
) -> None:
    say_faster(True)
    made = convert(
        tmp_path / "street.onnx", engine="onnxruntime", precision=short(0.9), ranges=ranges, out=tmp_path / "out"
    )
    assert made.engine.precision is Precision.INT8
    assert made.summary.startswith("int8 kept: ")
    assert "of the labels" in made.summary
    assert Artifact.open(made.engine.path).decision["summary"] == made.summary
    names = {each["name"] for each in made.engine.decision["candidates"]}
    assert names == {"fp32", "int8"}
    assert (made.plot, made.ranges) == (None, ranges)


def test_float_is_kept_where_int8_is_no_faster(
    ranges: Path, tmp_path: Path, say_faster: Callable[[bool], None]
) -> None:
    say_faster(False)
    made = convert(tmp_path / "street.onnx", engine="onnxruntime", ranges=ranges, out=tmp_path / "out")
    assert (made.engine.precision, made.ranges) == (Precision.FP32, None)
    assert made.summary.startswith("fp32 kept: int8 is ")


def test_float_is_kept_where_int8_changes_more_than_one_label_in_a_hundred(
    ranges: Path, tmp_path: Path, say_faster: Callable[[bool], None]
) -> None:
    say_faster(True)
    made = convert(
        tmp_path / "street.onnx", engine="onnxruntime", precision=short(1.0), ranges=ranges, out=tmp_path / "out"
    )
    assert made.engine.precision is Precision.FP32
    assert "keeps fewer than 100.00% of the float labels" in made.summary


def test_the_limit_is_ninety_nine_labels_in_a_hundred_and_the_figure_alone_decides() -> None:
    from edgeseg.autotune.budget import Cost
    from edgeseg.measure.estimate import Estimate

    assert Auto(short=True).budget.min_agreement == 0.99
    assert Cost(Estimate(0.009, 0.005, 0.02), 0.01, labelled=False, sure=False).is_within
    assert not Cost(Estimate(0.011, 0.005, 0.02), 0.01, labelled=False, sure=False).is_within
    assert not Cost(Estimate(0.009, 0.005, 0.02), 0.01, labelled=False).is_within


def test_labelled_images_decide_by_miou(ranges: Path, tmp_path: Path, say_faster: Callable[[bool], None]) -> None:
    say_faster(True)
    data = "street:?seed=1&scenes=24&frames=1&size=64x32"
    auto = Auto(Budget(max_drop=1.0), data, short=True)
    made = convert(tmp_path / "street.onnx", engine="onnxruntime", precision=auto, ranges=ranges, out=tmp_path / "out")
    assert made.engine.precision is Precision.INT8
    assert "mIoU" in made.summary
    assert made.engine.decision["evaluated_on"]["labelled"]
    assert made.engine.agreement.images == data


@pytest.mark.parametrize("precision", [Auto(short=True), Auto(Budget(minutes=0))])
def test_images_beside_labelled_data_and_ranges_are_not_calibrated_on(
    precision: Auto, ranges: Path, tmp_path: Path
) -> None:
    data = "street:?seed=1&scenes=24&frames=1&size=64x32"
    made = convert(
        tmp_path / "street.onnx",
        engine="onnxruntime",
        precision=dataclasses.replace(precision, data=data),
        images=image_folder(tmp_path / "images", 3),
        ranges=ranges,
        out=tmp_path / "out",
    )
    assert made.engine.decision["evaluated_on"]["labelled"]


def image_folder(folder: Path, count: int) -> Path:
    """`folder` with so many images."""
    folder.mkdir()
    for index, rgb in enumerate(frames(count)):
        cv2.imwrite(str(folder / f"{index:02}.png"), rgb)
    return folder


def test_a_choice_shows_the_progress_of_its_builds(
    ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = open_engine("onnxruntime"), set()

    def write(job: Any) -> Any:
        job.progress("kernels", 1, 2)
        return real.write(job)

    monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: dataclasses.replace(real, write=write))
    convert(
        tmp_path / "street.onnx",
        engine="onnxruntime",
        ranges=ranges,
        out=tmp_path / "out",
        progress=lambda *step: steps.add(step[0]),
    )
    assert "kernels" in steps


def test_force_takes_faster_int8_whatever_it_loses_without_a_precision_too(
    tmp_path: Path, say_faster: Callable[[bool], None]
) -> None:
    say_faster(True)
    options: dict[str, Any] = {"engine": "onnxruntime", "ranges": spoilt_ranges(tmp_path), "out": tmp_path / "out"}
    assert convert(tmp_path / "street.onnx", **options).engine.precision is Precision.FP32
    made = convert(tmp_path / "street.onnx", **options, force=True)
    assert made.engine.precision is Precision.INT8
    assert made.summary.startswith("int8 kept: ")


def test_labelled_images_decide_on_int8_however_many_labels_it_changes(
    tmp_path: Path, say_faster: Callable[[bool], None]
) -> None:
    say_faster(True)
    auto = Auto(Budget(max_drop=1.0), "street:?seed=1&scenes=24&frames=1&size=64x32", short=True)
    made = convert(
        street_onnx(tmp_path).path, engine="onnxruntime", precision=auto, ranges=spoilt_ranges(tmp_path),
        out=tmp_path / "out",
    )  # fmt: skip
    assert made.engine.precision is Precision.INT8
    assert made.engine.agreement.labels is not None
    assert made.engine.agreement.labels < 0.95


@pytest.mark.parametrize(("precision", "runs_here"), [(None, True), (None, False), (Auto(Budget(minutes=0)), True)])
def test_noise_decides_nothing(
    precision: Auto | None,
    runs_here: bool,
    tmp_path: Path,
    say_faster: Callable[[bool], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say_faster(True)
    if not runs_here:
        real = open_engine("onnxruntime")
        unable = dataclasses.replace(real, runs_here=elsewhere)
        monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: unable)
    source = float_onnx(tmp_path)  # of classes that no street has
    table = ranges_from_images(source.path, frames(4)).write(tmp_path / "ranges.json")
    options: dict[str, Any] = {"engine": "onnxruntime", "precision": precision, "ranges": table}
    made = convert(source.path, **options, out=tmp_path / "out")
    assert made.engine.precision is Precision.FP32
    assert made.summary.startswith("fp32 chosen: ")
    assert "--images FOLDER" in made.summary
    assert "--images FOLDER" not in caplog.text  # the summary has it
    images = image_folder(tmp_path / "images", 30)
    made = convert(source.path, **options, images=images, out=tmp_path / "out")
    assert "noise" not in made.summary


def test_without_ranges_the_best_float_is_built_and_the_reason_said(tmp_path: Path) -> None:
    made = convert(street_onnx(tmp_path).path, engine="onnxruntime", out=tmp_path / "out")
    assert made.engine.precision is Precision.FP32
    assert made.summary == "fp32 chosen: there are no ranges for int8: give images with --images FOLDER"


@pytest.mark.parametrize("has_ranges", [False, True])
def test_a_net_that_bf16_spoils_is_converted_in_fp32(
    has_ranges: bool, ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    build = candidate_module.engine_from_onnx

    def spoiled(*parts: Any, precision: Precision, **options: Any) -> Artifact:
        if precision is not Precision.FP32:
            raise AgreementError("deviates 8.0% from its own ONNX", hint="", code="ES-AGREEMENT-ONNX")
        return build(*parts, precision=precision, **options)

    for module in ("autotune", "choice"):
        monkeypatch.setattr(f"edgeseg.autotune.{module}.best_float", lambda *_: Precision.BF16)
    monkeypatch.setattr(candidate_module, "engine_from_onnx", spoiled)
    options = {"ranges": ranges} if has_ranges else {}
    made = convert(tmp_path / "street.onnx", engine="openvino", out=tmp_path / "out", **options)
    assert made.engine.precision is Precision.FP32
    assert "bf16 is not used: deviates 8.0%" in caplog.text


def test_an_engine_that_only_simulates_int8_stays_float(ranges: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    made = convert(tmp_path / "street.onnx", engine="pytorch", ranges=ranges, out=tmp_path / "out")
    assert made.engine.precision is Precision.FP32
    assert made.summary == "fp32 chosen: pytorch computes int8 in floating point"


def elsewhere() -> None:
    raise UnavailableError("this machine has no NVIDIA driver", hint="install one")


def test_where_the_engine_cannot_run_nothing_is_measured_and_everybody_is_told(
    ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = open_engine("onnxruntime")
    monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: dataclasses.replace(real, runs_here=elsewhere))
    words = ("convert", tmp_path / "street.onnx", "--engine", "onnxruntime", "--ranges", ranges, "-o", tmp_path / "out")
    done = runner(monkeypatch, capfd)(*map(str, words))
    summary = "int8 chosen: not measured here: this machine has no NVIDIA driver"
    assert summary in done.out
    engine = Artifact.open(tmp_path / "out" / "street.onnxruntime.int8.onnx")
    assert engine.decision == {"summary": summary, "device": "cpu"}
    assert not engine.agreement.is_of_engine


def test_where_nothing_is_measured_int8_that_spoils_the_labels_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_engine("onnxruntime")
    monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: dataclasses.replace(real, runs_here=elsewhere))
    monkeypatch.setattr("edgeseg.autotune.choice.runnable_engines", None)  # no other engine is built for a hint
    made = convert(
        street_onnx(tmp_path).path, engine="onnxruntime", ranges=spoilt_ranges(tmp_path), out=tmp_path / "out"
    )
    assert made.engine.precision is Precision.FP32
    assert made.summary.startswith("fp32 chosen: not measured here: this machine has no NVIDIA driver, and street.")


@pytest.mark.parametrize("precision", [None, Auto(Budget(minutes=1))])
def test_an_int8_engine_that_cannot_be_built_leaves_float(
    precision: Auto | None, ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_engine("onnxruntime")

    def write(job: Any) -> Any:
        if job.precision is Precision.INT8:
            raise RuntimeError("no kernel for int8")
        return real.write(job)

    monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: dataclasses.replace(real, write=write))
    made = convert(
        tmp_path / "street.onnx", engine="onnxruntime", precision=precision, ranges=ranges, out=tmp_path / "out"
    )
    assert made.engine.precision is Precision.FP32
    assert made.summary.startswith("fp32 kept: int8 is excluded: ")
    assert "no kernel for int8" in made.summary


def spoilt_ranges(folder: Path) -> Path:
    """Ranges of a network whose int8 loses many labels: of pictures that are nearly black."""
    dark = [np.full_like(frames(1)[0], value) for value in (118, 119, 120, 121, 122, 123, 124, 125)]
    return ranges_from_images(street_onnx(folder).path, dark).write(folder / "dark.json")


def test_int8_that_was_asked_for_is_refused_where_it_loses_more_than_one_label_in_twenty(tmp_path: Path) -> None:
    ranges, out = spoilt_ranges(tmp_path), tmp_path / "out"
    options: dict[str, Any] = {"engine": "onnxruntime", "precision": Precision.INT8, "ranges": ranges, "out": out}
    with pytest.raises(AgreementError) as caught:
        convert(tmp_path / "street.onnx", **options)
    assert caught.value.code == "ES-AGREEMENT"
    assert "--precision auto" in caught.value.hint
    assert "--force" in caught.value.hint
    assert not out.exists()
    made = convert(tmp_path / "street.onnx", **options, force=True)
    assert made.engine.precision is Precision.INT8
    assert made.engine.agreement.labels is not None
    assert made.engine.agreement.labels < 0.95


def test_a_refusal_names_the_engine_that_keeps_the_labels(
    ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_engine("onnxruntime")

    def spoilt(job: Any) -> Any:
        written = real.write(job)
        model = onnx.load(job.path)
        for constant in model.graph.initializer:
            if constant.name.startswith("b"):
                values = numpy_helper.to_array(constant)
                constant.CopyFrom(numpy_helper.from_array(np.roll(values * 9, 1), constant.name))
        onnx.save(model, job.path)
        return written

    monkeypatch.setattr("edgeseg.engines.verify.reference_is_available", lambda: False)  # it would find the very layer
    wrong = dataclasses.replace(real, name="wrong", write=spoilt, targets=("wrong",))
    monkeypatch.setattr("edgeseg.conversion.open_engine", lambda name: wrong)
    monkeypatch.setattr("edgeseg.autotune.choice.runnable_engines", lambda: [wrong, real])
    monkeypatch.setitem(TARGETS, "wrong", TARGETS["onnxruntime"])
    source, table = tmp_path / "street.onnx", ranges
    with pytest.raises(AgreementError) as caught:
        convert(source, engine="wrong", precision=Precision.INT8, ranges=table, out=tmp_path / "out")
    assert "onnxruntime keeps 9" in caught.value.hint
    assert "--engine onnxruntime" in caught.value.hint
    monkeypatch.setattr("edgeseg.engines.verify.reference_is_available", lambda: True)
    monkeypatch.setattr("edgeseg.engines.verify.agreement_with_source", lambda *_: Agreement())
    monkeypatch.setattr(
        "edgeseg.engines.verify.explain_labels", lambda *_: (f"; conv1 (Conv) is the first: {ROUNDING_ALONE}", "train")
    )
    with pytest.raises(AgreementError) as caught:
        convert(source, engine="wrong", precision=Precision.INT8, ranges=table, out=tmp_path / "out")
    assert ROUNDING_ALONE not in caught.value.message
    monkeypatch.setattr("edgeseg.autotune.choice.runnable_engines", lambda: [wrong])
    with pytest.raises(AgreementError) as caught:
        convert(source, engine="wrong", precision=Precision.INT8, ranges=table, out=tmp_path / "out")
    assert ROUNDING_ALONE in caught.value.message


def test_int8_that_changes_few_labels_is_taken_with_a_warning(
    ranges: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = convert(
        tmp_path / "street.onnx", engine="onnxruntime", precision=Precision.INT8, ranges=ranges, out=tmp_path / "out"
    )
    labels = made.engine.agreement.labels
    assert labels is not None
    assert labels >= 0.95
    warned = [message for message in caplog.messages if f"{labels:.1%}" in message]
    assert len(warned) == (labels < 0.99)
    assert all("synthetic street images" in message for message in warned)


def test_the_fastest_of_all_engines_is_kept(ranges: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    source, out = tmp_path / "street.onnx", tmp_path / "out"
    made = convert(source, engine="auto", precision=Precision.FP32, out=out)
    assert set(made.engine.decision["engines"]) == {"openvino", "onnxruntime"}
    other = ({"openvino", "onnxruntime"} - {made.engine.engine}).pop()
    assert f"{made.engine.engine} is " in made.summary
    assert made.summary.endswith(f" than {other}")
    assert sorted(path.name for path in out.iterdir()) == [
        "street.onnx", made.engine.path.name, f"{made.engine.path.name}.json",
    ]  # fmt: skip
    with pytest.raises(UnknownNameError):
        convert(source, engine="auto", precision=Precision.FP16, out=tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "able"),
    [
        (BuildOptions(), ["openvino", "onnxruntime"]),
        (BuildOptions(device="npu"), ["openvino"]),
        (BuildOptions(level=3), ["onnxruntime"]),
        (BuildOptions(device="npu", level=3), ["openvino"]),  # none can; its refusal says why
    ],
)
def test_only_engines_with_the_device_and_the_options_compete(
    options: BuildOptions, able: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dataclasses.replace(open_engine("openvino"), runtime=lambda: None, devices=lambda: ("cpu", "npu"))
    second = dataclasses.replace(open_engine("onnxruntime"), devices=lambda: ("cpu",), options=frozenset({"level"}))
    monkeypatch.setattr("edgeseg.conversion.runnable_engines", lambda: [first, second])
    monkeypatch.setattr("edgeseg.conversion.default_engine", lambda device: "openvino")
    assert [each.name for each in engines_named("auto", Precision.FP32, options)] == able


def test_all_races_are_on_the_device_and_the_threads_that_will_be_used(
    ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    opened: list[tuple[str, int | None]] = []

    def watched(path: Path, *, device: str = "auto", threads: int | None = None) -> Any:
        opened.append((device, threads))
        return open_segmenter(path, device=device, threads=threads)

    for place in ("choice", "autotune", "candidate"):
        monkeypatch.setattr(f"edgeseg.autotune.{place}.open_segmenter", watched)
    out, device = tmp_path / "out", BuildOptions(device="cpu")
    made = convert(tmp_path / "street.onnx", engine="auto", ranges=ranges, options=device, threads=1, out=out)
    assert set(opened) == {("cpu", 1)}
    assert (made.engine.decision["device"], made.engine.decision["threads"]) == ("cpu", 1)


def test_the_fastest_engine_within_the_budget_is_kept(ranges: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    made = convert(tmp_path / "street.onnx", engine="auto", ranges=ranges, out=tmp_path / "out")
    assert set(made.engine.decision["engines"]) == {"openvino", "onnxruntime"}
    assert " kept: " in made.summary
    assert made.summary.startswith(("fp32", "bf16", "int8"))


def test_a_long_search_judges_on_images_beside_ranges_too(ranges: Path, tmp_path: Path) -> None:
    data = "street:?seed=5&scenes=30&frames=1&size=64x32"
    made = convert(
        tmp_path / "street.onnx",
        engine="onnxruntime",
        precision=Auto(Budget(minutes=0)),
        images=data,
        ranges=ranges,
        out=tmp_path / "out",
    )
    evaluated_on = made.engine.decision["evaluated_on"]
    assert (evaluated_on["source"], evaluated_on["images"]) == (data, 14)


def test_a_choice_is_used_again_and_made_again_for_other_versions(
    tiny_weights: Path, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.files import sha256_from_file

    model = onnx.load(tiny_onnx)
    source = Artifact.open(tiny_onnx)
    origin = dataclasses.replace(source.provenance, weights_sha256=sha256_from_file(tiny_weights))
    named = dataclasses.replace(source, path=tmp_path / f"{source.spec.name}.onnx", provenance=origin)
    write_onnx(model, named)
    out = tmp_path / "out"
    made = convert(named.path, engine="onnxruntime", precision=Precision.FP32, out=out)
    assert existing_engine(tiny_weights, "onnxruntime", None, None, out) is None  # that was no choice of ours
    assert existing_engine(tiny_weights, "onnxruntime", Precision.FP32, None, out) == made.engine
    made = convert(named.path, engine="onnxruntime", out=out)
    assert existing_engine(tiny_weights, "onnxruntime", None, None, out) == made.engine
    for device, threads, same in (("cpu", None, True), ("auto", 1, False), ("cpu", 1, False)):
        again = existing_engine(tiny_weights, "onnxruntime", None, None, out, device=device, threads=threads)
        assert (again == made.engine) is (same or "threads" not in made.engine.decision)
    monkeypatch.setattr("edgeseg.opening.cpu_name", lambda: "another processor")
    assert existing_engine(tiny_weights, "onnxruntime", None, None, out) is None
    monkeypatch.setattr("edgeseg.opening.cpu_name", lambda: made.engine.device["cpu"])
    monkeypatch.setattr("edgeseg.opening.current_versions", lambda engine: {"onnxruntime": "0"})
    assert existing_engine(tiny_weights, "onnxruntime", None, None, out) is None


def test_noise_refuses_no_int8_engine_and_says_what_to_give(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = float_onnx(tmp_path)  # of classes that no street has
    table = ranges_from_images(source.path, frames(4)).write(tmp_path / "ranges.json")
    made = convert(source.path, engine="onnxruntime", precision=Precision.INT8, ranges=table, out=tmp_path / "out")
    assert made.engine.agreement.images == "noise"
    assert caplog.text.count("--images FOLDER") == 1


def test_edgeseg_build_gives_the_advice_on_noise_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner(monkeypatch, capfd)(
        "build", str(float_onnx(tmp_path).path), "--engine", "onnxruntime", "-o", str(tmp_path / "out")
    )
    assert caplog.text.count("--images FOLDER") == 1


def test_the_images_of_the_check_are_told_with_ranges_and_without(
    ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = image_folder(tmp_path / "images", 12)
    run = runner(monkeypatch, capfd)
    words = ("convert", tmp_path / "street.onnx", "--engine", "onnxruntime", "--precision", "int8", "--json")
    with_ranges = run(*map(str, (*words, "--ranges", ranges, "-o", tmp_path / "a"))).json()
    assert with_ranges["agreement"]["images"] == "synthetic street images"
    both = run(*map(str, (*words, "--ranges", ranges, "--images", folder, "-o", tmp_path / "b"))).json()
    assert both["agreement"]["images"] == str(folder)
    assert both["ranges"] == str(ranges)
    held_out = run(*map(str, (*words, "--images", folder, "--limit", 8, "-o", tmp_path / "c"))).json()
    assert held_out["agreement"]["images"] == f"{folder} (calibration did not use these)"
