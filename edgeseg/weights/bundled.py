"""The bundled models, with the figures that were measured and the data sets that they were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgeseg.datasets import open_kind
from edgeseg.spec import ModelSpec
from edgeseg.weights import BUNDLED, bundled_figures, weights_path
from edgeseg.weights.file import header_from_weights, spec_from_weights


@dataclass(frozen=True)
class BundledModel:
    """A bundled model. miou: fractions by "engine precision". trained_on, tested_on: kinds of data sets.

    synthetic: no real image was in its training data, so its mIoU says nothing about real images.
    """

    spec: ModelSpec
    parameters: int
    macs: int
    miou: dict[str, float]
    tested_on: str
    trained_on: tuple[str, ...]
    synthetic: bool

    @property
    def miou_fp32(self) -> float:
        """The mIoU of the float engine on ONNX Runtime."""
        return self.miou["onnxruntime fp32"]

    @property
    def miou_int8(self) -> float:
        """The mIoU of the int8 engine on ONNX Runtime."""
        return self.miou["onnxruntime int8"]

    @property
    def non_commercial(self) -> bool:
        """Whether the licence of the weights forbids commercial use."""
        return "NC" in self.spec.licence.split("-")


def bundled_model(name: str) -> BundledModel:
    """The bundled model `name`."""
    path, figures = weights_path(name), bundled_figures()[name]
    trained_on = real_kinds(uri for uri, _ in header_from_weights(path)["config"]["data"])
    return BundledModel(
        spec=spec_from_weights(path),
        parameters=figures["parameters"],
        macs=figures["macs"],
        miou=figures["miou"],
        tested_on=figures["data"].partition(":")[0],
        trained_on=trained_on,
        synthetic=not trained_on,
    )


def best_bundled_model(*, synthetic: bool) -> BundledModel:
    """The model with the highest mIoU of those trained on synthetic images only, or of those trained on real ones."""
    models = [model for model in map(bundled_model, BUNDLED) if model.synthetic == synthetic]
    return max(models, key=lambda model: model.miou_fp32)


def real_kinds(uris: Iterable[str]) -> tuple[str, ...]:
    """The kinds of data sets with real images among `uris`, each once."""
    kinds = dict.fromkeys(uri.partition(":")[0] for uri in uris)
    return tuple(kind for kind in kinds if not open_kind(kind).synthetic)
