"""The C++ example gives the labels that Python gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_cli import Run, runner
from small_onnx import float_onnx, frames, street_onnx

import edgeseg
from edgeseg.spec import Output

FOLDER = Path(__file__).parents[1] / "examples" / "cpp"
SIZES = ((32, 64), (64, 128), (90, 120), (17, 31), (100, 70))  # the input's, twice that, others, smaller ones

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="an installed package has no examples beside it")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def built(folder: Path, without: Callable[[str, str], None]) -> Path:
    """The program, built in `folder`."""
    pytest.importorskip("openvino")
    from openvino.utils import get_cmake_path

    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            without("cc", f"there is no {tool}: make system-deps")
    configure = ["cmake", "-S", FOLDER, "-B", folder, f"-DOpenVINO_DIR={get_cmake_path()}", "-DCMAKE_BUILD_TYPE=Debug"]
    done = subprocess.run(configure, capture_output=True, text=True, check=False)
    if done.returncode:
        for package in ("OpenVINO", "PNG", "nlohmann_json"):
            if package in done.stderr:
                without("cc", f"cmake does not find {package}: make system-deps")
        pytest.fail(done.stderr)
    done = subprocess.run(["cmake", "--build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    return folder / "segment"


def test_the_labels_of_ten_images_are_those_of_python(
    run: Run, tmp_path: Path, without: Callable[[str, str], None]
) -> None:
    program = built(tmp_path / "build", without)
    street_onnx(tmp_path, name="logits.onnx")
    float_onnx(tmp_path, Output.MASK, name="mask.onnx")
    images: list[Path] = []
    (tmp_path / "images").mkdir()
    for index, (height, width) in enumerate(SIZES * 2):
        noise = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
        smooth = cv2.resize(frames(1, index)[0], (width, height), interpolation=cv2.INTER_CUBIC)
        images.append(tmp_path / "images" / f"{index}.png")
        cv2.imwrite(str(images[-1]), noise if index < len(SIZES) else smooth)
    for name, *words in (("logits", "fp32"), ("mask", "fp32"), ("logits", "int8", "--images", "images")):
        converted = run("convert", f"{name}.onnx", "--engine", "openvino", "--json", "--precision", *words).json()
        assert converted["precision"] == words[0]
        engine = converted["engine"]
        folder = tmp_path / f"{name}-{words[0]}"
        folder.mkdir()
        done = subprocess.run([program, engine, folder, *images], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        with edgeseg.open(engine, device="cpu") as segmenter:
            for image, line in zip(images, lines, strict=True):
                mask = segmenter.segment(str(image))
                labels = cv2.imread(str(folder / image.name), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(labels, mask.labels)
                assert line == {"image": image.name, "shares": pytest.approx(mask.shares())}
    refused = subprocess.run([program, "logits.onnx", tmp_path, images[0]], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "error: no sidecar: logits.onnx.json\n"
