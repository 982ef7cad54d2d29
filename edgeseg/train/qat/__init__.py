"""Quantisation-aware fine-tuning: the weights of a float ONNX learn to live with the Q/DQ that `quantize` writes.

float ONNX + ranges -> the quantised graph as torch steps -> tuned float ONNX + the same ranges under its own id
"""
