"""What `edgeseg models` lists is what was measured, and can be measured again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import edgeseg.weights
from edgeseg.datasets import open_dataset
from edgeseg.evaluation import evaluate
from edgeseg.weights import BUNDLED, bundled_figures, weights_path
from edgeseg.weights.file import spec_from_weights, state_from_weights

ENGINE = "onnxruntime fp32"


def test_every_bundled_model_has_figures() -> None:
    assert tuple(bundled_figures()) == BUNDLED


@pytest.mark.parametrize("name", BUNDLED)
def test_the_card_shows_the_figures(name: str) -> None:
    figures = bundled_figures()[name]
    card = Path(edgeseg.weights.__file__).with_name(f"{name}.md").read_text(encoding="utf-8")
    assert f"{figures['parameters'] / 1e6:.2f} M parameters, {figures['macs'] / 1e9:.2f} G multiply-adds" in card
    assert "| mIoU | " + " | ".join(f"{100 * miou:.2f}" for miou in figures["miou"].values()) + " |" in card
    assert sum(figures["iou"].values()) / len(figures["iou"]) == pytest.approx(figures["miou"][ENGINE], abs=1e-4)


@pytest.mark.parametrize("name", BUNDLED)
def test_parameters_and_multiply_adds_are_those_of_the_network(name: str) -> None:
    pytest.importorskip("torch")
    from edgeseg.models import open_family
    from edgeseg.models.count import count

    spec = spec_from_weights(weights_path(name))
    network = open_family(spec.family).load(spec, state_from_weights(weights_path(name)))
    counts = count(network, spec.input.width, spec.input.height)
    assert (counts.parameters, counts.macs) == tuple(bundled_figures()[name][key] for key in ("parameters", "macs"))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "bisenetv2-camvid" else pytest.mark.nightly)
        for name in BUNDLED
    ],
)
def test_eval_gives_the_miou_that_is_listed(name: str, tmp_path: Path, shared_exports: None) -> None:
    from edgeseg.opening import open_model
    from edgeseg.spec import Precision

    figures = bundled_figures()[name]
    data = figures["data"]
    if "EDGESEG_DATA" in data:
        if "EDGESEG_DATA" not in os.environ:
            pytest.skip("EDGESEG_DATA is not set: the pictures are not here")
        data = data.replace("$EDGESEG_DATA", os.environ["EDGESEG_DATA"])
    with open_model(name, engine="onnxruntime", precision=Precision.FP32, out=tmp_path) as segmenter:
        result = evaluate(segmenter, open_dataset(data))
    assert result.images == figures["images"]
    assert result.metrics["miou"].miou() == pytest.approx(figures["miou"][ENGINE], abs=1e-3)  # a tenth of a point
