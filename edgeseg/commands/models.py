"""`edgeseg models`: the bundled models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeseg.commands.options import Json

if TYPE_CHECKING:
    from edgeseg.weights.bundled import BundledModel

SYNTHETIC = "synthetic images"
EXPENDABLE = ("GMACs", "parameters M", "classes", "tested on", "size")  # what a narrow terminal does without

EXAMPLES = """
  edgeseg models
  edgeseg models --json
"""

EXAMPLES = """
  edgeseg models
  edgeseg models --json
"""


def command(as_json: Json = False) -> None:
    """List the bundled models: input size, training data, measured mIoU, licence."""
    from edgeseg.commands.terminal import note, print_json, print_table, wrote
    from edgeseg.weights import BUNDLED
    from edgeseg.weights.bundled import best_bundled_model, bundled_model

    models = [bundled_model(name) for name in BUNDLED]
    if as_json:
        print_json([model_to_dict(model) for model in models])
        return
    rows = [table_row(model) for model in models]
    print_table(list(rows[0]), [list(row.values()) for row in rows], expendable=EXPENDABLE)
    note(f"note: {SYNTHETIC}: trained and tested on the synthetic street only; expect far less on real images")
    if any(model.non_commercial for model in models):
        note("note: NC: non-commercial use only")
    wrote(None, f"edgeseg convert {best_bundled_model(synthetic=False).spec.name}")


def table_row(model: BundledModel) -> dict[str, str]:
    """The cells of one model; mIoU in percent, as ONNX Runtime computes it."""
    spec = model.spec
    return {
        "name": spec.name,
        "size": f"{spec.input.width}x{spec.input.height}",
        "classes": str(len(spec.labels)),
        "parameters M": f"{model.parameters / 1e6:.2f}",
        "GMACs": f"{model.macs / 1e9:.2f}",
        "trained on": SYNTHETIC if model.synthetic else ", ".join(model.trained_on),
        "tested on": model.tested_on,
        "mIoU fp32": f"{100 * model.miou_fp32:.2f}",
        "mIoU int8": f"{100 * model.miou_int8:.2f}",
        "licence": spec.licence,
    }


def model_to_dict(model: BundledModel) -> dict[str, Any]:
    """Plain data of one model; mIoU as fractions by engine and precision."""
    spec = model.spec
    return {
        "name": spec.name,
        "family": spec.family,
        "variant": spec.variant,
        "classes": len(spec.labels),
        "size": f"{spec.input.width}x{spec.input.height}",
        "parameters": model.parameters,
        "macs": model.macs,
        "trained_on": list(model.trained_on) or [SYNTHETIC],
        "synthetic": model.synthetic,
        "tested_on": model.tested_on,
        "miou": model.miou,
        "licence": spec.licence,
        "non_commercial": model.non_commercial,
    }
