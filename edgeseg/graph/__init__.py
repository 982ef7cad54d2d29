"""ONNX to ONNX, without torch: one pass a file."""
