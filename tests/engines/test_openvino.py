from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from small_onnx import SPEC, float_onnx, frames, int8_onnx, onnx_model

from edgeseg.artifact import Artifact, write_onnx
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.openvino import ENGINE
from edgeseg.measure.device import has_native_bf16
from edgeseg.provenance import RangeSource
from edgeseg.spec import Precision

pytest.importorskip("openvino")


def test_opening_an_engine_starts_no_telemetry(tmp_path: Path) -> None:
    """In a process of its own, whose home is a folder that telemetry would write its client id to."""
    script = (
        "import sys; from edgeseg.engines.openvino import ENGINE; ENGINE.available(); "
        "print([m for m in sys.modules if m.startswith('openvino_telemetry')])"
    )
    root = Path(__file__).parents[2]
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_caught_after_engines_were_closed_in_any_order(tmp_path: Path) -> None:
    """On a CPU with AMX, OpenVINO cores that are closed out of order leave a signal stack that is not mapped."""
    script = (
        "import faulthandler, signal, sys; faulthandler.enable()\n"
        "from edgeseg.artifact import Artifact; from edgeseg.engines.openvino import ENGINE\n"
        "first, second = (ENGINE.open(Artifact.open(sys.argv[1])) for _ in range(2))\n"
        "first.close(); del first; second.close(); del second\n"
        "try: signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt: print('caught')\n"
    )
    built = engine_from_onnx(float_onnx(tmp_path).path, "openvino", out_dir=tmp_path / "out")
    command = [sys.executable, "-c", script, str(built.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "caught"), done.stderr


def test_fp32_stays_fp32_on_a_cpu_that_could_do_less(tmp_path: Path) -> None:
    built = engine_from_onnx(float_onnx(tmp_path).path, "openvino", out_dir=tmp_path / "out")
    assert {layer.obtained for layer in built.layers} == {"", "fp32"}


@pytest.mark.skipif(not has_native_bf16(), reason="this CPU has no bf16 instructions")
def test_bf16_is_obtained_and_recorded_by_layer(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the reference")
    source = float_onnx(tmp_path).path
    built = engine_from_onnx(source, "openvino", precision=Precision.BF16, out_dir=tmp_path / "out", frames=frames(4))
    assert built.path.name == "small.openvino.bf16.onnx"
    assert [layer.obtained for layer in built.layers if layer.requested] == ["bf16"] * 3
    # bf16 has 8 bits: the difference tells that the hint arrived when the file is opened again
    assert 1e-4 < built.agreement.max_abs_logit_difference < 0.2


def test_an_int8_engine_keeps_what_is_not_quantised_in_the_floating_precision_of_the_cpu(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="its tool quantises")
    built = engine_from_onnx(int8_onnx(tmp_path).path, "openvino", out_dir=tmp_path / "out")
    assert [layer.obtained for layer in built.layers if layer.requested == "int8"] == ["int8"] * 3


@pytest.mark.parametrize(("exact", "weight_bits", "warned"), [(False, 8, 1), (False, 7, 0), (True, 8, 0)])
def test_an_engine_whose_sums_may_saturate_here_is_opened_with_a_warning(
    exact: bool,
    weight_bits: int,
    warned: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("edgeseg.engines.openvino.adds_int8_exactly", lambda: exact)
    artifact = int8_onnx(tmp_path)
    provenance = replace(artifact.provenance, ranges=RangeSource(weight_bits=weight_bits))
    ENGINE.open(replace(artifact, provenance=provenance)).close()
    assert caplog.text.count("--weight-bits 7") == warned


def test_outputs_are_views_of_one_buffer_without_a_copy(tmp_path: Path) -> None:
    with ENGINE.open(float_onnx(tmp_path)) as backend:
        first = backend.infer({"rgb": frames(1)})["logits"]
        second = backend.infer({"rgb": frames(2)[1:]})["logits"]
        assert np.shares_memory(first, second)


def test_an_output_behind_an_identity_keeps_the_name_of_the_onnx(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["rgb"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Identity", ["a"], ["logits"]),
    ]
    inputs, outputs = [("rgb", TensorProto.UINT8, [1, 4, 6, 3])], [("logits", TensorProto.FLOAT, [1, 3, 4, 6])]
    artifact = Artifact(tmp_path / "identity.onnx", SPEC)
    write_onnx(onnx_model(nodes, inputs, outputs, {}), artifact)
    with ENGINE.open(artifact) as backend:
        assert [spec.name for spec in backend.outputs] == ["logits"]
        rgb = frames(1)[:, :4, :6].copy()
        np.testing.assert_array_equal(backend.infer({"rgb": rgb})["logits"], rgb.transpose(0, 3, 1, 2))
