"""What `edgeseg export --to triton` writes, loaded and asked by a real Triton server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_onnx import float_onnx, frames
from triton_process import HOME, put_on_python, triton

pytest.importorskip("tritonclient.grpc")

import tritonclient.grpc as tritonclient

import edgeseg
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.errors import UnavailableError
from edgeseg.serving import repository_from_model


@pytest.mark.nightly
def test_triton_loads_a_repository_and_labels_as_the_file_does(
    tmp_path: Path, without: Callable[[str, str], None]
) -> None:
    if not HOME.exists():
        without("triton", "the server of nvidia-pytriton is not installed: make triton")
    onnx, repository = float_onnx(tmp_path, name="small.onnx").path, tmp_path / "repository"
    for options in (ServeOptions(dali=True, instances=2), ServeOptions("openvino", name="single", dali=True)):
        repository_from_model(onnx, repository, options)
    put_on_python(repository)
    images = list(frames(5))
    with edgeseg.open(onnx, engine="onnxruntime") as segmenter:
        wanted = [segmenter.segment(image).labels for image in images]
    with triton(repository) as server:
        for name, batch in (("small", 8), ("single", 1)):
            with edgeseg.open(f"triton://{server}/{name}") as segmenter:
                assert segmenter.batch == batch
                labels = [mask.labels for mask in segmenter.segment_batch(images)]  # type: ignore[attr-defined]
                assert np.mean(np.equal(labels, wanted)) > 0.999  # logits are interpolated alike, up to rounding
        with pytest.raises(UnavailableError) as caught:
            edgeseg.open(f"triton://{server}/other")
        assert caught.value.code == "ES-SERVER-MODEL"
        file = np.full((1, 40), 77, np.uint8)  # the stand-in for DALI makes a frame of its first byte
        for name in ("small", "single"):
            tensor = tritonclient.InferInput("jpeg", file.shape, "UINT8")
            tensor.set_data_from_numpy(file)
            with tritonclient.InferenceServerClient(server) as client:
                mask = client.infer(f"{name}-jpeg", [tensor]).as_numpy("mask")
            with edgeseg.open(f"triton://{server}/{name}") as segmenter:
                size = segmenter.spec.input.height, segmenter.spec.input.width
                np.testing.assert_array_equal(mask[0], segmenter.segment(np.full((*size, 3), 77, np.uint8)).labels)
