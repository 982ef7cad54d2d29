"""What every opened engine must do, here or on a server, on a small model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from engines_here import engine_here
from small_onnx import CLASSES, HEIGHT, WIDTH, float_onnx, frames

from edgeseg.engines import ENGINES, REMOTE_ENGINES
from edgeseg.engines.agreement import agreement_with
from edgeseg.engines.backend import Backend
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.errors import DataError, SizeError, UnavailableError, UnknownNameError
from edgeseg.spec import TensorSpec

OpenBackend = Callable[..., Backend]  # with `RunOptions`, or none


@pytest.fixture(params=[*ENGINES, *REMOTE_ENGINES])
def open_backend(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[OpenBackend]:
    """Opens the small model with every engine that runs here, and on a server."""
    source = float_onnx(tmp_path)
    if request.param == "triton":
        pytest.importorskip("tritonclient.grpc")
        from model_server import Model, opened, serving

        from edgeseg.engines.triton.remote import open_remote

        with serving(opened(Model.from_artifact(source))) as server:
            yield lambda run=RunOptions(): open_remote(f"triton://{server}/float", run)[1]  # noqa: B008
    else:
        engine = engine_here(request.param, monkeypatch)
        built = engine_from_onnx(source.path, engine.name, out_dir=tmp_path / "engines", frames=frames(2))
        yield lambda run=RunOptions(): engine.open(built, run)  # noqa: B008


def test_inputs_and_outputs_are_those_of_the_onnx(open_backend: OpenBackend) -> None:
    with open_backend() as backend:
        assert backend.inputs == (TensorSpec("rgb", "uint8", (1, HEIGHT, WIDTH, 3)),)
        assert backend.outputs == (TensorSpec("logits", "float32", (1, CLASSES, HEIGHT // 2, WIDTH // 2)),)


def test_frames_may_be_read_only_or_strided(open_backend: OpenBackend) -> None:
    frame = frames(1)
    fixed = frame.copy()
    fixed.flags.writeable = False
    mirrored = np.ascontiguousarray(frame[:, :, ::-1])[:, :, ::-1]
    with open_backend() as backend:
        want = backend.infer({"rgb": frame})["logits"].copy()
        np.testing.assert_array_equal(backend.infer({"rgb": fixed})["logits"], want)
        np.testing.assert_array_equal(backend.infer({"rgb": mirrored})["logits"], want)


def test_each_call_sees_its_own_frame(open_backend: OpenBackend) -> None:
    first, second = frames(2)[:, None]
    with open_backend(RunOptions(threads=1)) as backend:
        before = backend.infer({"rgb": first})["logits"].copy()
        between = backend.infer({"rgb": second})["logits"].copy()
        np.testing.assert_array_equal(backend.infer({"rgb": first})["logits"], before)
        assert not np.array_equal(before, between)
        reused = second.copy()
        backend.infer({"rgb": reused})
        reused[:] = first
        np.testing.assert_array_equal(backend.infer({"rgb": reused})["logits"], before)


@pytest.mark.parametrize(
    ("feed", "error", "value"),
    [
        ({}, UnknownNameError, "rgb"),
        ({"bgr": frames(1)}, UnknownNameError, "rgb"),
        ({"rgb": frames(1), "bgr": frames(1)}, UnknownNameError, "bgr"),
        ({"rgb": frames(1).astype(np.float32)}, DataError, "float32"),
        ({"rgb": frames(2)}, SizeError, "(2, 32, 64, 3)"),
        ({"rgb": frames(1)[0]}, SizeError, "not (32, 64, 3)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    open_backend: OpenBackend, feed: dict[str, np.ndarray], error: type[Exception], value: str
) -> None:
    with open_backend() as backend:
        with pytest.raises(error) as caught:
            backend.infer(feed)
        assert value in str(caught.value)
        assert backend.infer({"rgb": frames(1)})["logits"].any()


def test_a_closed_backend_refuses_and_closes_twice(open_backend: OpenBackend) -> None:
    backend = open_backend()
    kept = backend.infer({"rgb": frames(1)})["logits"]
    backend.synchronize()
    backend.close()
    backend.close()
    with pytest.raises(UnavailableError) as caught:
        backend.infer({"rgb": frames(1)})
    assert caught.value.code == "ES-CLOSED"
    assert kept.shape == (1, CLASSES, HEIGHT // 2, WIDTH // 2)  # what was handed out is still memory of ours


def test_another_thread_may_use_what_this_one_opened(open_backend: OpenBackend) -> None:
    results = []
    with open_backend() as backend:
        want = backend.infer({"rgb": frames(1)})["logits"].copy()
        worker = threading.Thread(target=lambda: results.append(backend.infer({"rgb": frames(1)})["logits"].copy()))
        worker.start()
        worker.join()
    np.testing.assert_array_equal(results[0], want)


def test_two_backends_of_one_file_do_not_disturb_each_other(open_backend: OpenBackend) -> None:
    with open_backend() as one, open_backend() as other:
        first = one.infer({"rgb": frames(2)[:1]})["logits"]
        kept = first.copy()
        other.infer({"rgb": frames(2)[1:]})
        np.testing.assert_array_equal(first, kept)
        assert agreement_with(one, other, frames(2)).labels == 1.0
