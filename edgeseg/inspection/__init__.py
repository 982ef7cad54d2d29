"""What a built engine does, layer by layer: rows, findings, the difference of two engines, and a page of all that."""
