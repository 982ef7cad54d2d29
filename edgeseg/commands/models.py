"""`edgeseg models`: the bundled models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeseg.commands.options import Json

SYNTHETIC = "synthetic"
EXPENDABLE = ("family", "variant", "parameters M", "on", "classes")  # what a narrow terminal does without


def command(as_json: Json = False) -> None:
    """List the bundled models: classes, input size, parameters, multiply-adds, mIoU on unseen pictures, licence."""
    from edgeseg.commands.terminal import note, print_json, print_table, wrote
    from edgeseg.weights import BUNDLED

    rows = [row_from_name(name) for name in BUNDLED]
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]), [list(row.values()) for row in rows], expendable=EXPENDABLE)
    if any(row["trained on"] == SYNTHETIC for row in rows):
        note(f"note: {SYNTHETIC}: trained on drawn images alone, and its mIoU is of such; expect less on real ones")
    wrote(None, f"edgeseg convert {rows[0]['name']}")


def row_from_name(name: str) -> dict[str, Any]:
    """One bundled model. mIoU: of the fp32 engine on onnxruntime, as the model's card says."""
    from edgeseg.weights import bundled_figures, weights_path
    from edgeseg.weights.file import header_from_weights, spec_from_weights

    spec, figures = spec_from_weights(weights_path(name)), bundled_figures()[name]
    return {
        "name": spec.name,
        "family": spec.family,
        "variant": spec.variant,
        "classes": len(spec.labels),
        "size": f"{spec.input.width}x{spec.input.height}",
        "parameters M": f"{figures['parameters'] / 1e6:.2f}",
        "GMACs": f"{figures['macs'] / 1e9:.2f}",
        "mIoU %": f"{100 * figures['miou']['onnxruntime fp32']:.2f}",
        "on": figures["data"].partition(":")[0],
        "trained on": trained_on(header_from_weights(weights_path(name))["config"]["data"]),
        "licence": spec.licence,
    }


def trained_on(data: Iterable[tuple[str, float]]) -> str:
    """The kinds of real data sets among those that weights were trained on, each with its share; else "synthetic"."""
    from edgeseg.datasets import open_kind

    kinds = list(dict.fromkeys(uri.partition(":")[0] for uri, _ in data))
    real = [kind for kind in kinds if not open_kind(kind).synthetic]
    return ", ".join(real) or (SYNTHETIC if kinds else "")
