"""The repository of a Triton server: its configurations by Triton's protobuf, its graphs by ONNX Runtime."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, float_onnx, frames, int8_onnx

pytest.importorskip("tritonclient.grpc")

from model_server import Model, opened, serving

import edgeseg
from edgeseg.artifact import Artifact, load_onnx
from edgeseg.conversion import float_onnx as float_onnx_of
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.openvino import import_openvino, openvino_core
from edgeseg.engines.triton.config import BACKENDS, config_from_text
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.engines.triton.repository import write_repository
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.provenance import BuildInfo, Provenance
from edgeseg.serving import repository_from_model
from edgeseg.spec import Output, Precision
from edgeseg.weights import BUNDLED


def config_of(folder: Path) -> Any:
    """The configuration that Triton's protobuf reads from a folder of a repository."""
    return config_from_text((folder / "config.pbtxt").read_text(encoding="utf-8"))


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def logits(tmp_path: Path) -> Artifact:
    return float_onnx(tmp_path, name="small.onnx")


def test_a_repository_has_the_model_its_labels_and_its_spec(logits: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "repository"
    made, parity = repository_from_model(logits.path, out)
    assert (made.models, made.backend, made.batch, made.plan_script, parity) == (
        ("small",),
        "onnxruntime",
        8,
        None,
        None,
    )
    assert files_of(out) == {f"small/{name}" for name in ("config.pbtxt", "labels.txt", "client.py", "1/model.onnx")}
    assert (out / "small" / "labels.txt").read_text(encoding="utf-8") == "a\nb\nc\nd\ne\n"
    config = config_of(out / "small")
    assert (config.name, config.backend, config.max_batch_size) == ("small", "onnxruntime", 8)
    assert config.HasField("dynamic_batching")
    (frame,), (mask,) = config.input, config.output
    assert (frame.name, frame.data_type, list(frame.dims)) == ("rgb", 2, [HEIGHT, WIDTH, 3])  # 2 is TYPE_UINT8
    assert (mask.name, mask.data_type, list(mask.dims)) == ("mask", 2, [HEIGHT, WIDTH])
    assert mask.label_filename == "labels.txt"
    assert [each.batch_size for each in config.model_warmup] == [1, 8]
    assert [group.count for group in config.instance_group] == [1]
    described = json.loads(config.parameters["edgeseg"].string_value)
    assert edgeseg.ModelSpec.from_dict(described["spec"]) == SPEC
    assert described["output"] == "mask"
    assert Artifact.open(out / "small" / "1" / "model.onnx").output is Output.MASK


@pytest.mark.parametrize(
    ("backend", "batch", "most", "dims"),
    [
        ("onnxruntime", None, 8, [HEIGHT, WIDTH, 3]),
        ("onnxruntime", 1, 0, [1, HEIGHT, WIDTH, 3]),
        ("openvino", None, 0, [1, HEIGHT, WIDTH, 3]),
        ("openvino", 4, 4, [HEIGHT, WIDTH, 3]),
        ("tensorrt_plan", None, 8, [HEIGHT, WIDTH, 3]),
        ("tensorrt_plan", 1, 0, [1, HEIGHT, WIDTH, 3]),
    ],
)
def test_the_batch_is_in_the_configuration_and_in_the_graph(
    logits: Artifact, tmp_path: Path, backend: str, batch: int | None, most: int, dims: list[int]
) -> None:
    options = ServeOptions(backend, batch, instances=2)
    made, _ = repository_from_model(logits.path, tmp_path / "out", options)
    config = config_of(tmp_path / "out" / "small")
    assert (config.max_batch_size, list(config.input[0].dims)) == (most, dims)
    assert config.HasField("dynamic_batching") == (most > 1)
    assert config.instance_group[0].count == 2
    padded = (
        config.parameters["ENABLE_BATCH_PADDING"].string_value if "ENABLE_BATCH_PADDING" in config.parameters else ""
    )
    assert (padded == "YES") == ((backend, most) == ("openvino", 4))
    graph = load_onnx(tmp_path / "out" / "small" / "1" / "model.onnx").proto.graph
    first = graph.input[0].type.tensor_type.shape.dim[0]
    assert first.dim_value == (0 if most > 1 else 1)
    assert (made.plan_script is not None) == (backend == "tensorrt_plan")


def test_a_batch_gives_what_its_images_give(logits: Artifact, tmp_path: Path) -> None:
    repository_from_model(logits.path, tmp_path / "out")
    many = opened(Model.from_repository(tmp_path / "out" / "small"))
    images = list(frames(5))
    with serving(many) as server, edgeseg.open(f"triton://{server}/small") as segmenter:
        many.batches.clear()
        together = segmenter.segment_batch([*images, *images])
        assert many.batches == [8, 2]
        for image, mask in zip(images, together):
            np.testing.assert_array_equal(segmenter.segment(image).labels, mask.labels)  # type: ignore[attr-defined]


def test_the_mask_is_that_of_the_logits(logits: Artifact, tmp_path: Path) -> None:
    repository_from_model(logits.path, tmp_path / "out")
    image = frames(1)[0]
    (mask,) = Model.from_repository(tmp_path / "out" / "small").outputs({"rgb": image[None]}).values()
    with edgeseg.open(logits.path, engine="onnxruntime") as segmenter:
        same = mask[0] == segmenter.segment(image).labels
    assert same.mean() > 0.999  # in the graph and in Python the logits are interpolated alike, up to rounding


def test_an_int8_engine_goes_to_its_own_back_end(tmp_path: Path) -> None:
    source = int8_onnx(tmp_path, name="small.onnx")
    built = engine_from_onnx(source.path, "onnxruntime", out_dir=tmp_path / "engines", force=True)
    made, _ = repository_from_model(built.path, tmp_path / "out")
    assert (made.models, made.backend) == (("small-int8",), "onnxruntime")
    assert made.artifact.precision is Precision.INT8


def test_an_int8_onnx_for_another_runtime_is_refused(tmp_path: Path) -> None:
    from edgeseg.artifact import write_onnx

    source = int8_onnx(tmp_path)
    other = dataclasses.replace(source, path=tmp_path / "other.onnx", provenance=Provenance(target="openvino"))
    write_onnx(load_onnx(source.path).proto, other)
    assert repository_from_model(other.path, tmp_path / "out")[0].backend == "openvino"
    with pytest.raises(EdgeSegError) as caught:
        repository_from_model(other.path, tmp_path / "out", ServeOptions("onnxruntime"))
    assert caught.value.code == "ES-MISMATCH-TARGET"


def test_a_plan_is_built_by_a_script_with_nvidias_command(logits: Artifact, tmp_path: Path) -> None:
    made, _ = repository_from_model(logits.path, tmp_path / "out", ServeOptions("tensorrt_plan"))
    assert made.plan_script == tmp_path / "out" / "small" / "build_plan.sh"
    assert Artifact.open(made.artifact.path).spec == SPEC
    text = made.plan_script.read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("trtexec "))
    assert "--onnx=model.onnx --saveEngine=model.plan" in line
    assert f"--minShapes=rgb:1x{HEIGHT}x{WIDTH}x3" in line
    assert f"--maxShapes=rgb:8x{HEIGHT}x{WIDTH}x3" in line
    config = config_of(tmp_path / "out" / "small")
    assert (config.platform, config.default_model_filename) == ("tensorrt_plan", "model.plan")


