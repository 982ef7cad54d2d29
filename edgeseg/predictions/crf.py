"""A dense CRF behind the network: labels follow the edges of the image, for the price of many networks.

Kraehenbuehl, Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011, arXiv
1210.5644, as DeepLab (arXiv 1412.7062, section 4) uses it. Two pixels i and j of unlike labels cost

    appearance * exp(-|p_i - p_j|^2 / (2 alpha^2) - |I_i - I_j|^2 / (2 beta^2))
        + smoothness * exp(-|p_i - p_j|^2 / (2 gamma^2))

with positions p in pixels and colours I of 0..255. The mean field is that of the package pydensecrf2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import MismatchError, UnavailableError
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.upsample import upsampled_logits
from edgeseg.predictions.decoder import Array, Decoder, SemanticDecoder
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.spec import Output
from edgeseg.uri import check_options, integer_option, number_from_text, options_from_query

Rgb = NDArray[np.uint8]
DEFAULTS = "on"
MOST = 1e4  # of a weight, a distance in pixels or a difference of colours


@dataclass(frozen=True)
class DenseCrf:
    """iterations: of the mean field. appearance, alpha, beta: weight and reach, in pixels and in colours, of the first
    term. smoothness, gamma: those of the second. The defaults are those of DeepLab v2 in kazuto1011/deeplab-pytorch.
    """

    iterations: int = 10
    appearance: float = 4.0
    alpha: float = 67.0
    beta: float = 3.0
    smoothness: float = 3.0
    gamma: float = 1.0

    def labels(self, logits: NDArray[np.float32], rgb: Rgb) -> NDArray[np.uint8]:
        """The labels (H, W) of logits (C, H, W) and an image (H, W, 3)."""
        densecrf = open_library()
        classes, height, width = logits.shape
        field = densecrf.DenseCRF2D(width, height, classes)
        shifted = logits - logits.max(axis=0)
        energy = np.log(np.exp(shifted).sum(axis=0)) - shifted
        field.setUnaryEnergy(np.ascontiguousarray(energy.reshape(classes, -1), np.float32))
        field.addPairwiseGaussian(sxy=self.gamma, compat=self.smoothness)
        field.addPairwiseBilateral(
            sxy=self.alpha, srgb=self.beta, rgbim=np.array(rgb, np.uint8, order="C"), compat=self.appearance
        )
        probability = np.asarray(field.inference(self.iterations))
        labels: NDArray[np.uint8] = probability.argmax(axis=0).astype(np.uint8).reshape(height, width)
        return labels

    def __str__(self) -> str:
        """The text that `crf_from_text` reads as this CRF."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        changed = {
            field.name: values[field.name] for field in dataclasses.fields(self) if values[field.name] != field.default
        }
        return "&".join(f"{key}={value:g}" for key, value in changed.items()) or DEFAULTS


@dataclass(frozen=True)
class CrfDecoder:
    """Makes a prediction from the outputs for a frame and from the frame itself."""

    decoder: SemanticDecoder
    crf: DenseCrf

    def logits(self, outputs: Mapping[str, Array], size: tuple[int, int]) -> NDArray[np.float32]:
        """The logits (C, H, W) at `size`."""
        return upsampled_logits(self.decoder.output_of(outputs), size, align_corners=self.decoder.spec.align_corners)

    def prediction(self, logits: NDArray[np.float32], rgb: Rgb) -> SemanticMask:
        """The prediction at the size of the logits, for an image (H, W, 3) of any size."""
        size = (logits.shape[1], logits.shape[2])
        return self.decoder.prediction_from_labels(
            self.crf.labels(logits, rgb if rgb.shape[:2] == size else resize_rgb(rgb, size))
        )


def crf_decoder(decoder: Decoder, crf: DenseCrf | str) -> CrfDecoder:
    """How to decode with a CRF. MismatchError where `decoder` has no logits, UnavailableError without the package."""
    if not isinstance(decoder, SemanticDecoder):
        hint = "leave --crf out, or crf=None"
        raise MismatchError("a CRF refines classes of pixels, which this model does not give", hint=hint, code="ES-CRF")
    if decoder.kind is Output.MASK:
        raise MismatchError(
            "the output of this engine is a mask, and a CRF needs logits",
            hint="convert without --mask, or leave --crf out",
            code="ES-CRF",
        )
    open_library()
    return CrfDecoder(decoder, crf_from_text(crf) if isinstance(crf, str) else crf)


def crf_from_text(text: str) -> DenseCrf:
    """The CRF of "on" or of options such as "iterations=5&beta=5". UnknownNameError, FormatError for another text."""
    options = {} if text == DEFAULTS else options_from_query(text if "=" in text else f"{text}=1")
    defaults = {field.name: field.default for field in dataclasses.fields(DenseCrf)}
    check_options("--crf", options, defaults)
    values: dict[str, Any] = {
        key: number_from_text(value, key, MOST) for key, value in options.items() if key != "iterations"
    }
    return DenseCrf(iterations=integer_option(options, "iterations", DenseCrf.iterations), **values)


def open_library() -> Any:
    """The module of pydensecrf2. UnavailableError where it is not installed."""
    try:
        from pydensecrf import densecrf
    except ImportError:
        hint = 'pip install "edgeseg[crf]", which needs a C++ compiler'
        raise UnavailableError("--crf needs the package pydensecrf2", hint=hint, code="ES-MISSING-CRF") from None
    return densecrf
