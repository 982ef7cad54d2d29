"""Operators that move or pick values, and compute none: the codes before them are the codes behind them."""

MOVERS = frozenset({"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
