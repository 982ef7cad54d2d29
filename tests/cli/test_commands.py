"""What scripts rest on: the grammar of the commands and of their JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_onnx import frames, street_onnx

from edgeseg import demo
from edgeseg.artifact import Artifact
from edgeseg.bench.record import BenchRecord
from edgeseg.commands.bench_request import SECOND_ATTEMPT, BenchRequest
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.engines import ENGINES, onnxruntime
from edgeseg.engines.options import RunOptions
from edgeseg.models import FAMILIES
from edgeseg.opening import open_model
from edgeseg.spec import Precision
from edgeseg.weights import BUNDLED, bundled_figures
from edgeseg.weights.bundled import best_bundled_model, real_kinds

STREETS = "street:?seed=3&frames=2&size=96x64"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs commands in a folder with a small ONNX and a few pictures."""
    monkeypatch.chdir(tmp_path)
    street_onnx(tmp_path)
    Path("images").mkdir()
    for index, rgb in enumerate(frames(3)):
        cv2.imwrite(f"images/{index}.png", rgb)
    return runner(monkeypatch, capfd)


@pytest.fixture
def engine(run: Run) -> str:
    """The path that convert prints."""
    words = ("--engine", "onnxruntime", "--precision", "int8", "--images", "images", "--limit", 2, "-o", "made")
    return str(run("convert", "street.onnx", *map(str, words), "--json").json()["engine"])


def test_convert_prints_engine_and_precision_and_the_next_command(run: Run) -> None:
    done = run("convert", "street.onnx", "--engine", "onnxruntime", "--size", "64x32", "--json")
    data = done.json()
    assert (data["engine"], data["precision"]) == ("engines/street.onnxruntime.fp32.onnx", "fp32")
    assert Path(data["engine"]).exists()
    assert data["agreement"]["labels"] >= 0.999  # fp32 against fp32: only near-ties may differ
    assert done.lines("next") == ["edgeseg stream SOURCE engines/street.onnxruntime.fp32.onnx -o overlay.mp4"]
    assert f"wrote {data['engine']}" in done.err.splitlines()


def test_convert_takes_a_recipe_and_options_go_before_it(run: Run) -> None:
    Path("mine.toml").write_text('model = "street.onnx"\nengine = "openvino"\nprecision = "int8"\n')
    data = run("convert", "mine.toml", "--engine", "onnxruntime", "--precision", "fp32", "-o", "made", "--json").json()
    assert (data["runtime"], data["precision"]) == ("onnxruntime", "fp32")


def test_eval_has_miou_as_a_fraction(run: Run, engine: str) -> None:
    data = run("eval", engine, "--data", STREETS, "--json").json()
    assert 0 <= data["miou"] <= 1
    assert (data["engine"], data["precision"], data["images"]) == (engine, "int8", 2)
    assert data["data"] == STREETS


def test_eval_marks_classes_without_truth_and_takes_several_metrics(run: Run) -> None:
    Path("cv/test/images").mkdir(parents=True)
    Path("cv/test/labels").mkdir()
    cv2.imwrite("cv/test/images/0001TP.png", frames(1)[0])
    truth = np.zeros((32, 64), np.uint8)
    truth[:, 32:] = 3
    cv2.imwrite("cv/test/labels/0001TP.png", truth)
    words = ("eval", "street.onnx", "--data", "camvid:cv", "--metric", "miou", "--metric", "boundary")
    done = run(*words)
    assert done.code == 0, done.err
    assert any("0.00" in line and "no ground truth" in line for line in done.out.splitlines())
    assert "mIoU over the 2 classes that occur" in done.out
    assert "mean boundary F" in done.out
    data = run(*words, "--json").json()
    assert {"miou", "miou_of_true_classes", "iou", "mean_boundary_f", "boundary_f"} <= set(data)
    assert run("eval", "street.onnx", "--data", "camvid:cv", "--metric", "mio").code == 2


