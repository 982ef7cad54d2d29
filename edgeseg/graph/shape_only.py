"""Operators that move or pick values, and compute none: the codes before them are the codes behind them."""

SHAPE_ONLY_OPS = frozenset({"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
