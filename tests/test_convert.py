"""The straight line in one call: what it chooses, what it uses again, and that it leaves nothing half-made."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest
from small_onnx import float_onnx, frames, int8_onnx, small_model, street_onnx

from edgeseg import convert as public_convert
from edgeseg.artifact import Artifact, load_onnx, sidecar_path, write_onnx
from edgeseg.autotune.autotune import best_float
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.choice import Auto
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.range import RangeTable
from edgeseg.conversion import convert
from edgeseg.engines import open_engine
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import (
    DataError,
    EdgeSegError,
    FileProblem,
    FormatError,
    MismatchError,
    SizeError,
    UnknownNameError,
)
from edgeseg.files import sha256_from_file
from edgeseg.measure.device import has_native_bf16
from edgeseg.opening import existing_engine, free_name, open_model
from edgeseg.provenance import BuildInfo, Provenance
from edgeseg.spec import Output, Precision

MODULE = "edgeseg.conversion"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six pictures in a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index, rgb in enumerate(frames(6)):
        cv2.imwrite(str(folder / f"{index}.png"), rgb)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_public_name_is_this_function() -> None:
    assert public_convert is convert


@pytest.mark.parametrize(
    ("engine", "native_bf16", "best"),
    [
        ("openvino", True, "bf16"),
        ("openvino", False, "fp32"),
        ("onnxruntime", True, "fp32"),
        ("tensorrt", True, "fp16"),
    ],
)
def test_the_best_float_is_what_engine_and_processor_have(
    engine: str, native_bf16: bool, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.autotune.autotune.has_native_bf16", lambda: native_bf16)
    assert best_float(open_engine(engine)) == best


def test_an_onnx_is_converted_to_int8_with_images_and_their_table_is_kept(images: Path, tmp_path: Path) -> None:
    source, out = street_onnx(tmp_path), tmp_path / "out"
    steps: list[tuple[str, int, int | None]] = []
    made = convert(
        str(source.path), engine="onnxruntime", precision=Precision.INT8, images=images, limit=4, out=out,
        progress=lambda *step: steps.append(step),
    )  # fmt: skip
    engine = "street.onnxruntime.int8.onnx"
    assert names_in(out) == ["street.onnx", engine, f"{engine}.json", "street.ranges.json"]
    assert (made.engine.path, made.onnx.path, made.ranges) == (
        out / engine, out / "street.onnx", out / "street.ranges.json",
    )  # fmt: skip
    assert made.engine.precision is Precision.INT8
    assert made.engine.provenance.ranges.images == RangeTable.open(out / "street.ranges.json").images == 4
    agreement = made.engine.agreement
    assert (agreement.frames, agreement.images) == (
        4, f"{images} (calibration used 2 of these 4: there are no others)",
    )  # fmt: skip
    assert made.onnx.path.read_bytes() == source.path.read_bytes()
    assert [done for task, done, _ in steps if task == "calibrate"] == [1, 2, 3, 4]
    assert list(dict.fromkeys(task for task, _, _ in steps)) == ["export", "calibrate", "build"]


def test_a_table_made_before_serves_as_well(tmp_path: Path) -> None:
    source = street_onnx(tmp_path)
    table = ranges_from_images(source.path, frames(4)).write(tmp_path / "ranges.json")
    made = convert(source.path, engine="onnxruntime", precision=Precision.INT8, ranges=table, out=tmp_path / "out")
    assert (made.engine.precision, made.ranges) == (Precision.INT8, table)
    assert "street.ranges.json" not in names_in(tmp_path / "out")


def test_a_float_engine_is_what_one_gets_without_ranges(tmp_path: Path) -> None:
    made = convert(street_onnx(tmp_path).path, engine="onnxruntime", out=tmp_path / "out")
    assert (made.engine.precision, made.ranges, made.export) == (Precision.FP32, None, None)
    assert made.engine.agreement.labels >= 0.999  # fp32 against fp32: only near-ties may differ


@pytest.mark.parametrize(
    "step",
    [
        "edgeseg.autotune.candidate.engine_from_onnx",
        "edgeseg.calib.precision.int8_from_ranges",
        f"{MODULE}.ranges_from_images",
    ],
)
@pytest.mark.parametrize("there_before", [True, False])
def test_nothing_is_left_where_a_step_fails(
    step: str, there_before: bool, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if there_before:
        out.mkdir()
        (out / "mine.txt").write_text("keep")

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    owner, _, attribute = step.rpartition(".")
    monkeypatch.setattr(importlib.import_module(owner), attribute, fails)
    with pytest.raises(KeyboardInterrupt):
        convert(street_onnx(tmp_path).path, engine="onnxruntime", images=images, out=out)
    assert names_in(out) == (["mine.txt"] if there_before else [])
    assert out.exists() is there_before


def refused(kind: type[EdgeSegError], message: str, hint: str, out: Path, model: str | Path, **wishes: object) -> None:
    """`convert` raises that error and makes no folder."""
    with pytest.raises(kind) as caught:
        convert(model, out=out, **{"engine": "onnxruntime", **wishes})  # type: ignore[arg-type]
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert not out.exists()


def test_what_cannot_be_converted_is_refused_and_no_folder_is_made(images: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", street_onnx(tmp_path).path
    int8 = Precision.INT8
    refused(MismatchError, "street", "--images FOLDER", out, source, precision=int8)
    refused(MismatchError, "64x32", "export --size", out, source, size=(128, 64))
    refused(FormatError, "int8.onnx", "float ONNX", out, int8_onnx(tmp_path).path)
    refused(UnknownNameError, "bisenet", "bisenetv2-", out, "bisenet")
    refused(UnknownNameError, "openvin", "openvino", out, source, engine="openvin")
    refused(UnknownNameError, "onnxruntime", "fp32, int8", out, source, precision=Precision.BF16)
    refused(FileProblem, "nothing.onnx", "", out, tmp_path / "nothing.onnx")
    refused(FileProblem, "nothing", "", out, source, images=tmp_path / "nothing")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(DataError, str(empty), "", out, source, images=empty)


def test_a_table_of_another_model_is_refused(tmp_path: Path) -> None:
    other = ranges_from_images(float_onnx(tmp_path).path, frames(2)).write(tmp_path / "other.json")
    source = street_onnx(tmp_path).path
    refused(MismatchError, "small", "edgeseg calibrate", tmp_path / "out", source, ranges=other)


def test_an_engine_is_no_model(tmp_path: Path) -> None:
    made = convert(street_onnx(tmp_path).path, engine="onnxruntime", out=tmp_path / "out")
    with pytest.raises(FormatError, match=made.engine.path.name):
        convert(made.engine.path, engine="onnxruntime", out=tmp_path / "out")


def test_weights_at_a_size_of_their_own_carry_it_in_every_name(tiny_weights: Path, tmp_path: Path) -> None:
    made = convert(tiny_weights, engine="onnxruntime", size=(64, 96), output=Output.MASK, out=tmp_path / "out")
    engine = "tiny-bisenetv2-64x96-mask.onnxruntime.fp32.onnx"
    assert names_in(tmp_path / "out") == ["tiny-bisenetv2-64x96-mask.onnx", engine, f"{engine}.json"]
    spec = made.engine.spec
    assert (spec.input.width, spec.input.height, made.engine.output) == (64, 96, Output.MASK)
    assert made.export is not None
    assert made.export.agreement >= 0.999  # float against float: only near-ties may differ


def test_a_size_that_does_not_fit_and_weights_of_another_family_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    from small_nets import small_spec, write_state

    from edgeseg.models import open_family

    out = tmp_path / "out"
    refused(SizeError, "100x100", "96x96 or 128x128", out, tiny_weights, size=(100, 100))
    spec = small_spec("segformer")
    state = open_family("segformer").build(spec).state_dict()
    wrong = write_state(tmp_path / "wrong.safetensors", state, small_spec("bisenetv2"))
    refused(MismatchError, "bisenetv2 light", "", out, wrong)


class Builds:
    """Counts the calls of `convert` that `open_model` makes."""

    def __init__(self, real: object) -> None:
        self.real, self.count = real, 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.count += 1
        return self.real(*args, **kwargs)  # type: ignore[operator]


def test_a_model_is_converted_once_and_again_when_weights_or_versions_changed(
    tiny_weights: Path, tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exported(source: Any, path: Path, **_: object) -> tuple[Artifact, None]:
        """What was exported for another test, with the hash of these weights: an export takes seconds."""
        from edgeseg.artifact import artifact_from_onnx, read_onnx, write_onnx

        provenance = Provenance(weights_sha256=sha256_from_file(source.path))
        artifact = dataclasses.replace(artifact_from_onnx(tiny_onnx), path=path, provenance=provenance)
        write_onnx(read_onnx(tiny_onnx), artifact)
        return artifact, None

    monkeypatch.setattr("edgeseg.export.model.export_model", exported)
    builds = Builds(convert)
    monkeypatch.setattr("edgeseg.opening.convert", builds)
    weights, out = Path(shutil.copy(tiny_weights, tmp_path / "mine.safetensors")), tmp_path / "out"

    announced: list[int] = []

    def opened() -> str:
        with open_model(
            weights, engine="onnxruntime", out=out, threads=1, on_convert=lambda: announced.append(builds.count)
        ) as segmenter:
            return segmenter.artifact.path.name

    assert {opened(), opened()} == {"tiny-bisenetv2.onnxruntime.fp32.onnx"}
    assert builds.count == 1
    sidecar = sidecar_path(out / "tiny-bisenetv2.onnxruntime.fp32.onnx")
    data = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**data, "versions": {**data["versions"], "onnxruntime": "1.0"}}))
    opened()
    assert builds.count == 2
    with weights.open("r+b") as file:  # another value in the last tensor
        file.seek(-2, os.SEEK_END)
        file.write(b"\x12\x34")
    assert existing_engine(weights, "onnxruntime", None, None, out) is None
    other = f"tiny-bisenetv2-{sha256_from_file(weights)[:8]}.onnxruntime.fp32.onnx"
    assert opened() == other  # beside the engine of the other weights, which stays
    assert builds.count == 3
    (out / other).write_bytes(b"damaged")
    opened()
    assert builds.count == 4
    assert announced == [0, 1, 2, 3]


def test_an_engine_or_onnx_is_opened_as_it_lies_there(tmp_path: Path) -> None:
    source = street_onnx(tmp_path)
    made = convert(source.path, engine="onnxruntime", out=tmp_path / "out")
    before = names_in(tmp_path / "out")
    for path in (made.engine.path, source.path):
        with open_model(path, out=tmp_path / "out") as segmenter:
            assert segmenter.artifact.path == path
    assert names_in(tmp_path / "out") == before


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "pytorch"])
def test_a_plain_onnx_is_opened_with_the_engine_that_is_asked_for(tmp_path: Path, engine: str) -> None:
    pytest.importorskip({"pytorch": "torch"}.get(engine, engine))
    with open_model(street_onnx(tmp_path).path, engine=engine, threads=1) as segmenter:
        assert segmenter.artifact.engine == engine
        assert segmenter.segment(frames(1)[0]).labels.shape == (32, 64)


def test_an_engine_that_reads_no_onnx_does_not_open_a_plain_one(tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as caught:
        open_model(street_onnx(tmp_path).path, engine="tensorrt")
    assert caught.value.code == "ES-MISMATCH-ENGINE"
    assert "plain ONNX" in caught.value.message
    assert caught.value.hint.endswith(f"edgeseg convert {tmp_path / 'street.onnx'} --engine tensorrt")
    with pytest.raises(MismatchError) as caught:
        open_model(int8_onnx(tmp_path).path, engine="tensorrt")
    assert caught.value.hint.endswith(f"edgeseg build {tmp_path / 'int8.onnx'} --engine tensorrt")


def test_a_file_that_is_not_what_was_asked_for_is_refused(tmp_path: Path) -> None:
    made = convert(street_onnx(tmp_path).path, engine="onnxruntime", out=tmp_path / "out")
    requests: list[tuple[dict[str, object], str]] = [
        ({"engine": "pytorch"}, "onnxruntime"),
        ({"precision": Precision.INT8}, "fp32"),
        ({"size": (128, 64)}, "64x32"),
    ]
    for request, actual in requests:
        with pytest.raises(MismatchError, match=actual) as caught:
            open_model(made.engine.path, **request)  # type: ignore[arg-type]
        assert caught.value.code == "ES-MISMATCH-ENGINE"
        assert "edgeseg convert MODEL --" in caught.value.hint
    same = {"engine": "onnxruntime", "precision": Precision.FP32, "size": (64, 32)}
    with open_model(made.engine.path, **same) as segmenter:  # type: ignore[arg-type]
        assert segmenter.artifact == made.engine


def test_an_interrupted_calibration_resumes(images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def stop(task: str, done: int, total: int | None) -> None:
        if (task, done) == ("calibrate", 4):
            raise KeyboardInterrupt

    source = street_onnx(tmp_path).path
    options = {"engine": "onnxruntime", "precision": Precision.INT8, "images": images}
    whole = convert(source, **options, out=tmp_path / "whole")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        convert(source, **options, out=tmp_path / "out", progress=stop)  # type: ignore[arg-type]
    assert names_in(tmp_path / "out") == ["street.ranges.json.partial"]
    with caplog.at_level("INFO"):
        made = convert(source, **options, out=tmp_path / "out")  # type: ignore[arg-type]
    assert "after 4 images" in caplog.text
    assert made.ranges is not None
    assert whole.ranges is not None
    assert made.ranges.read_bytes() == whole.ranges.read_bytes()
    assert "street.ranges.json.partial" not in names_in(tmp_path / "out")


def builds_of(engine: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of each build of `engine` from now on."""
    real, seen = open_engine(engine), []

    def write(job: Any) -> Any:
        seen.append({"options": job.options, "precision": job.precision})
        return real.write(job)

    replaced = dataclasses.replace(real, write=write, options=frozenset({"level"}))
    monkeypatch.setattr(f"{MODULE}.open_engine", lambda name: replaced)
    return seen


