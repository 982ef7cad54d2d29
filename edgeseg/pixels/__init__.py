"""Resize, exact upsample and argmax, palette and overlay: the pixel work around a network."""