def plan(folder: Path, engine: str = "tensorrt", output: Output = Output.MASK, most: int = 4, least: int = 1) -> Path:
    """A plan and its sidecar."""
    path = folder / f"small.{engine}.fp16.plan"
    path.write_bytes(b"a plan")
    build = BuildInfo(options={"batch": (least, most, most)})
    Artifact(path, SPEC, Precision.FP16, output, engine, build=build).write_sidecar()
    return path


def test_a_plan_of_the_user_is_copied(tmp_path: Path) -> None:
    made, _ = repository_from_model(plan(tmp_path), tmp_path / "out")
    assert (made.models, made.backend, made.batch, made.plan_script) == (("small-fp16",), "tensorrt_plan", 4, None)
    assert (tmp_path / "out" / "small-fp16" / "1" / "model.plan").read_bytes() == b"a plan"
    assert config_of(tmp_path / "out" / "small-fp16").max_batch_size == 4


@pytest.mark.parametrize(
    ("built", "options", "code"),
    [
        ({"engine": "tensorrt_rtx"}, ServeOptions(), "ES-MISMATCH-ENGINE"),
        ({}, ServeOptions("onnxruntime"), "ES-MISMATCH-ENGINE"),
        ({"output": Output.LOGITS}, ServeOptions(), "ES-OUTPUT"),
        ({"least": 2}, ServeOptions(), "ES-SIZE-BATCH"),
        ({}, ServeOptions(batch=8), "ES-SIZE-BATCH"),
        ({}, ServeOptions("torchscript"), "ES-NAME"),
        ({}, ServeOptions(name="a/b"), "ES-FORMAT-OPTION"),
    ],
)
def test_what_cannot_be_served_is_refused_and_leaves_nothing(
    tmp_path: Path, built: dict[str, Any], options: ServeOptions, code: str
) -> None:
    with pytest.raises(EdgeSegError) as caught:
        repository_from_model(plan(tmp_path, **built), tmp_path / "out", options)
    assert caught.value.code == code
    assert caught.value.hint
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_statistics_of_a_file_are_its_own(logits: Artifact, tmp_path: Path) -> None:
    with pytest.raises(EdgeSegError) as caught:
        repository_from_model(logits.path, tmp_path / "out", size=(64, 32))
    assert caught.value.code == "ES-MISMATCH-OPTIONS"


