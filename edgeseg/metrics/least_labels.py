"""The smallest share of labels that must equal those of the float model, by what is compared with it."""

from __future__ import annotations

LEAST_LABELS = {
    "export": 0.999,  # float against float with the same arithmetic: only near-ties may differ
    "adoption": 0.999,  # as above
    # bf16 keeps 8 bits of each activation, which changes labels only where two logits are almost equal.
    "float engine": 0.98,
    # A larger loss is visible. With the range table of another model far fewer labels are equal.
    "int8 engine": 0.95,
    # Where the user did not ask for int8, its loss must not be noticeable.
    "int8 by choice": 0.99,
}
