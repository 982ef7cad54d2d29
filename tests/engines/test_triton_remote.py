"""A model on a server: what it segments, and what a dead, slow or wrong server gives."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_onnx import CLASSES, HEIGHT, SPEC, WIDTH, float_onnx, frames
from small_servers import http, silent
from small_servers import server as raw_server

pytest.importorskip("tritonclient.grpc")

from model_server import Model, opened, serving

import edgeseg
from edgeseg.artifact import Artifact
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.engines.triton.address import ModelAddress
from edgeseg.engines.triton.client import server_error
from edgeseg.engines.triton.remote import open_remote
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.spec import Output


@pytest.fixture
def mask(tmp_path: Path) -> Artifact:
    return float_onnx(tmp_path, Output.MASK, "mask.onnx")


def test_a_server_gives_what_the_file_gives(mask: Artifact) -> None:
    image = frames(1)[0].repeat(2, 0)
    with edgeseg.open(mask.path, engine="onnxruntime") as segmenter:
        labels = segmenter.segment(image).labels
    with serving(opened(Model.from_artifact(mask))) as server, edgeseg.open(f"triton://{server}/mask") as segmenter:
        np.testing.assert_array_equal(segmenter.segment(image).labels, labels)
        assert segmenter.spec == SPEC
        assert segmenter.artifact.location == f"triton://{server}/mask"
        assert set(segmenter.latency()) == {"total", "resize", "infer", "upsample"}


def test_the_login_is_checked_by_the_server_and_is_in_nothing_that_is_shown(
    mask: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    login = "YW5uOnNlY3JldA=="  # ann:secret
    with serving(opened(Model.from_artifact(mask), login=login)) as server:
        with edgeseg.open(f"triton://ann:secret@{server}/mask") as segmenter:
            shown = f"{segmenter.artifact} {segmenter.artifact.location} {segmenter.artifact.metadata()}"
        with pytest.raises(UnavailableError) as caught:
            open_remote(f"triton://ann:secrat@{server}/mask")
    assert caught.value.code == "ES-SERVER-AUTH"
    assert not any(
        word in text for word in ("secret", "secrat", login) for text in (shown, caplog.text, str(caught.value))
    )


def test_no_server_is_an_error_with_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError) as caught:
        open_remote(f"triton://127.0.0.1:{port}/mask")
    assert caught.value.code == "ES-SERVER-UNREACHABLE"
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "8001" in caught.value.hint


def test_a_server_that_ends_is_an_error_of_the_next_image(mask: Artifact) -> None:
    with serving(opened(Model.from_artifact(mask))) as server:
        _, backend = open_remote(f"triton://{server}/mask")
        assert backend.infer({"rgb": frames(1)})["mask"].shape == (1, HEIGHT // 2, WIDTH // 2)
    with backend, pytest.raises(UnavailableError) as caught:
        backend.infer({"rgb": frames(1)})
    assert caught.value.code == "ES-SERVER-UNREACHABLE"


def test_a_slow_server_is_an_error_with_the_time_that_it_had(mask: Artifact) -> None:
    slow = opened(Model.from_artifact(mask))
    with serving(slow) as server:
        _, backend = open_remote(f"triton://{server}/mask?timeout=60s")
        slow.gate.clear()
        client = backend._client  # type: ignore[attr-defined]
        client.address = dataclasses.replace(client.address, timeout_seconds=0.2)  # not while it is opened
        with backend, pytest.raises(UnavailableError) as caught:
            backend.infer({"rgb": frames(1)})
        slow.gate.set()
    assert caught.value.code == "ES-SERVER-TIMEOUT"
    assert "0.2 s" in caught.value.message
    assert "?timeout=" in caught.value.hint


def test_a_host_that_says_nothing_is_an_error_in_time() -> None:
    with raw_server(silent) as port, pytest.raises(UnavailableError) as caught:
        open_remote(f"triton://127.0.0.1:{port}/mask?timeout=0.2s")
    assert caught.value.code in ("ES-SERVER-TIMEOUT", "ES-SERVER-UNREACHABLE")


def test_a_server_of_another_protocol_is_an_error_with_the_right_port() -> None:
    with raw_server(http(b"hello")) as port, pytest.raises(UnavailableError) as caught:
        open_remote(f"triton://127.0.0.1:{port}/mask?timeout=60s")
    assert caught.value.code == "ES-SERVER-UNREACHABLE"
    assert "gRPC" in caught.value.hint


def test_a_server_of_another_service_is_named_as_one() -> None:
    with serving(None) as server, pytest.raises(UnavailableError) as caught:
        open_remote(f"triton://{server}/mask")
    assert caught.value.code == "ES-SERVER-KIND"


def test_a_server_without_the_model_is_an_error_with_its_name(mask: Artifact) -> None:
    with serving(opened(Model.from_artifact(mask))) as server, pytest.raises(UnavailableError) as caught:
        open_remote(f"triton://{server}/musk")
    assert caught.value.code == "ES-SERVER-MODEL"
    assert "musk" in caught.value.message
    assert "--to triton" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "null", '{"schema": 2}'])
def test_a_model_without_a_spec_is_refused(mask: Artifact, text: str) -> None:
    model = Model.from_artifact(mask)
    model.config.parameters["edgeseg"].string_value = text
    with serving(opened(model)) as server, pytest.raises(EdgeSegError) as caught:
        open_remote(f"triton://{server}/mask")
    assert caught.value.code.startswith("ES-FORMAT")


@pytest.mark.parametrize(
    "spec",
    [
        dataclasses.replace(SPEC, input=dataclasses.replace(SPEC.input, width=WIDTH * 2)),
        dataclasses.replace(SPEC, input=dataclasses.replace(SPEC.input, height=HEIGHT * 2)),
    ],
)
def test_a_model_of_another_size_than_its_spec_is_refused(mask: Artifact, spec: edgeseg.ModelSpec) -> None:
    model = Model.from_artifact(dataclasses.replace(mask, spec=spec))
    with serving(opened(model)) as server, pytest.raises(EdgeSegError) as caught:
        open_remote(f"triton://{server}/mask")
    assert caught.value.code == "ES-SERVER-ANSWER"


def test_logits_of_other_classes_than_the_spec_has_are_refused(tmp_path: Path) -> None:
    labels = dataclasses.replace(SPEC.labels, names=SPEC.labels.names[:-1], palette=SPEC.labels.palette[:-1])
    model = Model.from_artifact(
        dataclasses.replace(float_onnx(tmp_path), spec=dataclasses.replace(SPEC, labels=labels))
    )
    with serving(opened(model)) as server, pytest.raises(EdgeSegError) as caught:
        open_remote(f"triton://{server}/float")
    assert caught.value.code == "ES-SERVER-ANSWER"


Outputs = dict[str, np.ndarray]


@pytest.mark.parametrize(
    "answer",
    [
        lambda outputs: {},
        lambda outputs: {"musk": outputs["mask"]},
        lambda outputs: {"mask": outputs["mask"][:, 1:]},
        lambda outputs: {"mask": outputs["mask"].repeat(2, 0)},
        lambda outputs: {"mask": outputs["mask"].astype(np.int64)},
        lambda outputs: {"mask": np.full_like(outputs["mask"], CLASSES)},
    ],
    ids=["nothing", "another name", "another size", "two images", "another type", "a class too many"],
)
def test_an_answer_that_does_not_fit_is_refused(mask: Artifact, answer: Callable[[Outputs], Outputs]) -> None:
    with serving(opened(Model.from_artifact(mask), answer=answer)) as server:
        _, backend = open_remote(f"triton://{server}/mask")
        with backend, pytest.raises(EdgeSegError) as caught:
            backend.infer({"rgb": frames(1)})
    assert caught.value.code == "ES-SERVER-ANSWER"


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        ("UNAVAILABLE", "Request for unknown model: 'x' has no available versions", "ES-SERVER-MODEL"),
        ("PERMISSION_DENIED", "", "ES-SERVER-AUTH"),
        ("INTERNAL", "CUDA out of memory\nsecond line", "ES-SERVER"),
        ("INVALID_ARGUMENT", "", "ES-SERVER"),
    ],
)
def test_every_status_has_a_code_and_one_line(status: str, text: str, code: str) -> None:
    error = server_error(ModelAddress("gpu", "street"), status, text)
    assert error.code == code
    assert error.hint
    assert "\n" not in error.message


def test_a_server_has_no_devices_of_this_machine(mask: Artifact) -> None:
    with pytest.raises(UnavailableError) as caught:
        open_remote("triton://127.0.0.1/mask", RunOptions("cuda:0"))
    assert caught.value.code == "ES-DEVICE-MISSING"


def test_nothing_is_built_for_a_server(mask: Artifact, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        engine_from_onnx(mask.path, "triton", out_dir=tmp_path / "out")
    assert "--to triton" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []
