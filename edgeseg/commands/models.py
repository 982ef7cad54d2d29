"""`edgeseg models`: the bundled models."""

from __future__ import annotations

from edgeseg.commands.options import Json


def command(as_json: Json = False) -> None:
    """List the bundled models: name, classes, input size, licence."""
    from edgeseg.commands.terminal import print_json, print_table, wrote
    from edgeseg.weights import BUNDLED, weights_path
    from edgeseg.weights.file import spec_from_weights

    specs = [spec_from_weights(weights_path(name)) for name in BUNDLED]
    rows = [
        {
            "name": spec.name,
            "family": spec.family,
            "variant": spec.variant,
            "classes": len(spec.labels),
            "size": f"{spec.input.width}x{spec.input.height}",
            "licence": spec.licence,
        }
        for spec in specs
    ]
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]), [list(row.values()) for row in rows])
    wrote(None, f"edgeseg convert {rows[0]['name']}")
