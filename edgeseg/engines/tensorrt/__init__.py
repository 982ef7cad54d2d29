"""TensorRT and TensorRT-RTX. Only this folder imports them or a CUDA layer, and only when they are used."""
