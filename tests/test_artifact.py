from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import onnx
import pytest
from small_onnx import SPEC, float_onnx

from edgeseg.artifact import Artifact, Layer, count_precisions, model_stem, read_onnx, sidecar_path
from edgeseg.errors import FileProblem, FormatError, MismatchError, SizeError
from edgeseg.provenance import Agreement
from edgeseg.spec import Output, Precision


@pytest.fixture
def engine(tmp_path: Path) -> Artifact:
    onnx = float_onnx(tmp_path)
    built = dataclasses.replace(
        onnx,
        engine="openvino",
        precision=Precision.INT8,
        versions={"openvino": "1"},
        device={"cpu": "x"},
        layers=(Layer("conv0", "Conv", "int8", "int8"), Layer("pool", "MaxPool", "", "")),
        agreement=Agreement(frames=4, labels=0.99),
    )
    built.write_sidecar()
    return built


def test_an_onnx_says_what_it_is(tmp_path: Path) -> None:
    written = float_onnx(tmp_path, Output.MASK)
    opened = Artifact.open(written.path)
    assert opened == written
    assert opened.kind == "onnx"
    assert opened.spec == SPEC
    assert opened.output is Output.MASK


def test_a_sidecar_round_trip(engine: Artifact) -> None:
    opened = Artifact.open(engine.path)
    assert opened == engine
    assert opened.kind == "engine"
    assert count_precisions(opened.layers) == {"int8": 1}


def test_an_altered_engine_names_the_rebuild(engine: Artifact) -> None:
    engine.path.write_bytes(engine.path.read_bytes() + b"\0")
    with pytest.raises(MismatchError) as caught:
        Artifact.open(engine.path)
    assert caught.value.hint == "edgeseg convert small --engine openvino --precision int8"


def test_a_newer_or_broken_sidecar_is_refused(engine: Artifact) -> None:
    sidecar = sidecar_path(engine.path)
    data = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**data, "schema": 9}))
    with pytest.raises(MismatchError, match="schema 9"):
        Artifact.open(engine.path)
    sidecar.write_text("{")
    with pytest.raises(FormatError) as caught:
        Artifact.open(engine.path)
    assert caught.value.code == "ES-FORMAT-SIDECAR"


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("precision", "int9", "ES-FORMAT"),
        ("output", None, "ES-FORMAT"),
        ("layers", [{"name": "x"}], "ES-FORMAT-SIDECAR"),
        ("spec", {"schema": 1}, "ES-FORMAT-SPEC"),
    ],
)
def test_a_sidecar_with_a_wrong_field_is_refused(engine: Artifact, key: str, value: object, code: str) -> None:
    sidecar = sidecar_path(engine.path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), key: value}))
    with pytest.raises(FormatError) as caught:
        Artifact.open(engine.path)
    assert caught.value.code == code


def test_files_that_are_no_onnx_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"none\.onnx"):
        read_onnx(tmp_path / "none.onnx")
    for name, content in (("text.onnx", b"hello, this is text\n"), ("empty.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError) as caught:
            Artifact.open(tmp_path / name)
        assert caught.value.code == "ES-FORMAT-ONNX"
    half = tmp_path / "half.onnx"
    half.write_bytes(float_onnx(tmp_path).path.read_bytes()[:3000])
    with pytest.raises(FormatError) as caught:
        Artifact.open(half)
    assert caught.value.code == "ES-FORMAT-ONNX"


def test_an_onnx_without_a_spec_is_refused(tmp_path: Path) -> None:
    path = float_onnx(tmp_path).path
    model = read_onnx(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError) as caught:
        Artifact.open(path)
    assert caught.value.code == "ES-FORMAT-SPEC"
    model.metadata_props.add(key="edgeseg", value="{")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError) as caught:
        Artifact.open(path)
    assert caught.value.code == "ES-FORMAT-SPEC"


def test_an_onnx_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = float_onnx(tmp_path).path
    monkeypatch.setattr("edgeseg.artifact.MAX_ONNX_BYTES", 100)
    with pytest.raises(FormatError) as caught:
        read_onnx(path)
    assert caught.value.code == "ES-TOO-LARGE"


def test_files_of_different_shape_have_different_names() -> None:
    assert model_stem("net", None) == "net"
    assert model_stem("net", (512, 256)) == "net-512x256"
    assert model_stem("net", None, Output.MASK) == "net-mask"
    assert model_stem("net", (512, 256), Output.MASK) == "net-512x256-mask"


def onnx_with_input(folder: Path, *sides: int) -> Path:
    """An ONNX whose input says it has these sides."""
    path = float_onnx(folder).path
    model = onnx.load(path)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    del dims[:]
    for side in sides:
        dims.add(dim_value=side)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("sides", [(1, 10**6, 10**6, 3), (1, -1, 64, 3), (1, 32, 0, 3), (2**40, 32, 64, 3)])
def test_an_onnx_whose_input_no_machine_holds_is_refused(sides: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(SizeError) as caught:
        Artifact.open(onnx_with_input(tmp_path, *sides))
    assert caught.value.code == "ES-SIZE"
    assert caught.value.hint


def test_an_onnx_whose_input_has_no_shape_is_refused(tmp_path: Path) -> None:
    path = float_onnx(tmp_path).path
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(FormatError) as caught:
        Artifact.open(path)
    assert caught.value.code == "ES-FORMAT-ONNX"


@pytest.mark.parametrize("side", [-1, 0, 10**6])
def test_a_spec_whose_input_is_no_size_is_refused(side: int, tmp_path: Path) -> None:
    path = float_onnx(tmp_path).path
    model = onnx.load(path)
    (entry,) = model.metadata_props
    data = json.loads(entry.value)
    data["spec"]["input"] |= {"width": side, "height": side}
    entry.value = json.dumps(data)
    onnx.save(model, path)
    with pytest.raises(SizeError) as caught:
        Artifact.open(path)
    assert caught.value.code == "ES-SIZE"