@pytest.mark.parametrize("precision", [None, Auto(Budget(minutes=0))])
def test_the_options_of_a_build_reach_every_build_of_a_search(
    precision: Auto | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = street_onnx(tmp_path)
    table = ranges_from_images(source.path, frames(4)).write(tmp_path / "ranges.json")
    options, seen = BuildOptions(level=4), builds_of("onnxruntime", monkeypatch)
    convert(source.path, engine="onnxruntime", precision=precision, ranges=table, options=options, out=tmp_path / "out")
    assert {each["precision"] for each in seen} == {"fp32", "int8"}
    assert all(each["options"] == options for each in seen)


def test_the_onnx_that_a_plan_names_is_kept_whoever_chose_its_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = open_engine("onnxruntime")

    def write(job: Any) -> Any:
        return dataclasses.replace(real.write(job), build=BuildInfo(onnx=job.onnx.path.name, version="1"))

    monkeypatch.setattr(f"{MODULE}.open_engine", lambda name: dataclasses.replace(real, write=write))
    monkeypatch.setattr("edgeseg.autotune.candidate.Candidate.is_faster", property(lambda each: each.name == "int8"))
    source = street_onnx(tmp_path)
    table = ranges_from_images(source.path, frames(4)).write(tmp_path / "ranges.json")
    budget = Budget(min_agreement=0.5)
    for number, precision in enumerate((Precision.INT8, Auto(budget), Auto(budget, short=True))):
        out = tmp_path / f"out{number}"
        made = convert(source.path, engine="onnxruntime", precision=precision, ranges=table, out=out)
        assert made.engine.precision is Precision.INT8
        assert (out / made.engine.build.onnx).exists()
        assert made.engine.build.onnx in names_in(out)
        assert load_onnx(out / made.engine.build.onnx).precision is Precision.INT8


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
def test_images_of_a_float_engine_check_it_and_calibrate_nothing(
    precision: Precision, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = "onnxruntime" if precision is Precision.FP32 else "openvino"
    if precision is Precision.BF16 and not has_native_bf16():
        pytest.skip("this CPU does not compute in bf16")
    pytest.importorskip(engine)
    monkeypatch.setattr(f"{MODULE}.ranges_from_images", None)
    made = convert(street_onnx(tmp_path).path, engine=engine, precision=precision, images=images, out=tmp_path / "out")
    assert made.ranges is None
    assert "street.ranges.json" not in names_in(tmp_path / "out")
    assert made.engine.agreement.images == str(images)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_an_onnx_is_parsed_once_and_handed_on(
    engine: str, precision: Precision, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(engine)
    parsed: list[object] = []
    checked: list[object] = []
    load, check = onnx.load, onnx.checker.check_model
    source = street_onnx(tmp_path).path
    monkeypatch.setattr(onnx, "load", lambda file, **given: parsed.append(file) or load(file, **given))
    monkeypatch.setattr(
        onnx.checker, "check_model", lambda model, **named: checked.append(model) or check(model, **named)
    )
    opened: list[str] = []
    monkeypatch.setattr(f"{MODULE}.open_engine", lambda name: opened.append(name) or open_engine(name))
    convert(source, engine=engine, precision=precision, images=images, out=tmp_path / "out")
    # ONNX Runtime's optimised graph is read back; a quantised one is checked
    assert len(parsed) <= 2
    assert len(checked) <= 2
    assert opened == [engine]


def other_weights(folder: Path) -> Path:
    """A network of the same name as `street_onnx` with other weights."""
    folder.mkdir()
    artifact = street_onnx(folder, seed=3)
    write_onnx(
        onnx.load(artifact.path), dataclasses.replace(artifact, provenance=Provenance("b.safetensors", "b" * 64))
    )
    return artifact.path


def lone_files(folder: Path) -> dict[str, Path]:
    """Files that `convert` of a network called street would replace, none with a sidecar and each of another origin."""
    folder.mkdir()
    other = load_onnx(other_weights(folder / "other"))
    named = {"mine": "street.onnx", "compiled": "street.int8.onnx", "foreign": "street.onnx"}
    paths = {kind: folder / kind / name for kind, name in {**named, "ranges": "street.ranges.json"}.items()}
    for path in paths.values():
        path.parent.mkdir()
    paths["mine"].write_bytes(other.path.read_bytes())
    paths["compiled"].write_bytes(other.path.read_bytes())
    onnx.save(small_model(), paths["foreign"])
    ranges_from_images(other, frames(2)).write(paths["ranges"])
    return paths


@pytest.mark.parametrize("kind", ["mine", "compiled", "foreign", "ranges"])
def test_no_file_of_other_weights_is_replaced(kind: str, images: Path, tmp_path: Path) -> None:
    source = street_onnx(tmp_path)
    write_onnx(onnx.load(source.path), dataclasses.replace(source, provenance=Provenance("a.safetensors", "a" * 64)))
    path = lone_files(tmp_path / "files")[kind]
    before, options = path.read_bytes(), {"engine": "onnxruntime", "precision": Precision.INT8, "images": images}
    with pytest.raises(FileProblem) as caught:
        convert(source.path, **options, out=path.parent)  # type: ignore[arg-type]
    assert caught.value.code == "ES-FILE-EXISTS"
    assert "--overwrite" in caught.value.hint
    assert path.read_bytes() == before
    convert(source.path, **options, out=path.parent, overwrite=True)  # type: ignore[arg-type]
    assert (path.read_bytes() == before) is (kind == "compiled")  # this engine has no such file
    if kind != "compiled":
        convert(source.path, **options, out=path.parent)  # type: ignore[arg-type]


def test_a_name_that_a_foreign_onnx_has_is_not_free(tiny_weights: Path, tmp_path: Path) -> None:
    assert free_name(tiny_weights, None, tmp_path) is None
    onnx.save(small_model(), tmp_path / "tiny-bisenetv2.onnx")
    assert free_name(tiny_weights, None, tmp_path) == f"tiny-bisenetv2-{sha256_from_file(tiny_weights)[:8]}"


def test_the_original_of_an_adopted_network_is_not_replaced(tmp_path: Path) -> None:
    out, adopted = tmp_path / "out", street_onnx(tmp_path)
    out.mkdir()
    onnx.save(small_model(), out / "street.onnx")
    origin = Provenance(source="street.onnx", source_sha256=sha256_from_file(out / "street.onnx"))
    write_onnx(onnx.load(adopted.path), dataclasses.replace(adopted, provenance=origin))
    with pytest.raises(FileProblem) as caught:
        convert(adopted.path, engine="onnxruntime", out=out)
    assert caught.value.code == "ES-FILE-EXISTS"


def test_an_engine_of_other_weights_is_not_replaced(tmp_path: Path) -> None:
    first = street_onnx(tmp_path)
    write_onnx(onnx.load(first.path), dataclasses.replace(first, provenance=Provenance("a.safetensors", "a" * 64)))
    second, out = other_weights(tmp_path / "other"), tmp_path / "out"
    made = convert(first.path, engine="onnxruntime", out=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for engine in ("onnxruntime", "openvino"):
        with pytest.raises(FileProblem) as caught:
            convert(second, engine=engine, out=out)
        assert caught.value.code == "ES-FILE-EXISTS"
        assert "--overwrite" in caught.value.hint
        assert "--name" in caught.value.hint
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert convert(first.path, engine="onnxruntime", out=out).engine.path == made.engine.path
    named = convert(second, engine="onnxruntime", out=out, name="mine")
    assert named.engine.path.name == "mine.onnxruntime.fp32.onnx"
    assert convert(second, engine="onnxruntime", out=out, overwrite=True).engine.path == made.engine.path
