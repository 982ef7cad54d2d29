"""torch module to ONNX."""