def test_only_a_model_of_the_same_weights_is_replaced(logits: Artifact, tmp_path: Path) -> None:
    from edgeseg.artifact import write_onnx

    first = dataclasses.replace(logits, provenance=Provenance(weights_sha256="1" * 64))
    other = dataclasses.replace(
        logits, path=tmp_path / "b" / "small.onnx", provenance=Provenance(weights_sha256="2" * 64)
    )
    for artifact in (first, other):
        write_onnx(load_onnx(logits.path).proto, artifact)
    out = tmp_path / "out"
    repository_from_model(first.path, out)
    repository_from_model(first.path, out, ServeOptions(batch=2))
    assert config_of(out / "small").max_batch_size == 2
    with pytest.raises(EdgeSegError) as caught:
        repository_from_model(other.path, out)
    assert caught.value.code == "ES-FILE-EXISTS"
    repository_from_model(other.path, out, ServeOptions(name="other"))
    (out / "small" / "config.pbtxt").write_text("name: 5")
    with pytest.raises(EdgeSegError) as caught:
        repository_from_model(first.path, out)
    assert caught.value.code == "ES-FILE-EXISTS"
    assert sorted(path.name for path in out.iterdir()) == ["other", "small"]


def test_an_export_replaces_the_ensemble_of_an_earlier_one_and_no_other_model(logits: Artifact, tmp_path: Path) -> None:
    out = tmp_path / "out"
    repository_from_model(logits.path, out, ServeOptions(batch=2, dali=True))
    repository_from_model(logits.path, out, ServeOptions(batch=4, dali=True))
    assert [config_of(out / name).max_batch_size for name in ("small", "small-decode", "small-jpeg")] == [4, 4, 4]
    repository_from_model(logits.path, out)
    assert [path.name for path in out.iterdir()] == ["small"]
    for name in ("small-jpeg", "small-decode"):
        (out / name).mkdir()
        (out / name / "config.pbtxt").write_text('backend: "python"')
        repository_from_model(logits.path, out)
        with pytest.raises(EdgeSegError) as caught:
            repository_from_model(logits.path, out, ServeOptions(dali=True))
        assert caught.value.code == "ES-FILE-EXISTS"
        assert (out / name / "config.pbtxt").read_text() == 'backend: "python"'
        shutil.rmtree(out / name)