def test_eval_has_the_flicker_of_videos_with_and_without_truth(run: Run) -> None:
    words = ("eval", "street.onnx", "--metric", "flicker")
    data = run(*words, "--data", "street:?seed=3&frames=3&size=96x64&stride=1", "--json").json()
    assert (data["images"], data["frame_pairs"]) == (3, 2)
    assert 0 <= data["flicker"] <= 1
    assert "2 pairs" in run(*words, "--data", "street:?seed=3&frames=3&size=96x64&stride=1").err
    video = ("eval", "street.onnx", "--video", "test://street?size=96x64&frames=5", "--frames", "3")
    data = run(*video, "--json").json()
    assert data["pairs"] == 2
    assert all(0 <= data[key] <= 1 for key in ("flicker", "tracked", "label_changes"))
    assert "flicker" in run(*video).out
    for refused in ((*video, "--metric", "miou"), (*video, "--data", STREETS), words):
        assert run(*refused).error_code == "ES-MISMATCH-OPTIONS"


def test_eval_of_a_model_with_a_class_that_the_data_ignores(run: Run) -> None:
    for folder in ("own/images", "own/labels"):
        Path(folder).mkdir(parents=True)
    cv2.imwrite("own/images/0.png", frames(1)[0])
    cv2.imwrite("own/labels/0.png", (np.arange(32 * 64) % 11).reshape(32, 64).astype(np.uint8))
    Path("own/labels.txt").write_text("\n".join(CAMVID_LABELS.names))
    Path("own/dataset.toml").write_text('ignore = [1, 3]\nclasses = "labels.txt"\n')
    done = run("eval", "street.onnx", "--data", "folder:own")
    assert done.code == 0, done.err
    noted = [line.split(";")[0] for line in done.lines("note")]
    assert noted == [f"the data set has no class {name}" for name in ("Building", "Road")]
    data = run("eval", "street.onnx", "--data", "folder:own", "--json").json()
    assert set(data["extra_pixels"]) == {"Building", "Road"}
    assert len(data["iou"]) == 9


def test_bench_has_engine_and_end_to_end_with_raw_samples(run: Run, engine: str) -> None:
    data = run("bench", engine, "-n", "4", "--warm-up", "1", "--threads", "1", "--json", "-o", "record.json").json()
    assert [row["scope"] for row in data["rows"]] == ["engine", "frame"]
    assert all(len(row["samples"]) == row["latency"]["n"] == 4 for row in data["rows"])
    assert set(data["stages"]["latency"]) == {"resize", "engine", "upsample"}
    assert (data["model"]["width"], data["model"]["precision"], data["conditions"]["threads"]) == (64, "int8", 1)
    assert {each["code"] for each in data["diagnostics"]} >= {"few-samples"}
    assert (data["status"], data["attempts"]) == ("inconclusive", 1)  # so few images cannot settle
    assert BenchRecord.read("record.json").to_dict()["rows"][1]["samples"] == tuple(data["rows"][1]["samples"])


def test_bench_measures_the_miou_of_the_engine_that_it_timed(run: Run, engine: str) -> None:
    words = ("--data", STREETS, "--json")
    accuracy = run("bench", engine, "-n", "2", "--warm-up", "0", *words).json()["accuracy"]
    evaluated = run("eval", engine, *words).json()
    assert (accuracy["miou"], accuracy["images"]) == (evaluated["miou"], evaluated["images"])
    assert accuracy["by_class"] == evaluated["iou"]


def test_bench_shows_the_drops_of_a_camera(run: Run, engine: str) -> None:
    table = run("bench", engine, "-n", "2", "--warm-up", "0", "--scenario", "camera", "--rate", "500").out
    assert {"engine alone", "end to end"} <= {line.strip()[:12].strip() for line in table.splitlines()}
    assert all(word in " ".join(table.split()) for word in ("dropped", "jitter", "highest rate"))


def test_bench_of_one_image_times_one_interval_from_file_to_file(run: Run, engine: str) -> None:
    rows = run("bench", engine, "-n", "1", "--warm-up", "0", "--threads", "1", "--file", "--json").json()["rows"]
    assert [(row["scope"], row["latency"]["n"]) for row in rows] == [("engine", 1), ("frame", 1), ("file", 1)]


