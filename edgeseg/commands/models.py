"""`edgeseg models`: the bundled models, and the families that can be trained and converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from edgeseg.commands.options import Json, option
from edgeseg.errors import UnavailableError

if TYPE_CHECKING:
    from edgeseg.models.shelf import ShelfRow
    from edgeseg.weights.bundled import BundledModel

SYNTHETIC = "synthetic images"
EXPENDABLE = ("GMACs", "parameters M", "classes", "tested on", "size")  # what a narrow terminal does without

EXPENDABLE_OF_FAMILIES = ("licence", "published", "group", "GMACs")

EXAMPLES = """
  edgeseg models
  edgeseg models --families
  edgeseg models --json
"""


def command(
    families: Annotated[
        bool, option("--families", "List the families of networks instead: train or adopt weights for them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the bundled models: input size, training data, measured mIoU, licence."""
    if families:
        list_families(as_json)
        return
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


def list_families(as_json: bool) -> None:
    """Print the families; counts are those of the first variant with 19 classes at 1024x512."""
    from edgeseg.commands.terminal import note, print_json, print_table, wrote

    try:
        from edgeseg.models.shelf import devices_measured, shelf
    except ImportError as problem:
        message = "the list of families needs torch, which is not installed"
        raise UnavailableError(message, hint="pip install 'edgeseg[export]'") from problem
    rows = shelf()
    if as_json:
        print_json([family_to_dict(row) for row in rows])
        return
    cells = [family_cells(row) for row in rows]
    print_table(list(cells[0]), [list(each.values()) for each in cells], expendable=EXPENDABLE_OF_FAMILIES)
    note("note: parameters and GMACs of the first variant, with 19 classes at 1024x512")
    note("note: int8: own CPU time of the int8 engine as a share of fp32's, on openvino and onnxruntime, at 512x256")
    for mark, text in devices_measured():
        note(f"note: int8{mark}: of {text}")
    note("note: published and licence are those of the paper and its code, not of edgeseg")
    wrote(None, "edgeseg train FAMILY --data folder:mine --epochs 60")


def family_cells(row: ShelfRow) -> dict[str, str]:
    """The cells of one family."""
    return {
        "family": row.family.name,
        "group": row.family.group,
        "variants": ", ".join(row.family.published_variants),
        "parameters M": f"{row.counts.parameters / 1e6:.2f}",
        "GMACs": f"{row.counts.macs / 1e9:.2f}",
        "int8": row.int8_shares(),
        "published": row.family.reference.result,
        "licence": row.family.reference.licence,
    }


def family_to_dict(row: ShelfRow) -> dict[str, Any]:
    """Plain data of one family. int8: own CPU time as a share of fp32's by engine, where it was measured."""
    shares = {engine: row.int8_share(engine) for engine in row.measured if engine in ("openvino", "onnxruntime")}
    return {
        "family": row.family.name,
        "group": row.family.group,
        "variants": row.family.published_variants,
        "counted": row.variant,
        "parameters": row.counts.parameters,
        "macs": row.counts.macs,
        "checkpoints": list(row.formats),
        "published": row.family.reference.result,
        "licence": row.family.reference.licence,
        "origin": row.family.origin,
        "measured_on": row.measured.get("device"),
        "int8": {engine: share for engine, share in shares.items() if share is not None},
    }
