from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_onnx import SPEC, float_onnx, frames, int8_onnx, onnx_model, small_model

from edgeseg.artifact import Artifact, Layer, write_onnx
from edgeseg.engines import openvino as openvino_engine
from edgeseg.engines.agreement import agreement_with, check_agreement
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.build import check_layers, engine_from_onnx
from edgeseg.engines.layers import layer_from_names, requests_from_onnx
from edgeseg.errors import AgreementError, MismatchError, SizeError, UnavailableError
from edgeseg.provenance import Agreement, Provenance
from edgeseg.spec import Precision, TensorSpec


class Fixed(Backend):
    """Gives the same output for every frame."""

    def __init__(self, output: Array) -> None:
        spec = TensorSpec("out", output.dtype.name, output.shape)
        super().__init__("fixed", (TensorSpec("rgb", "uint8", (1, -1, -1, 3)),), (spec,))
        self.output = output

    def _infer(self, feed: object) -> dict[str, Array]:
        return {"out": self.output}

    def _close(self) -> None:
        pass


def layers(*obtained: str, requested: str = "int8") -> list[Layer]:
    return [Layer(f"conv{i}", "Conv", requested, each) for i, each in enumerate(obtained)]


def test_an_int8_engine_whose_layers_stayed_float_is_refused_by_their_names() -> None:
    with pytest.raises(MismatchError) as caught:
        check_layers(layers("fp32", "fp32", "fp32", "int8"), Precision.INT8, name="x.int8.onnx", share=0.5)
    assert caught.value.code == "ES-MISMATCH-PRECISION"
    assert caught.value.message.startswith("3 of 4 layers of x.int8.onnx ")
    assert caught.value.message.endswith(": conv0 (fp32), conv1 (fp32), conv2 (fp32)")


def test_single_layers_may_stay_float_and_a_simulating_engine_has_them_all_float() -> None:
    check_layers(layers("fp32", "int8"), Precision.INT8, name="x", share=0.5)
    check_layers(layers("fp32", "fp32"), Precision.INT8, name="x", share=0.0)
    with pytest.raises(MismatchError, match="no layer of x"):
        check_layers(layers("fp32", requested="fp32"), Precision.INT8, name="x", share=0.0)


def test_a_layer_that_is_not_found_is_warned_of_and_one_in_another_precision_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_layers(layers("fp16", "", requested="fp16"), Precision.FP16, name="x", share=1.0)
    (warning,) = caplog.messages
    assert "1 of 2 layers" in warning
    assert warning.endswith(": conv1")
    with pytest.raises(MismatchError, match=r"1 of 3 layers of x .*: conv2 \(fp32\)") as caught:
        check_layers(layers("fp16", "", "fp32", requested="fp16"), Precision.FP16, name="x", share=1.0)
    assert caught.value.code == "ES-MISMATCH-PRECISION"


def test_an_engine_of_which_no_layer_is_found_is_refused() -> None:
    with pytest.raises(MismatchError) as caught:
        check_layers(layers("", "", requested="fp16"), Precision.FP16, name="x", share=1.0)
    assert caught.value.code == "ES-MISMATCH-PRECISION"


def test_an_engine_that_silently_computes_fp32_in_bf16_is_refused() -> None:
    with pytest.raises(MismatchError, match=": conv0"):
        check_layers(layers("bf16", requested="fp32"), Precision.FP32, name="x", share=0.5)


