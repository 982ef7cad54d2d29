"""Quantisation-aware fine-tuning: the weights of a float ONNX learn to live with the Q/DQ that `quantize` writes.

float ONNX + ranges -> the quantised graph as torch steps -> tuned float ONNX + the same ranges under its own id
"""

from __future__ import annotations

from edgeseg.train.qat.config import QatConfig
from edgeseg.train.qat.finetune import QatResult, draw_for, finetune_int8

__all__ = ["QatConfig", "QatResult", "draw_for", "finetune_int8"]
