"""Quantisation-aware fine-tuning: the weights of a float ONNX adapt to the Q/DQ that `quantize` writes.

float ONNX + ranges -> the quantised graph as torch steps -> tuned float ONNX + the same ranges with its graph id
"""