def test_inspect_has_layers_with_what_was_requested_and_obtained(run: Run, engine: str) -> None:
    data = run("inspect", engine, "--json").json()
    assert (data["kind"], data["engine"], data["precision"]) == ("engine", "onnxruntime", "int8")
    assert data["spec"]["name"] == "guess"
    assert data["provenance"]["ranges"]["images"] == 2
    assert all(set(layer) == {"name", "op", "requested", "obtained"} for layer in data["layers"])
    assert {layer["obtained"] for layer in data["layers"] if layer["requested"] == "int8"} == {"int8"}
    plain = run("inspect", "street.onnx", "--json").json()
    assert plain["kind"] == "onnx"
    requested = {layer["name"]: layer["requested"] for layer in plain["layers"]}
    assert requested["conv0"] == "fp32"
    assert requested["cast"] == ""
    assert {layer["obtained"] for layer in plain["layers"]} == {""}


def test_inspect_reads_weights(run: Run, tiny_weights: Path) -> None:
    data = run("inspect", str(tiny_weights), "--json").json()
    assert (data["kind"], data["spec"]["family"], data["layers"]) == ("weights", "bisenetv2", [])


def test_stream_tells_frames_rate_and_miou(run: Run, engine: str) -> None:
    done = run("stream", "test://street?size=96x64&frames=3", engine, "-o", "images:out/", "--json")
    data = done.json()
    assert (data["frames"], data["outputs"], data["interrupted"]) == (3, ["images:out/"], False)
    assert 0 <= data["miou"] <= 1
    assert data["fps"] > 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    assert cv2.imread("out/000000.png").shape == (64, 96, 3)
    limited = run("stream", "test://street?size=96x64", engine, "-o", "null", "--frames", "2", "--json").json()
    assert limited["frames"] == 2


def test_models_lists_facts_as_plain_data(run: Run) -> None:
    models = {model["name"]: model for model in run("models", "--json").json()}
    assert tuple(models) == BUNDLED
    for name, model in models.items():
        street = name == "bisenetv2-street"
        assert model["miou"] == bundled_figures()[name]["miou"]
        assert (model["synthetic"], model["non_commercial"]) == (street, not street)
        assert model["trained_on"] == (["synthetic images"] if street else ["camvid"])
        assert model["tested_on"] == ("street" if street else "camvid")


def test_models_breaks_no_name_at_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = run("models").out
    assert max(map(len, table.splitlines())) <= 80
    for name, figures in bundled_figures().items():
        (line,) = (line for line in table.splitlines() if name in line)
        assert all(f"{100 * figures['miou'][f'onnxruntime {precision}']:.2f}" in line for precision in ("fp32", "int8"))
        assert ("synthetic" in line, "NC" in line) == ((True, False) if name == "bisenetv2-street" else (False, True))


def test_the_list_of_families_says_that_it_needs_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edgeseg.models.shelf", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("models", "--families")
    assert done.code == 2
    assert "error [ES-MISSING]: the list of families needs torch" in done.err


def test_models_lists_the_families_too(run: Run) -> None:
    pytest.importorskip("torch")
    rows = {row["family"]: row for row in run("models", "--families", "--json").json()}
    assert set(rows) == set(FAMILIES)
    assert (round(rows["bisenetv2"]["parameters"] / 1e6, 2), round(rows["bisenetv2"]["macs"] / 1e9, 1)) == (3.36, 24.6)
    assert "CoinCheung/BiSeNet v2" in rows["bisenetv2"]["checkpoints"]
    assert all("tiny" not in row["variants"] for row in rows.values())
    assert rows["enet"]["int8"]["openvino"] < 1 < rows["enet"]["int8"]["onnxruntime"]
    assert rows["enet"]["measured_on"] == "amd-epyc-vnni-2c"
    table = run("models", "--families")
    assert "note: int8: of AMD EPYC (avx2, fma, avx512f, avx512_vnni" in table.err
    assert [name for name in FAMILIES if name not in table.out] == []
    assert "next: edgeseg train FAMILY" in table.err


def test_real_kinds_of_data_sets_are_told_from_synthetic_ones() -> None:
    assert real_kinds(["street:?seed=1"]) == ()
    assert real_kinds(["street:?seed=1", "folder:yard?", "camvid:?split=train", "camvid:"]) == ("folder", "camvid")


