"""TensorRT and TensorRT-RTX: the only folder that imports them or a CUDA layer, and that on use."""
