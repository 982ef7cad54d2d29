"""Files that are damaged or made to harm: each is read or refused with a code and a hint; no traceback, no hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hostile_files import KINDS, OPENED, calibrate, huggingface_folder, inspect, outcome, sidecar_of_engine, tiny_onnx
from mutations import DEEP, Raw, as_json, changed
from onnx import helper
from small_cli import Run, runner

from edgeseg.artifact import Artifact, load_onnx
from edgeseg.datasets import open_dataset
from edgeseg.errors import EdgeSegError, FileProblem, FormatError, SizeError
from edgeseg.files import existing_file
from edgeseg.recipe import recipe_from_file
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import ModelSpec, size_from_text
from edgeseg.weights import is_model, weights_path

SECONDS = 500
LONG = "x" * 5000  # of no file's name
NESTED = Raw("[" * DEEP + "]" * DEEP)
GROUPS = {
    "onnx": ("onnx_bytes", "onnx_metadata", "onnx_graph", "sidecar_bytes", "sidecar"),
    "weights": ("weights_bytes", "weights_header", "checkpoint_bytes", "folder_config", "folder_preprocessor"),
    "texts": ("ranges_bytes", "ranges", "recipe_bytes", "recipe", "dataset_bytes", "dataset", "labels_bytes"),
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capfd)


def refused(run: Run, *words: str | Path) -> str:
    """The one line of error that the command ends with."""
    done = run(*words)
    assert done.code == 2
    assert "Traceback" not in done.err
    (error,), (hint,) = done.lines("error"), done.lines("hint")
    assert hint
    return error


@pytest.mark.hypothesis
@pytest.mark.parametrize("group", GROUPS)
def test_whatever_a_file_holds_it_is_opened_or_refused(group: str, tmp_path: Path) -> None:
    pytest.importorskip("torch" if group == "weights" else "onnxruntime")
    share = str(hypothesis.settings().max_examples / 100)
    script = Path(__file__).with_name("hostile_files.py")
    command = [sys.executable, str(script), str(tmp_path), share, *GROUPS[group]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=environment
    )
    last = "\n".join(line[:300] for line in done.stderr.splitlines()[-80:])
    assert done.returncode == 0, f"what was opened last lies in {tmp_path}\n{done.stdout}\n{last}"
    seen = {name: json.loads(counts) for name, _, counts in (line.partition(" ") for line in done.stdout.splitlines())}
    assert list(seen) == list(GROUPS[group])
    assert all(counts.keys() - {OPENED} for counts in seen.values()), f"nothing was refused: {seen}"
    assert any(OPENED in counts for counts in seen.values()), f"nothing was opened: {seen}"


def test_every_kind_of_file_is_in_a_group() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(KINDS)


# What was a traceback, or was taken, once.


@pytest.mark.parametrize(
    ("keys", "value", "code"),
    [
        (("spec", "input", "width"), -1, "ES-SIZE"),
        (("spec", "input", "width"), 0, "ES-SIZE"),
        (("spec", "input", "width"), 10_000_000, "ES-SIZE"),
        (("spec", "input", "width"), float("nan"), "ES-FORMAT-SIDECAR"),
        (("spec", "input", "mean"), [float("nan"), 0.5, 0.5], "ES-FORMAT-SIDECAR"),
        (("spec", "input", "mean"), ["nan", 0.5, 0.5], "ES-FORMAT-SPEC"),
        (("spec", "input", "std"), [float("inf"), 0.5, 0.5], "ES-FORMAT-SIDECAR"),
        (("spec", "labels", "palette"), [[1, 2, 300]] * 5, "ES-FORMAT-SPEC"),
        (("spec", "labels", "palette"), [None] * 5, "ES-FORMAT-SPEC"),
        (("spec", "labels", "names"), [[]] * 5, "ES-FORMAT-SPEC"),
        (("spec", "labels", "ignore"), None, "ES-FORMAT-SPEC"),
        (("spec", "align_corners"), "no", "ES-FORMAT-SPEC"),
        (("spec",), NESTED, "ES-FORMAT-SIDECAR"),
        (("decision",), NESTED, "ES-FORMAT-SIDECAR"),
        (("spec", "input", "width"), Raw("9" * 5000), "ES-FORMAT-SIDECAR"),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else repr(value)[:20],
)
def test_a_sidecar_with_a_value_that_cannot_be(
    run: Run, keys: tuple[str, ...], value: Any, code: str, tmp_path: Path
) -> None:
    sidecar = sidecar_of_engine(tmp_path)
    engine = sidecar.with_suffix("")
    sidecar.write_text(as_json(changed(json.loads(sidecar.read_text()), keys, "replace", value)))
    with pytest.raises(EdgeSegError) as problem:
        Artifact.open(engine)
    assert problem.value.code == code
    assert refused(run, "inspect", engine)
    assert refused(run, "stream", "test://street?size=64x48&frames=1", engine)


def test_an_input_of_a_million_by_a_million(run: Run, tmp_path: Path) -> None:
    sidecar = sidecar_of_engine(tmp_path)
    data = json.loads(sidecar.read_text())
    data["spec"]["input"] |= {"width": 1_000_000, "height": 1_000_000}
    sidecar.write_text(json.dumps(data))
    with pytest.raises(SizeError) as problem:
        Artifact.open(sidecar.with_suffix(""))
    assert problem.value.code == "ES-SIZE"
    assert "1000000x1000000" in refused(run, "inspect", sidecar.with_suffix(""))
    path = graph_with(tmp_path, "input", [1, 1_000_000, 1_000_000, 3])
    with pytest.raises(SizeError) as problem:
        load_onnx(path)
    assert problem.value.code == "ES-SIZE"
    assert refused(run, "stream", "test://street?size=64x48&frames=1", path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_range_that_is_not_finite(run: Run, number: str, tmp_path: Path) -> None:
    kind = KINDS["ranges"](tmp_path)
    kind.path.write_text(kind.path.read_text().replace('"maximum": 2.0', f'"maximum": {number}'))
    with pytest.raises(FormatError) as problem:
        kind.uses[0](kind.path)
    assert problem.value.code == "ES-FORMAT"
    assert "finite" in refused(run, "quantize", tiny_onnx(tmp_path), "--ranges", kind.path, "-o", tmp_path / "out")


def graph_with(folder: Path, what: str, value: Any) -> Path:
    """The tiny ONNX with another input shape, strides, number of weights, place of weights, or without outputs."""
    path = tiny_onnx(folder)
    proto = onnx.load(path)
    (weight,) = proto.graph.initializer
    if what == "input":
        for side, length in zip(proto.graph.input[0].type.tensor_type.shape.dim, value):
            side.dim_value = length
    elif what == "type":
        proto.graph.input[0].type.tensor_type.elem_type = value
    elif what == "strides":
        proto.graph.node[-1].attribute[0].CopyFrom(helper.make_attribute("strides", value))
    elif what == "bias":
        proto.graph.node[-1].input.append(value)
    elif what == "values":
        weight.raw_data = np.zeros(value, np.float32).tobytes()
    elif what == "mean":
        proto.graph.node[2].attribute[0].t.raw_data = np.zeros(value, np.float32).tobytes()
    elif what == "outside":
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=value)
        (folder / value).write_bytes(b"\0" * 60)
    else:
        del proto.graph.output[:]
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("input", [2, 32, 66, 3]), ("type", 1_000_000), ("strides", [2]), ("bias", "w"), ("values", 5),
        ("values", 1000), ("mean", 7), ("outside", "weights.bin"), ("no outputs", None),
    ],
)  # fmt: skip
def test_a_graph_whose_parts_do_not_belong_together(
    run: Run, what: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    path = graph_with(tmp_path, what, value)
    with pytest.raises(FormatError) as problem:
        open_segmenter(path, engine="onnxruntime")
    assert problem.value.code in ("ES-FORMAT", "ES-FORMAT-ONNX", "ES-RUN")
    refused(run, "stream", "test://street?size=64x48&frames=1", path, "--engine", "onnxruntime")
    assert {outcome(use, path) for use in (inspect, calibrate)} <= {OPENED, "ES-FORMAT", "ES-FORMAT-ONNX"}
    assert not [record for record in caplog.records if record.exc_info]  # shape inference logs its own traceback


@pytest.mark.parametrize(
    "value", [NESTED, Raw("9" * 5000), Raw('{a="' + LONG + '"}'), ["openvino"], True, LONG, "../evil"]
)
@pytest.mark.parametrize("key", ["model", "engine", "precision", "size", "images"])
def test_a_recipe_with_a_value_that_cannot_be(run: Run, key: str, value: Any, tmp_path: Path) -> None:
    kind = KINDS["recipe"](tmp_path)
    assert kind.data is not None
    kind.path.write_bytes(kind.write({**kind.data, key: value}))
    refused(run, "convert", kind.path, "-o", tmp_path / "out")
    if not isinstance(value, str) or isinstance(value, Raw):
        with pytest.raises(EdgeSegError) as problem:
            recipe_from_file(kind.path)
        assert problem.value.code in ("ES-FORMAT", "ES-FORMAT-TOML", "ES-NAME", "ES-SIZE")


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("name", NESTED, "ES-FORMAT-TOML"),
        ("ignore", Raw("9" * 5000), "ES-FORMAT-TOML"),
        ("images", LONG, "ES-DATA"),
        ("labels", LONG, "ES-DATA"),
        ("classes", LONG, "ES-FILE-MISSING"),
        ("classes", [{"name": "road", "id": 2**70}], "ES-FORMAT"),
    ],
)
def test_a_data_set_with_a_value_that_cannot_be(run: Run, key: str, value: Any, code: str, tmp_path: Path) -> None:
    kind = KINDS["dataset"](tmp_path)
    kind.path.write_bytes(kind.write({**kind.data, key: value}))
    with pytest.raises(EdgeSegError) as problem:
        open_dataset(f"folder:{tmp_path}")
    assert problem.value.code == code
    refused(run, "data", f"folder:{tmp_path}")


def test_a_count_of_a_thousand_digits(run: Run) -> None:
    with pytest.raises(EdgeSegError) as problem:
        open_dataset("street:?frames=" + "9" * 5000)
    assert problem.value.code == "ES-FORMAT-OPTION"


def test_json_that_is_nested_without_end(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from edgeseg.weights.checkpoint import read_checkpoint

    kind = KINDS["weights_header"](tmp_path)
    kind.path.write_bytes(kind.write(changed(kind.data, ("__metadata__", "edgeseg", "spec"), "replace", NESTED)))
    assert "not JSON" in refused(run, "inspect", kind.path)
    folder = huggingface_folder(tmp_path)
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text(NESTED)
        with pytest.raises(FormatError) as problem:
            read_checkpoint(folder / "model.safetensors")
        assert problem.value.code == "ES-FORMAT"
    with pytest.raises(FormatError) as problem:
        ModelSpec.from_json(NESTED)
    assert problem.value.code == "ES-FORMAT-SPEC"


@pytest.mark.parametrize("text", ["²x5", "9" * 5000 + "x1", "-1x5", "1e6x1e6", "0x5", "5x"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(SizeError) as problem:
        size_from_text(text)
    assert problem.value.code == "ES-SIZE"


def test_a_name_that_no_file_can_have(run: Run) -> None:
    with pytest.raises(FileProblem) as problem:
        existing_file(f"{LONG}.onnx")
    assert problem.value.code == "ES-FILE-MISSING"
    assert is_model(LONG)
    with pytest.raises(EdgeSegError) as unknown:
        weights_path(LONG)
    assert unknown.value.code == "ES-NAME"
    for words in (("inspect", f"{LONG}.onnx"), ("convert", LONG), ("eval", LONG, "--data", f"camvid:{LONG}")):
        refused(run, *words)
    refused(run, "stream", f"{LONG}.mp4", f"{LONG}.onnx")


def test_a_name_that_the_terminal_cannot_show_is_shown_as_escapes(run: Run, tmp_path: Path) -> None:
    sidecar = sidecar_of_engine(tmp_path)
    data = json.loads(sidecar.read_text())
    data["spec"]["licence"] = "\ud800"
    sidecar.write_text(json.dumps(data))
    assert "\\ud800" in run("inspect", sidecar.with_suffix("")).out