def test_the_demo_takes_a_model_of_real_images_for_a_video_and_of_synthetic_ones_for_the_street(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[str] = []

    def fake_open(model: str, **options: Any) -> Any:
        models.append(model)
        return open_model("street.onnx", engine="onnxruntime", precision=Precision.FP32, **options)

    monkeypatch.setattr(demo, "open_model", fake_open)
    cv2.imwrite("photo.png", np.full((64, 96, 3), 80, np.uint8))
    done = run("demo", "photo.png", "-o", "real")
    sentence = done.err.splitlines()[0]
    assert models == [best_bundled_model(synthetic=False).spec.name] == ["bisenetv2-camvid"]
    assert all(fact in sentence for fact in ("bisenetv2-camvid", "CC-BY-NC-4.0"))
    done = run("demo", "test://street?size=96x64&frames=2", "-o", "synthetic")
    assert all(fact in done.err.splitlines()[0] for fact in ("bisenetv2-street", "synthetic images", "Apache-2.0"))
    for folder in ("real", "synthetic"):
        assert all(Path(folder, name).exists() for name in ("overlay.mp4", "overlay.png"))


def test_doctor_tells_the_device_and_every_engine(run: Run) -> None:
    data = run("doctor", "--json").json()
    assert [row["engine"] for row in data["engines"]] == list(ENGINES)
    assert {row["state"] for row in data["engines"]} <= {"ready", "builds", "missing"}
    built_elsewhere = [row for row in data["engines"] if row["state"] == "builds"]
    assert all("; to run them: " in row["detail"] for row in built_elsewhere)
    assert data["device"]["threads"] >= 1
    assert set(data["energy"]) == {"counters", "hint"}
    assert set(data["device"]["state"]) >= {"clocks_mhz", "temperatures", "battery", "gpus"}
    assert {row["engine"]: row["devices"] for row in data["engines"]}["onnxruntime"][0] == "cpu"
    assert all(row["devices"] or row["state"] != "ready" for row in data["engines"])


DEVICE_COMMANDS: dict[str, tuple[str, ...]] = {
    "stream": ("stream", "test://street?size=96x64&frames=1", "street.onnx", "-o", "null"),
    "eval": ("eval", "street.onnx", "--data", STREETS),
    "bench": ("bench", "street.onnx", "-n", "1", "--warm-up", "0"),
    "convert": ("convert", "street.onnx", "--engine", "onnxruntime", "-o", "made"),
    "build": ("build", "street.onnx", "--engine", "onnxruntime", "-o", "made"),
}


@pytest.mark.parametrize("command", DEVICE_COMMANDS)
def test_the_device_is_chosen_by_name_and_one_that_is_not_here_is_refused(run: Run, command: str) -> None:
    words = DEVICE_COMMANDS[command]
    assert run(*words, "--device", "cpu", "--json").json()
    refused = run(*words, "--device", "npu:7")
    assert (refused.code, refused.out) == (2, "")
    assert "npu:7" in refused.lines("error")[0]
    assert "cpu" in refused.lines("hint")[0]


@pytest.mark.parametrize("command", ["stream", "eval", "bench"])
def test_no_threads_are_refused(run: Run, command: str) -> None:
    done = run(*DEVICE_COMMANDS[command], "--threads", "0")
    assert done.code == 2
    assert "--threads" in done.err


def test_auto_decides_on_the_device_that_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: set[tuple[str, bool]] = set()
    load = onnxruntime.OnnxRuntimeBackend.__init__

    def noted(self: onnxruntime.OnnxRuntimeBackend, artifact: Artifact, options: RunOptions) -> None:
        opened.add((options.device, ".onnxruntime." in artifact.path.name))
        load(self, artifact, dataclasses.replace(options, device="cpu"))

    monkeypatch.setattr(onnxruntime.OnnxRuntimeBackend, "__init__", noted)
    monkeypatch.setattr(onnxruntime, "gpu_count", lambda: 2)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(onnxruntime.PROVIDERS.values())[:2])
    words = ("--engine", "onnxruntime", "--precision", "auto", "--images", "images", "--limit", "2", "-o", "made")
    words += ("--minutes", "0", "--data", "street:?seed=3&frames=24&size=96x64")
    assert run("convert", "street.onnx", *words, "--device", "cuda:1", "--json").json()["decision"]
    assert opened == {("cuda:1", True), ("cpu", False)}  # the float ONNX that they are held against stays on the CPU


