"""`edgeseg models`: the bundled models."""

from __future__ import annotations

from typing import Any

from edgeseg.commands.options import Json


def command(as_json: Json = False) -> None:
    """List the bundled models: classes, input size, parameters, multiply-adds, mIoU on unseen pictures, licence."""
    from edgeseg.commands.terminal import print_json, print_table, wrote
    from edgeseg.weights import BUNDLED

    rows = [row_from_name(name) for name in BUNDLED]
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    wrote(None, f"edgeseg convert {rows[0]['name']}")


def row_from_name(name: str) -> dict[str, Any]:
    """One bundled model. mIoU: of the fp32 engine on onnxruntime, as the model's card says."""
    from edgeseg.weights import bundled_figures, weights_path
    from edgeseg.weights.file import spec_from_weights

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
        "licence": spec.licence,
    }
