"""What every engine of the table must do, on a small model."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from engines_here import engine_here
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, float_onnx, frames, int8_onnx

from edgeseg.artifact import Artifact, sidecar_path
from edgeseg.engines import ENGINES, default_engine, open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import (
    FormatError,
    MismatchError,
    SizeError,
    UnavailableError,
    UnknownNameError,
)
from edgeseg.provenance import Agreement
from edgeseg.spec import Output, Precision, TensorSpec

RUNTIMES = {
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt_rtx",
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "pytorch": "torch",
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Every engine that runs here."""
    return engine_here(request.param, monkeypatch)


@pytest.fixture
def built(engine: Engine, tmp_path: Path) -> Artifact:
    return engine_from_onnx(float_onnx(tmp_path).path, engine.name, out_dir=tmp_path / "engines", frames=frames(2))


def test_every_engine_of_the_table_has_its_name() -> None:
    for name in ENGINES:
        assert open_engine(name).name == name


def test_every_engine_module_is_in_the_table() -> None:
    folder = Path(importlib.import_module("edgeseg.engines").__file__ or "").parent
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    texts = {name: folder / f"{name}.py" for name in modules if (folder / f"{name}.py").exists()}
    stating = {name for name, path in texts.items() if "\nENGINE = Engine(" in path.read_text(encoding="utf-8")}
    assert stating <= set(ENGINES)


def test_an_unknown_engine_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_engine("opnvino")
    assert str(caught.value) == "unknown engine: opnvino (did you mean openvino?)"


def test_a_build_is_an_engine_file_and_a_sidecar_that_reads_back_as_it_was_written(built: Artifact) -> None:
    assert built.path.name == f"small.{built.engine}.fp32.{open_engine(built.engine).extension}"
    assert sorted(path.name for path in built.path.parent.iterdir()) == [built.path.name, built.path.name + ".json"]
    assert Artifact.open(built.path) == built
    assert built.spec == SPEC
    assert built.provenance.weights == "seed 0"
    assert len(built.provenance.built_from_sha256) == 64
    assert built.device["machine"]
    assert any(built.versions.values())


def test_the_layers_name_the_convolutions_with_requested_and_obtained_precision(built: Artifact) -> None:
    computing = [layer for layer in built.layers if layer.obtained]
    assert sorted(layer.name for layer in computing) == ["conv0", "conv1", "conv2"]
    assert all((layer.requested, layer.obtained) == ("fp32", "fp32") for layer in computing)
    assert all(layer.name and layer.op for layer in built.layers)


def test_the_agreement_with_the_float_model_is_in_the_sidecar(built: Artifact) -> None:
    assert built.agreement.frames == 2
    assert built.agreement.labels >= 0.999  # fp32 against fp32: only exact ties may differ
    assert built.agreement.max_abs_logit_difference < 1e-4  # logits near 1, sums of 144 fp32 products