@pytest.mark.parametrize("options", [ServeOptions(dali=True), ServeOptions("openvino", dali=True)])
def test_the_ensemble_joins_decoder_and_model(logits: Artifact, tmp_path: Path, options: ServeOptions) -> None:
    made, _ = repository_from_model(logits.path, tmp_path / "out", options)
    assert made.models == ("small", "small-jpeg", "small-decode")
    decoder, ensemble, model = (config_of(tmp_path / "out" / name) for name in ("small-decode", "small-jpeg", "small"))
    assert (tmp_path / "out" / "small-jpeg" / "1").is_dir()
    assert ensemble.platform == "ensemble"
    first, second = ensemble.ensemble_scheduling.step
    assert (first.model_name, second.model_name) == (decoder.name, model.name)
    assert first.output_map[decoder.output[0].name] == second.input_map[model.input[0].name]
    assert second.output_map[model.output[0].name] == ensemble.output[0].name
    assert ensemble.max_batch_size <= max(1, model.max_batch_size)
    text = (tmp_path / "out" / "small-decode" / "1" / "dali.py").read_text(encoding="utf-8")
    compile(text, "dali.py", "exec")
    assert f"resize_x={WIDTH}, resize_y={HEIGHT}" in text
    assert list(decoder.output[0].dims) == [HEIGHT, WIDTH, 3]


def test_the_client_of_the_repository_writes_a_mask(
    logits: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository_from_model(logits.path, tmp_path / "out")
    cv2.imwrite(str(tmp_path / "photo.png"), frames(1)[0].repeat(2, 0).repeat(2, 1))
    file = importlib.util.spec_from_file_location("client", tmp_path / "out" / "small" / "client.py")
    assert file is not None
    assert file.loader is not None
    client = importlib.util.module_from_spec(file)
    file.loader.exec_module(client)
    with serving(opened(Model.from_repository(tmp_path / "out" / "small"))) as server:
        client.main([str(tmp_path / "photo.png"), "--server", server, "-o", str(tmp_path / "mask.png")])
    colours = cv2.cvtColor(cv2.imread(str(tmp_path / "mask.png")), cv2.COLOR_BGR2RGB)
    assert colours.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert {tuple(colour) for colour in np.unique(colours.reshape(-1, 3), axis=0).tolist()} <= set(SPEC.labels.palette)
    shares = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert 0 < len(shares) <= CLASSES
    assert sum(shares) == pytest.approx(100, abs=0.1 * CLASSES)


def test_without_tritonclient_the_error_says_what_to_install(
    logits: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tritonclient"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    for use in (
        lambda: repository_from_model(logits.path, tmp_path / "out"),
        lambda: edgeseg.open("triton://localhost/small"),
    ):
        with pytest.raises(UnavailableError) as caught:
            use()
        assert caught.value.code.startswith("ES-MISSING")
        assert "edgeseg[triton]" in caught.value.hint
    assert not (tmp_path / "out").exists()


def openvino_outputs(path: Path, images: np.ndarray) -> np.ndarray:
    """The mask of a batch, as Triton's back end for OpenVINO sets the batch of the graph."""
    openvino = import_openvino()
    model = openvino_core().read_model(path)
    model.get_parameters()[0].set_layout(openvino.Layout("N..."))
    openvino.set_batch(model, len(images))
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled([images])[0])


@pytest.mark.nightly
@pytest.mark.parametrize("name", BUNDLED)
def test_each_bundled_model_passes_tritons_protobuf_and_runs_in_batches(
    name: str, tmp_path: Path, shared_exports: None
) -> None:
    onnx, _ = float_onnx_of(name, tmp_path, output=Output.MASK)
    for backend in BACKENDS:
        made = write_repository(onnx, tmp_path / backend, ServeOptions(backend, batch=2, dali=True))
        for model in made.models:
            assert config_of(tmp_path / backend / model).name == model
    size = onnx.spec.input
    noise = np.random.default_rng(1).integers(0, 256, (2, size.height // 32, size.width // 32, 3), np.uint8)
    images = noise.repeat(32, 1).repeat(32, 2)
    (masks,) = Model.from_repository(tmp_path / "onnxruntime" / name).outputs({"rgb": images}).values()
    assert masks.shape == (2, size.height, size.width)
    same = masks == openvino_outputs(tmp_path / "openvino" / name / "1" / "model.onnx", images)
    assert same.mean() > 0.999  # fp32 against fp32: only near-ties may differ
