"""Predictions of a model for an image, and the decoders that make them from network outputs, one per task."""

from __future__ import annotations

from edgeseg.predictions.decoder import DECODERS as DECODERS
from edgeseg.predictions.decoder import Decoder as Decoder
from edgeseg.predictions.decoder import decoder_for as decoder_for
from edgeseg.predictions.prediction import Prediction as Prediction
from edgeseg.predictions.semantic import SemanticMask as SemanticMask
