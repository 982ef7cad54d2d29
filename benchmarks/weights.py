"""What does each bundled model get on pictures it has not seen, how large and how laborious is it?

    EDGESEG_DATA=... python benchmarks/weights.py [--model NAME ...]

Runs `edgeseg eval` on onnxruntime, fp32 and int8 from the committed ranges, and on openvino in int8; counts
parameters and multiply-adds. Writes `edgeseg/weights/figures.json`, which `edgeseg models` lists, and the tables of
the models' cards.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from record import data_folder, edgeseg_command, portable_argument, run_child, run_main

import edgeseg.weights
from edgeseg.files import whole_file
from edgeseg.weights import BUNDLED, weights_path
from edgeseg.weights.file import spec_from_weights, state_from_weights

FOLDER = Path(edgeseg.weights.__file__).parent
ENGINES = (("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "int8"))
BLOCK = re.compile(r"<!-- figures -->.*?<!-- end of figures -->", re.DOTALL)


def unseen(name: str) -> str:
    """The data that the model `name`, called FAMILY-DATA, is judged on."""
    if name.endswith("-camvid"):
        return f"camvid:{data_folder() / 'camvid'}?split=test"
    return "street:?seed=1&scenes=12&frames=3&stride=60&size=1024x512"


def judged(name: str, engine: str, precision: str, folder: str) -> dict[str, Any]:
    """What `edgeseg eval` says of the model, converted from its weights and committed ranges."""
    convert = edgeseg_command("convert", name, "--engine", engine, "--precision", precision, "-o", folder, "--json")
    path = run_child(convert).json()["engine"]
    return run_child(edgeseg_command("eval", path, "--data", unseen(name), "--json")).json()


def figures(name: str) -> dict[str, Any]:
    """All that is known of one model."""
    from edgeseg.models import open_family
    from edgeseg.models.count import count

    spec = spec_from_weights(weights_path(name))
    counts = count(open_family(spec.family).load(spec, state_from_weights(weights_path(name))), *size_of(spec))
    with tempfile.TemporaryDirectory() as folder:
        results = {f"{engine} {precision}": judged(name, engine, precision, folder) for engine, precision in ENGINES}
    return {
        "parameters": counts.parameters,
        "macs": counts.macs,
        "data": portable_argument(unseen(name)),
        "images": results["onnxruntime fp32"]["images"],
        "miou": {engine: round(result["miou"], 4) for engine, result in results.items()},
        "iou": {label: round(iou or 0.0, 4) for label, iou in results["onnxruntime fp32"]["iou"].items()},
    }


def size_of(spec: Any) -> tuple[int, int]:
    return spec.input.width, spec.input.height


def card_block(name: str, found: dict[str, Any]) -> str:
    """The figures as the card shows them."""
    size = size_of(spec_from_weights(weights_path(name)))
    rows = [("", *found["miou"]), ("mIoU", *(f"{100 * miou:.2f}" for miou in found["miou"].values()))]
    classes = [tuple(found["iou"]), tuple(f"{100 * iou:.1f}" for iou in found["iou"].values())]
    text = (
        f"{found['parameters'] / 1e6:.2f} M parameters, {found['macs'] / 1e9:.2f} G multiply-adds at "
        f"{size[0]}x{size[1]}.\nmIoU over {found['images']} images (`python benchmarks/weights.py --model {name}`):\n\n"
        f'    edgeseg eval {name} --engine onnxruntime --precision fp32 --data "{found["data"]}"\n'
    )
    tables = "\n\n".join(table(header, values) for header, values in (rows, classes))
    return f"<!-- figures -->\n{text}\n{tables}\n<!-- end of figures -->"


def table(header: tuple[str, ...], values: tuple[str, ...]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ("---",) * len(header), values))


def write(name: str, found: dict[str, Any]) -> None:
    """Into figures.json and the card."""
    path = FOLDER / "figures.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = found
    with whole_file(path) as partial:
        ordered = {each: known[each] for each in BUNDLED if each in known}
        partial.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
    card = FOLDER / f"{name}.md"
    with whole_file(card) as partial:
        block = card_block(name, found)
        partial.write_text(BLOCK.sub(lambda _: block, card.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{name}: {100 * found['miou']['onnxruntime fp32']:.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=BUNDLED, choices=BUNDLED)
    options = parser.parse_args()

    def measure_all() -> None:
        for name in options.model:
            write(name, figures(name))

    return run_main(measure_all)


if __name__ == "__main__":
    raise SystemExit(main())
