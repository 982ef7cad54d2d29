"""Passes from ONNX to ONNX, one per file. They need no torch."""