def test_the_line_can_be_gone_step_by_step(run: Run) -> None:
    table = run("calibrate", "street.onnx", "--images", "images", "-o", "ranges.json", "--json").json()
    assert (table["ranges"], table["images"]) == ("ranges.json", 3)
    int8 = run("quantize", "street.onnx", "--ranges", "ranges.json", "--target", "onnxruntime", "--json").json()
    assert int8["onnx"] == "street.onnxruntime.int8.onnx"
    words = ("--engine", "onnxruntime", "--reference", "street.onnx", "-o", "made", "--json")
    built = run("build", int8["onnx"], *words).json()
    assert built["precision"] == "int8"
    assert built["layers"]["int8"] >= 1
    assert Path(built["engine"] + ".json").exists()


def test_export_tells_how_the_onnx_compares_with_torch(run: Run, tiny_weights: Path) -> None:
    data = run("export", str(tiny_weights), "--size", "64x64", "-o", "made", "--json").json()
    assert data["onnx"] == "made/tiny-bisenetv2-64x64.onnx"
    assert data["agreement"] >= 0.999  # float against float: only near-ties may differ
    assert data["licence"] == "Apache-2.0"


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "street.onnx"),
        ("doctor",),
        ("bench", "street.onnx", "-n", "2", "--warm-up", "0"),
        ("eval", "street.onnx", "--data", STREETS),
        ("stream", "test://street?size=96x64&frames=2", "street.onnx", "-o", "null"),
        ("convert", "street.onnx", "--engine", "onnxruntime", "-o", "made"),
        ("calibrate", "street.onnx", "--images", "images"),
    ],
)
def test_without_json_there_is_a_table_for_people(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) >= 3
    assert "Traceback" not in done.err
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(done.out)


def test_what_is_not_a_number_is_null_in_json(run: Run) -> None:
    """Classes that a data set does not show have no IoU."""
    Path("cv/test/images").mkdir(parents=True)
    Path("cv/test/labels").mkdir()
    cv2.imwrite("cv/test/images/0001TP.png", frames(1)[0])
    cv2.imwrite("cv/test/labels/0001TP.png", np.full((32, 64), 11, np.uint8))
    done = run("eval", "street.onnx", "--data", "camvid:cv", "--json")
    assert "NaN" not in done.out
    assert done.json()["miou"] is None


@pytest.fixture
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt of `bench` in this process settles."""
    measured = BenchRequest.measured

    def inconclusive(*arguments: Any) -> BenchRecord:
        return dataclasses.replace(measured(*arguments), status="inconclusive")

    monkeypatch.setattr(BenchRequest, "measured", inconclusive)


@pytest.mark.slow
@pytest.mark.usefixtures("unsettled")
def test_bench_repeats_a_run_that_does_not_settle_in_a_fresh_process(
    run: Run, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("bench", engine, "-n", "10", "--warm-up", "0", "--threads", "1", "--images", "images", "--json")
    data = run(*words).json()
    assert data["attempts"] == 2
    assert (data["model"]["file"], data["conditions"]["images"]) == (Path(engine).name, "images")
    monkeypatch.setenv(SECOND_ATTEMPT, "1")
    assert run(*words).json()["attempts"] == 1  # it is not repeated for ever


@pytest.mark.usefixtures("unsettled")
def test_bench_keeps_the_first_attempt_where_the_second_one_fails(
    run: Run, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgeseg.commands.bench_request.run_command", lambda command, environment: (137, "out of memory\n")
    )
    done = run("bench", engine, "-n", "10", "--warm-up", "0", "--threads", "1", "--json", "-o", "record.json")
    assert (done.json()["status"], done.json()["attempts"]) == ("inconclusive", 1)
    assert "out of memory" in done.err
    assert BenchRecord.read("record.json").row("frame") is not None