def test_a_mask_leaves_as_uint8(engine: Engine, tmp_path: Path) -> None:
    mask = engine_from_onnx(
        float_onnx(tmp_path, Output.MASK).path, engine.name, out_dir=tmp_path / "out", frames=frames(2)
    )
    assert mask.output is Output.MASK
    assert mask.agreement.labels >= 0.999  # as above
    assert mask.agreement.max_abs_logit_difference is None
    logits = float_onnx(tmp_path, name="logits.onnx")
    with engine.open(mask) as masks, engine.open(logits) as plain:
        assert masks.outputs == (TensorSpec("mask", "uint8", (1, HEIGHT // 2, WIDTH // 2)),)
        feed = {"rgb": frames(1)}
        np.testing.assert_array_equal(masks.infer(feed)["mask"], plain.infer(feed)["logits"].argmax(1))


def test_int8_gives_the_labels_of_the_float_model(engine: Engine, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the test quantises with ONNX Runtime's tool")
    source = int8_onnx(tmp_path)
    built = engine_from_onnx(
        source.path,
        engine.name,
        out_dir=tmp_path / "out",
        reference=float_onnx(tmp_path).path,
        frames=frames(4, seed=7),
    )
    assert built.precision is Precision.INT8
    assert built.agreement.labels >= 0.9  # 8 bits on a random net whose classes lie close together
    convolutions = [layer for layer in built.layers if layer.obtained]
    assert {layer.requested for layer in convolutions} == {"int8"}
    assert {layer.obtained for layer in convolutions} == {"fp32" if engine.simulates else "int8"}


def test_a_precision_that_an_engine_does_not_make_is_refused_with_those_it_makes(
    engine: Engine, tmp_path: Path
) -> None:
    unknown = next(each for each in (Precision.FP16, Precision.BF16) if each not in engine.precisions)
    with pytest.raises(UnknownNameError) as caught:
        engine_from_onnx(float_onnx(tmp_path).path, engine.name, precision=unknown, out_dir=tmp_path / "out")
    assert engine.name in caught.value.message
    assert "fp32" in caught.value.hint


def test_int8_from_a_float_onnx_is_refused_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MismatchError) as caught:
        engine_from_onnx(float_onnx(tmp_path).path, engine.name, precision=Precision.INT8, out_dir=tmp_path / "out")
    assert caught.value.code == "ES-MISMATCH-PRECISION"
    assert "edgeseg quantize" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_it_runs_on_every_device_that_it_lists_here(engine: Engine, built: Artifact) -> None:
    listed = engine.devices()
    assert len(set(listed)) == len(listed) > 0
    for device in listed:
        with engine.open(built, RunOptions(device)) as backend:
            got = backend.infer({"rgb": frames(1)})["logits"].copy()
            backend.synchronize()
        assert got.shape == (1, CLASSES, HEIGHT // 2, WIDTH // 2)
        assert got.any()


def test_auto_is_the_first_device_that_it_lists(engine: Engine) -> None:
    assert engine.device_from_name("auto") == engine.devices()[0]


@pytest.mark.parametrize("device", ["cuda:77", "gpu:77", "npu:77", "qnn:77"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(engine: Engine, built: Artifact, device: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        engine.open(built, RunOptions(device))
    assert caught.value.code == "ES-DEVICE-MISSING"
    assert all(name in caught.value.hint for name in engine.devices())


@pytest.mark.parametrize("device", ["cpux", "", "cuda:", "cuda:x", "cuda:-1", "GPU.0"])
def test_a_name_of_no_device_is_refused(engine: Engine, built: Artifact, device: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        engine.open(built, RunOptions(device))
    assert caught.value.code == "ES-NAME"


@pytest.mark.parametrize("threads", [0, -1])
def test_an_engine_runs_on_one_thread_or_more(threads: int) -> None:
    with pytest.raises(SizeError) as caught:
        RunOptions(threads=threads)
    assert caught.value.code == "ES-THREADS"


def test_an_engine_is_built_for_and_checked_on_the_device_that_is_asked_for(engine: Engine, tmp_path: Path) -> None:
    source, last = float_onnx(tmp_path).path, engine.devices()[-1]
    built = engine_from_onnx(
        source, engine.name, out_dir=tmp_path / "out", frames=frames(2), options=BuildOptions(device=last)
    )
    assert built.agreement.labels >= 0.999  # fp32 against fp32: only exact ties may differ
    with pytest.raises(UnavailableError) as caught:
        engine_from_onnx(source, engine.name, out_dir=tmp_path / "no", options=BuildOptions(device="gpu:77"))
    assert caught.value.code == "ES-DEVICE-MISSING"


def test_an_altered_engine_file_is_refused(engine: Engine, built: Artifact) -> None:
    data = bytearray(built.path.read_bytes())
    data[len(data) // 2] ^= 1
    built.path.write_bytes(data)
    with pytest.raises(MismatchError, match="SHA-256 differs"):
        Artifact.open(built.path)


def test_a_file_that_the_runtime_cannot_load_is_named(engine: Engine, tmp_path: Path) -> None:
    artifact = float_onnx(tmp_path)
    artifact.path.write_bytes(b"not an engine")
    with pytest.raises(FormatError, match=r"float\.onnx"):
        engine.open(artifact)


def test_building_again_replaces_the_engine_and_leaves_one_pair_of_files(built: Artifact) -> None:
    source = built.path.parent.parent / "float.onnx"
    again = engine_from_onnx(source, built.engine, out_dir=built.path.parent, frames=frames(2))
    assert again == built
    assert len(list(built.path.parent.iterdir())) == 2
    assert Artifact.open(again.path) == again


def test_an_engine_can_be_built_where_its_onnx_lies_under_its_own_name(engine: Engine, tmp_path: Path) -> None:
    if engine.extension != "onnx":
        pytest.skip(f"an engine of {engine.name} is no ONNX")
    source = float_onnx(tmp_path, name=f"small.{engine.name}.fp32.onnx")
    built = engine_from_onnx(source.path, engine.name, out_dir=tmp_path)
    assert built.path == source.path
    assert sidecar_path(built.path).exists()
    assert built.agreement == Agreement()
    assert engine_from_onnx(built.path, engine.name, out_dir=tmp_path) == built


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_whose_runtime_is_missing_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, RUNTIMES[name], None)
    for use in (
        open_engine(name).available,
        lambda: open_engine(name).open(float_onnx(tmp_path)),
        lambda: engine_from_onnx(float_onnx(tmp_path).path, name, out_dir=tmp_path / "out"),
    ):
        with pytest.raises(UnavailableError) as caught:
            use()
        assert f"the engine {name} is not available" in caught.value.message
        assert caught.value.hint.startswith(f"pip install {RUNTIMES[name].replace('_', '-')}")
    assert not (tmp_path / "out").exists()


def test_the_default_engine_is_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert default_engine() == "onnxruntime"
    for module in RUNTIMES.values():
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError) as caught:
        default_engine()
    assert str(caught.value) == "no engine is installed (pip install onnxruntime)"
