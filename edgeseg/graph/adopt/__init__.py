"""Turn a segmentation ONNX from elsewhere into a deploy graph with a spec.

    file -> Source -> NetworkInput -> simplified graph -> Heads (its outputs) -> frame in, logits or mask out

Properties are read from the graph where possible; the user states the others, and an error names the option to add.
The result is compared with the original file.
"""
