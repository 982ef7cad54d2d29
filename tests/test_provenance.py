"""What files say of themselves: it reads back as it was written, and nonsense is refused and never a traceback."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_onnx import float_onnx

from edgeseg.artifact import Artifact, Layer, sidecar_path
from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.provenance import Agreement, BuildInfo, Provenance, RangeSource

FULL = Provenance(
    weights="a.safetensors",
    weights_sha256="a" * 64,
    origin="mmseg",
    onnx_sha256="b" * 64,
    target="openvino",
    ranges=RangeSource(8, "c" * 64, "mse", ("equalize",)),
    built_from_sha256="d" * 64,
)
BUILD = BuildInfo(
    onnx="a.onnx", version="10.13", options={"device": "cuda:1", "gpus": ["8.6"], "portable": True},
    profile=([1, 2],), plan_bytes=7, fell_back=("x",), trtexec="trtexec", layers=({"name": "x"},),
)  # fmt: skip


def written(folder: Path) -> Artifact:
    """An engine whose sidecar has everything."""
    engine = dataclasses.replace(
        float_onnx(folder),
        engine="openvino",
        provenance=FULL,
        build=BUILD,
        agreement=Agreement(4, 0.99, 0.1, 1.0, 0.0, "images", "note", "judged"),
        layers=(Layer("conv0", "Conv", "fp32", "fp32"),),
        versions={"openvino": "1"},
        device={"cpu": "x", "threads": 2},
        decision={"summary": "int8 kept", "candidates": [{"name": "int8"}]},
    )
    engine.write_sidecar()
    return engine


def test_a_sidecar_reads_back_as_it_was_written(tmp_path: Path) -> None:
    engine = written(tmp_path)
    assert Artifact.open(engine.path) == engine
    assert (engine.build.gpus, engine.build.is_portable) == (("8.6",), True)


def test_the_keys_are_those_of_the_first_release(tmp_path: Path) -> None:
    data = json.loads(sidecar_path(written(tmp_path).path).read_text())
    assert data["provenance"]["ranges"] == {
        "images": 8, "images_sha256": "c" * 64, "observer": "mse", "corrections": ["equalize"],
    }  # fmt: skip
    assert {"onnx", "version", "options", "profile", "plan_bytes", "fell_back", "trtexec", "layers"} == set(
        data["build"]
    )
    assert {"frames", "labels", "max_abs_logit_difference", "source_labels", "note", "judged"} <= set(data["agreement"])


def test_the_source_of_a_tuned_network_is_a_provenance_and_that_of_an_adopted_one_a_name() -> None:
    tuned = Provenance(qat={"observer": "mse"}, tuned_from=Provenance(weights_sha256="a" * 64))
    assert tuned.to_dict() == {"qat": {"observer": "mse"}, "source": {"weights_sha256": "a" * 64}}
    assert Provenance.from_dict(tuned.to_dict()) == tuned
    assert tuned.qat_observer == "mse"
    adopted = Provenance(source="net.onnx", source_sha256="b" * 64)
    assert Provenance.from_dict(adopted.to_dict()) == adopted
    assert adopted.identity == "b" * 64


def test_a_tuned_network_is_not_the_one_that_it_began_with() -> None:
    began = Provenance(weights_sha256="a" * 64)
    tuned = Provenance(weights_sha256="b" * 64, qat={"observer": "mse"}, tuned_from=began)
    assert tuned.identity == "b" * 64
    older = [Provenance(qat={"seed": seed}, tuned_from=began) for seed in (1, 2)]  # without a hash of their own
    assert len({began.identity, *(each.identity for each in older)}) == 3
    assert older[0].identity == Provenance.from_dict(older[0].to_dict()).identity
    assert dataclasses.replace(older[0], target="tensorrt", onnx_sha256="c" * 64).identity == older[0].identity
    assert Provenance().identity == ""


WRONG: list[tuple[tuple[str, ...], Any]] = [
    (("provenance",), "text"),
    (("provenance", "weights_sha256"), 5),
    (("provenance", "ranges"), [1]),
    (("provenance", "ranges", "images"), "many"),
    (("provenance", "source"), {"source": {"weights": []}}),
    (("agreement",), [1]),
    (("agreement", "labels"), "all"),
    (("agreement", "labels"), True),
    (("build", "options"), "x"),
    (("build", "options"), {"gpus": 5}),
    (("build", "layers"), ["x"]),
    (("versions",), {"x": {}}),
    (("device",), 3),
    (("decision",), [[]]),
    (("layers",), 7),
    (("layers",), [{"name": ["x"], "op": "", "requested": "", "obtained": ""}]),
    (("layers",), ["x"]),
]


@pytest.mark.parametrize(("keys", "value"), WRONG)
def test_a_value_of_another_type_is_refused(keys: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    path = written(tmp_path).path
    data = json.loads(sidecar_path(path).read_text())
    place = data
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    sidecar_path(path).write_text(json.dumps(data))
    with pytest.raises(FormatError) as caught:
        Artifact.open(path)
    assert caught.value.code in ("ES-FORMAT", "ES-FORMAT-SIDECAR")
    assert caught.value.hint


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number: str, tmp_path: Path) -> None:
    path = written(tmp_path).path
    text = sidecar_path(path).read_text()
    sidecar_path(path).write_text(text.replace('"labels": 0.99', f'"labels": {number}'))
    with pytest.raises(FormatError):
        Artifact.open(path)


@pytest.mark.parametrize("depth", [200, 100_000])
def test_a_sidecar_that_is_nested_deeply_is_refused(depth: int, tmp_path: Path) -> None:
    path = written(tmp_path).path
    text = sidecar_path(path).read_text()
    nested = "[" * depth + "]" * depth
    sidecar_path(path).write_text(text.replace('"summary": "int8 kept"', f'"summary": {nested}'))
    with pytest.raises(FormatError):
        Artifact.open(path)


def test_what_is_no_number_is_written_as_null(tmp_path: Path) -> None:
    engine = dataclasses.replace(written(tmp_path), decision={"summary": "x", "miou": float("nan")})
    engine.write_sidecar()
    assert Artifact.open(engine.path).decision == {"summary": "x", "miou": None}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARTS = ("schema", "spec", "precision", "output", "provenance", "engine", "versions", "device", "agreement", "build",
         "decision", "layers")  # fmt: skip


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(PARTS), inner=st.text(max_size=5) | st.just(""), value=PLAIN)
def test_no_sidecar_ends_in_a_traceback(part: str, inner: str, value: Any, tmp_path: Path) -> None:
    path = written(tmp_path).path
    data = json.loads(sidecar_path(path).read_text())
    if inner and isinstance(data[part], dict):
        key = sorted(data[part])[len(inner) % len(data[part])]
        data[part][key] = value
    else:
        data[part] = value
    sidecar_path(path).write_text(json.dumps(data))
    try:
        Artifact.open(path)
    except EdgeSegError as problem:
        assert problem.code.startswith("ES-")
        assert problem.hint