def test_an_onnx_that_says_int8_and_has_no_quantised_layer_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source = float_onnx(tmp_path)
    write_onnx(small_model(), dataclasses.replace(source, precision=Precision.INT8))
    with pytest.raises(MismatchError, match=r"no layer of small\.onnxruntime\.int8\.onnx"):
        engine_from_onnx(source.path, "onnxruntime", out_dir=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_int8_onnx_for_another_engine_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source = int8_onnx(tmp_path)
    write_onnx(onnx.load(source.path), dataclasses.replace(source, provenance=Provenance(target="tensorrt")))
    with pytest.raises(MismatchError) as caught:
        engine_from_onnx(source.path, "onnxruntime", out_dir=tmp_path / "out")
    assert caught.value.code == "ES-MISMATCH-TARGET"
    assert "--target onnxruntime" in caught.value.hint


def test_a_float_engine_from_an_int8_onnx_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(MismatchError) as caught:
        engine_from_onnx(int8_onnx(tmp_path).path, "onnxruntime", precision=Precision.FP32, out_dir=tmp_path / "out")
    assert caught.value.code == "ES-MISMATCH-PRECISION"


def test_labels_of_another_model_are_refused_and_an_older_build_stays(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source = float_onnx(tmp_path)
    built = engine_from_onnx(source.path, "onnxruntime", out_dir=tmp_path / "out", name="kept")
    other = dataclasses.replace(source, path=tmp_path / "other.onnx")
    write_onnx(small_model(seed=5), other)
    with pytest.raises(AgreementError, match=r"kept\.onnxruntime\.fp32\.onnx"):
        engine_from_onnx(
            other.path, "onnxruntime", out_dir=tmp_path / "out", name="kept", reference=source.path, frames=frames(2)
        )
    assert Artifact.open(built.path) == built
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_agreement_counts_equal_labels_and_the_largest_difference() -> None:
    ours = np.zeros((1, 2, 2, 2), np.float32)
    theirs = ours.copy()
    theirs[0, 1, 0, 0] = 3.0
    found = agreement_with(Fixed(ours), Fixed(theirs), frames(2))
    assert found == Agreement(frames=2, labels=0.75, max_abs_logit_difference=3.0)


def test_agreement_of_masks_has_no_logits_and_shapes_must_be_alike() -> None:
    mask = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    assert agreement_with(Fixed(mask), Fixed(mask), frames(1)) == Agreement(frames=1, labels=1.0)
    with pytest.raises(MismatchError, match=r"\(1, 2, 2\)") as caught:
        agreement_with(Fixed(mask), Fixed(np.zeros((1, 2, 4, 4), np.float32)), frames(1))
    assert caught.value.code == "ES-MISMATCH-REFERENCE"


@pytest.mark.parametrize(
    ("precision", "enough"), [(Precision.FP32, 0.98), (Precision.BF16, 0.98), (Precision.INT8, 0.95)]
)
def test_how_many_labels_must_be_equal_depends_on_the_precision(precision: Precision, enough: float) -> None:
    check_agreement(Agreement(labels=enough), precision, name="x")
    with pytest.raises(AgreementError):
        check_agreement(Agreement(labels=enough - 0.01), precision, name="x")


def test_a_dynamic_side_takes_any_size_and_the_others_stay_fixed() -> None:
    backend = Fixed(np.zeros((1, 2, 2, 2), np.float32))
    assert backend.infer({"rgb": frames(1)})["out"].shape == (1, 2, 2, 2)
    with pytest.raises(SizeError, match=r"\(1, -1, -1, 3\), not \(2, 32, 64, 3\)"):
        backend.infer({"rgb": frames(2)})


def test_requests_follow_activations_and_need_both_factors_quantised() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "d"),
        helper.make_node("DequantizeLinear", ["w8", "s", "z"], ["dw"], "dw"),
        helper.make_node("MatMul", ["d", "dw"], ["both"], "quantised"),
        helper.make_node("Relu", ["both"], ["active"], "relu"),
        helper.make_node("MatMul", ["active", "dw"], ["weight_alone"], "floating"),
        helper.make_node("Transpose", ["d"], ["turned"], "turn", perm=[1, 0]),
        helper.make_node("MatMul", ["turned", "dw"], ["of_moved"], "moved"),
        helper.make_node("Softmax", ["weight_alone"], ["out"], "softmax"),
    ]
    model = onnx_model(nodes, [("x", TensorProto.FLOAT, [4, 4])], [("out", TensorProto.FLOAT, [4, 4])], {})
    requests = requests_from_onnx(model, Precision.BF16)
    for name in ("quantised", "both", "relu", "active"):
        assert requests[name] == ("quantised", "int8")
    assert requests["moved"] == ("moved", "int8")
    assert requests["floating"] == ("floating", "bf16")
    assert "softmax" not in requests
    assert layer_from_names(["fused_77", "relu"], "Conv", "int8", requests) == Layer(
        "quantised", "Conv", "int8", "int8"
    )
    assert layer_from_names(["softmax"], "Softmax", "", requests) == Layer("softmax", "Softmax", "", "")
    assert layer_from_names(["new"], "Conv", "fp32", requests) == Layer("new", "Conv", "", "fp32")


def test_bf16_is_refused_on_a_cpu_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr(openvino_engine, "has_native_bf16", lambda: False)
    with pytest.raises(UnavailableError) as caught:
        engine_from_onnx(float_onnx(tmp_path).path, "openvino", precision=Precision.BF16, out_dir=tmp_path / "out")
    assert caught.value.code == "ES-MISSING-PRECISION"
    assert list((tmp_path / "out").iterdir()) == []


def test_matrix_products_keep_their_names_in_every_runtime(tmp_path: Path) -> None:
    """A MatMul and the Add behind it become one layer of another name."""
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["rgb"], ["x"], "cast", to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["product"], "tokens"),
        helper.make_node("Add", ["product", "b"], ["biased"], "bias"),
        helper.make_node("Softmax", ["biased"], ["p"], "softmax"),
        helper.make_node("Transpose", ["p"], ["logits"], "planes", perm=[0, 3, 1, 2]),
    ]
    constants = {"w": rng.normal(size=(3, 5)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}
    model = onnx_model(
        nodes,
        [("rgb", TensorProto.UINT8, [1, 4, 6, 3])],
        [("logits", TensorProto.FLOAT, [1, 5, 4, 6])],
        constants,
    )
    artifact = Artifact(tmp_path / "tokens.onnx", SPEC)
    write_onnx(model, artifact)
    assert numpy_helper.to_array(model.graph.initializer[0]).shape == (3, 5)
    for engine in ("openvino", "onnxruntime"):
        pytest.importorskip(engine)
        built = engine_from_onnx(artifact.path, engine, out_dir=tmp_path / "out")
        assert [(layer.name, layer.requested) for layer in built.layers if layer.obtained] == [("tokens", "fp32")]
