"""Inspect a built engine layer by layer: rows, findings, the difference of two engines, and an HTML page."""
