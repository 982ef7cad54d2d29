"""What a model says of an image, and the decoders that read it from a network's outputs, one for each task."""

from __future__ import annotations

from edgeseg.predictions.decoder import DECODERS as DECODERS
from edgeseg.predictions.decoder import Decoder as Decoder
from edgeseg.predictions.decoder import decoder_for as decoder_for
from edgeseg.predictions.prediction import Prediction as Prediction
from edgeseg.predictions.semantic import SemanticMask as SemanticMask
