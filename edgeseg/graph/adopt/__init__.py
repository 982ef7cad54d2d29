"""A segmentation ONNX from elsewhere to a deploy graph that carries its spec.

    file -> Source -> Picture (its input) -> folded graph -> Heads (its outputs) -> frame in, logits or mask out

What the graph says is read off it; what it cannot say is asked for, with the option to type. The result is held
against the file that it came from.
"""
