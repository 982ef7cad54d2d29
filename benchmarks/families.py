"""Does every family learn, and does its INT8 hold, on nets that nobody tuned the quantiser for?

    python benchmarks/families.py [--families enet ...] [--steps 300] [--work DIR] [--json-out]

For each family, its smallest published variant, in a process of its own:

    train   the same steps on the same images of the synthetic street, from random weights
    int8    ours on openvino and onnxruntime beside NNCF's and ONNX Runtime's own quantiser: same float ONNX, same
            calibration images; mIoU and labels on other images, own CPU time in turn, one frame again and again
    auto    what `edgeseg convert --precision auto` chooses on a third set of images, and what that loses on the others
    rtx     the share of the layers that request int8 of a TensorRT-RTX plan; it is built, not run

A family learns where its mIoU is above that of the most frequent class at each place of the image.

A family that is done is kept in --work and not measured again. With `--resume` the families of this device's record in
`benchmarks/results` stay in it, and those with as many steps, the same crops and versions are not measured again: the
table may be made in several sittings. `--json-out` writes `edgeseg/models/measured.json`, too, which `edgeseg models
--families` shows: each family once, from the records of all devices, first those with int8 instructions.
NNCF's environment is made by `benchmarks/peers/table.py`, or named by --nncf-python.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from record import (
    FOLDER,
    RESULTS,
    Record,
    Table,
    Verdict,
    add_output_option,
    edgeseg_command,
    publish,
    run_child,
    run_main,
)

sys.path.append(str(FOLDER / "peers"))
from quantizers import ENGINES, FLOAT, OURS, Net, Run, ratio

from edgeseg.artifact import Artifact
from edgeseg.autotune.scoring import Scorer, images_from_dataset
from edgeseg.datasets import open_dataset
from edgeseg.errors import EdgeSegError, FileProblem
from edgeseg.files import whole_file
from edgeseg.measure.device import package_versions
from edgeseg.measure.slug import INT8_FEATURES, device_slug
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.models import FAMILIES, open_family
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import size_from_text

NAME = "families.json"
MEASURED = FOLDER.parent / "edgeseg" / "models" / "measured.json"
SIZE = "512x256"
TRAINED = f"street:?seed=100&scenes=256&frames=1&size={SIZE}"
CALIBRATED = f"street:?seed=5000&scenes=64&frames=1&size={SIZE}"
DECIDED = f"street:?seed=7000&scenes=48&frames=1&size={SIZE}"
LOW, HIGH = "256x128", "256x256"  # crops; a step has as many pixels of both
JUDGED = f"street:?seed=9000&scenes=48&frames=1&size={SIZE}"
SLOWER, DROP = 1.03, 0.5
PACKAGES = ("openvino", "onnxruntime", "torch")
PEERS = {"openvino": "nncf", "onnxruntime": "onnxruntime static"}


def measured(family: str, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one family."""
    folder = Path(options.work) / family
    began = time.perf_counter()
    weights = trained(family, folder, options.steps)
    found: dict[str, Any] = {"family": family, "variant": smallest(family), "steps": options.steps}
    found["crops"] = crops_text(family)
    found["train_seconds"] = time.perf_counter() - began
    net = Net(str(weights), quantiser_options(options), folder)
    runs = net.runs()
    found["engines"] = {engine: engine_figures(runs, engine) for engine in ENGINES}
    found["left_out"] = net.left_out
    found["auto"] = {engine: auto_figures(net, engine, folder) for engine in ENGINES}
    found["rtx"] = rtx_share(net, folder)
    found["foreign_cores"] = net.foreign_cores
    found["versions"] = package_versions(PACKAGES)
    return found


def smallest(family: str) -> str:
    """The published variant with the fewest parameters."""
    import torch

    kin, sizes = open_family(family), {}
    for name in kin.published_variants:
        with torch.device("meta"):
            sizes[name] = sum(values.numel() for values in kin.module(11, **kin.variants[name]).parameters())
    return min(sizes, key=sizes.__getitem__)


def trained(family: str, folder: Path, steps: int) -> Path:
    """Weights of the family after `steps`; a training that was stopped goes on."""
    name, (crop, batch) = f"{family}-short", crops_for(family)
    command = edgeseg_command("train", family, "--variant", smallest(family), "--name", name, "--data", TRAINED)
    command += ["--steps", str(steps), "--batch", batch, "--crop", crop, "--size", SIZE, "-o", str(folder / "run")]
    run_child(command)
    return folder / "run" / f"{name}.safetensors"


def crops_for(family: str) -> tuple[str, str]:
    """Size and number of the crops of a step: fewer and higher ones where the dilations of the family reach too far."""
    import torch

    from edgeseg.models.blind import blind_layers

    kin = open_family(family)
    with torch.device("meta"):
        network = kin.module(11, **kin.variants[smallest(family)])
    width, height = size_from_text(LOW)
    if not kin.size_rule.fits(width, height):
        return HIGH, "2"
    blind = blind_layers(network, width, height) - blind_layers(network, *size_from_text(SIZE))
    return (HIGH, "2") if blind else (LOW, "4")


def crops_text(family: str) -> str:
    """The crops of a step as text: 4 of 256x128."""
    crop, count = crops_for(family)
    return f"{count} of {crop}"


def quantiser_options(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(
        images=CALIBRATED, data=JUDGED, limit=64, draws=1, size=None, seconds=0.3, rounds=options.rounds, threads=2,
        nncf_python=options.nncf_python, modelopt_python=None,
    )  # fmt: skip


def engine_figures(runs: dict[tuple[str, str], Run], engine: str) -> dict[str, Any]:
    """Float, ours and the peer on one engine: mIoU, labels that are float's, own CPU ms."""
    figures: dict[str, Any] = {}
    for who, run in ((name, run) for (name, own), run in runs.items() if own == engine):
        same = run.scores[0].same_labels()
        figures[who] = {
            "miou": run.scores[0].miou,
            "labels": [same.value, same.low, same.high],
            "cpu_ms": statistics.median(run.cpu_ms),
            "p50_ms": statistics.median(run.p50_ms),
            "cpu_to_ours": ratio(run, runs[OURS, engine]),
        }
    return figures


def auto_figures(net: Net, engine: str, folder: Path) -> dict[str, Any]:
    """What auto chose, and how much mIoU that loses on images that decided nothing."""
    command = edgeseg_command("convert", net.onnx.path, "--engine", engine, "--precision", "auto")
    command += ["--max-drop", str(DROP)]
    command += ["--data", DECIDED, "--images", CALIBRATED, "-o", str(folder / f"auto-{engine}"), "--json"]
    made = run_child(command).json()
    chosen = Artifact.open(Path(made["engine"]))
    floating = net.built(net.onnx, engine, "float")
    images = images_from_dataset(open_dataset(JUDGED))
    with open_segmenter(floating.path) as reference, open_segmenter(chosen.path) as segmenter:
        scorer = Scorer(images, reference, (len(chosen.spec.labels), 255))
        drop = scorer.scores(segmenter).drop_from(scorer.reference)
    assert drop is not None
    return {"precision": str(chosen.precision), "said": made["decision"]["summary"], "drop": drop.to_dict()}


def rtx_share(net: Net, folder: Path) -> dict[str, Any]:
    """How many of the layers that request int8 obtain it in a plan of TensorRT-RTX."""
    command = edgeseg_command("convert", net.onnx.path, "--engine", "tensorrt_rtx", "--precision", "int8", "--json")
    command.append("--force")  # what is counted are kernels: a net that has hardly learnt may change many labels
    try:
        made = run_child([*command, "--images", CALIBRATED, "-o", str(folder / "rtx")]).json()
    except EdgeSegError as problem:
        return {"error": problem.message[-300:]}
    layers = Artifact.open(Path(made["engine"])).layers
    kernels = [layer for layer in layers if layer.requested]
    asked = [layer for layer in kernels if layer.requested == "int8"]
    return {"layers": len(kernels), "asked": len(asked), "obtained": sum(each.obtained == "int8" for each in asked)}


def one_in_a_process(family: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a family that lie in --work or in the record, or are measured now."""
    recorded = recorded_figures(options).get(family)
    if recorded and recorded["steps"] >= options.steps and recorded.get("crops") == crops_text(family):
        return recorded
    kept = Path(options.work) / family / "result.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--one", family, "--work", options.work, "--steps", str(options.steps)]
        command += ["--rounds", str(options.rounds)]
        command += ["--nncf-python", options.nncf_python] if options.nncf_python else []
        found = run_child(command).json()
        with whole_file(kept) as partial:
            partial.write_text(json.dumps(found), encoding="utf-8")
    figures: dict[str, Any] = json.loads(kept.read_text("utf-8"))
    return figures


def recorded_figures(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """With --resume, the families in this device's record that were measured with today's versions."""
    path = RESULTS / device_slug() / NAME
    found = json.loads(path.read_text("utf-8"))["data"]["families"] if options.resume and path.exists() else []
    now = package_versions(PACKAGES)
    return {each["family"]: each for each in found if each.get("versions") == now}


def miou_by_place() -> float:
    """The mIoU of the most frequent class at each place of the image: what a net has learnt is above it."""
    dataset = open_dataset(TRAINED)
    classes = np.arange(len(dataset.labels.names), dtype=np.uint8)[:, None, None]
    counts = sum((sample.labels() == classes).astype(np.int64) for sample in dataset)
    guess = np.argmax(counts, axis=0).astype(np.uint8)
    matrix = ConfusionMatrix(len(classes), dataset.labels.ignore)
    for sample in open_dataset(JUDGED):
        matrix.update(guess, sample.labels())
    return matrix.miou()


COLUMNS = (
    "family", "variant", "steps", "engine", "mIoU fp32 %", "mIoU int8 %", "labels as fp32 %", "the peer's",
    "CPU ms fp32", "CPU ms int8", "to fp32", "to the peer's int8", "auto", "auto loses",
)  # fmt: skip


def rows_of(found: dict[str, Any]) -> list[list[str]]:
    rows = []
    for engine, figures in found["engines"].items():
        own, base, peer = figures[OURS], figures[FLOAT], figures.get(PEERS[engine])
        auto = found["auto"][engine]
        rows.append(
            [
                *(found["family"], found["variant"], str(found["steps"]), engine),
                *(f"{100 * each['miou']:.2f}" for each in (base, own)),
                f"{100 * own['labels'][0]:.2f}",
                f"{100 * peer['labels'][0]:.2f}" if peer else "-",
                *(f"{each['cpu_ms']:.1f}" for each in (base, own)),
                f"{1 / base['cpu_to_ours']:.2f}",
                f"{1 / peer['cpu_to_ours']:.2f}" if peer else "-",
                chosen_by(auto),
                f"{100 * auto['drop']['value']:+.2f}",
            ]
        )
    return rows


def chosen_by(auto: dict[str, Any]) -> str:
    """What auto chose, as its summary begins: int8, int8-mixed (some layers stay float), fp32 or bf16."""
    return str(auto["said"].split()[0])


def verdicts_of(found: dict[str, Any], by_place: float) -> list[Verdict]:
    """One line for each promise that the family's figures keep or break. by_place: the mIoU of `miou_by_place`."""
    name, miou = found["family"], found["engines"]["openvino"][FLOAT]["miou"]
    text = f"{name} learns: {100 * miou:.2f} mIoU after {found['steps']} steps"
    target = f"above {100 * by_place:.2f}, the most frequent class at each place"
    verdicts = [Verdict(target, text, miou > by_place)]
    peers = [
        (figures[PEERS[engine]]["labels"][0], PEERS[engine])
        for engine, figures in found["engines"].items()
        if PEERS[engine] in figures
    ]
    for engine, figures in found["engines"].items():
        own = figures[OURS]
        if peers:
            most, who = max(peers)
            kept = f"keeps {100 * own['labels'][0]:.2f}% of labels, that of {who} {100 * most:.2f}%"
            text = f"{name} on {engine}: int8 {kept}"
            verdicts.append(Verdict("as many as the best peer's, within the interval", text, own["labels"][2] >= most))
        loses = 100 * found["auto"][engine]["drop"]["low"]
        text = f"{name} on {engine}: auto ({chosen_by(found['auto'][engine])}) loses at least {loses:+.2f} points"
        verdicts.append(Verdict(f"at most {DROP:g} points, within the interval", text, loses <= DROP))
        slow = 1 / figures[FLOAT]["cpu_to_ours"] > 1
        if slow:
            chosen = chosen_by(found["auto"][engine])
            text = f"{name} on {engine}: int8 is slower than fp32, and auto chose {chosen}"
            verdicts.append(Verdict("int8 is not chosen where it is slower", text, chosen != "int8"))
    if "nncf" in found["engines"]["openvino"]:
        slower = 1 / found["engines"]["openvino"]["nncf"]["cpu_to_ours"]
        text = f"{name} on openvino: int8 takes {slower:.3f} times the own CPU time of NNCF's"
        verdicts.append(Verdict(f"at most {SLOWER:.2f} times", text, slower <= SLOWER))
    return verdicts


def measure(options: argparse.Namespace) -> Record:
    found, failed = [], []
    for family in options.families:
        try:
            found.append(one_in_a_process(family, options))
            print(f"{family}: done", file=sys.stderr, flush=True)
        except EdgeSegError as problem:
            failed.append([family, problem.message[-400:]])
            print(f"{family}: {problem.message[-400:]}", file=sys.stderr, flush=True)
    if not found:
        raise FileProblem("no family could be measured", hint="run it with --one FAMILY to see why")
    found = list({**recorded_figures(options), **{each["family"]: each for each in found}}.values())
    by_place = miou_by_place()
    rtx = [[each["family"], each["variant"], *map(str, each["rtx"].values())] for each in found]
    tables = [
        Table("Families after a short training", COLUMNS, [row for each in found for row in rows_of(each)]),
        Table("INT8 in a TensorRT-RTX plan", ("family", "variant", "layers", "ask for int8", "obtain it"), rtx),
    ]
    tables += [Table("failed", ("family", "reason"), failed)] if failed else []
    return Record(
        name=Path(NAME).stem,
        question="Does every family learn, and does its INT8 hold, on nets that nobody tuned the quantiser for?",
        how=f"trained with {TRAINED}, 4 crops of 256x128 a step, or 2 of 256x256 where the dilations of a family need "
        f"them; calibrated on {CALIBRATED}, auto decided on {DECIDED}, judged on {JUDGED}; {options.rounds} rounds in "
        "turn, 2 threads",
        tables=tables,
        verdicts=[verdict for each in found for verdict in verdicts_of(each, by_place)],
        foreign_cores=max(each["foreign_cores"] for each in found),
        data={"families": found},
    )


def measured_from_records(paths: Iterable[Path]) -> dict[str, Any]:
    """What `edgeseg models --families` says of int8, each family once: of a device with int8 instructions if it can."""
    records = {path.parent.name: json.loads(path.read_text("utf-8")) for path in paths}
    devices, families = dict[str, Any](), dict[str, Any]()
    for slug, record in sorted(records.items(), key=lambda each: (not has_int8(each[1]["device"]), each[0])):
        facts = {name: record["device"][name] for name in ("cpu", "board", "isa", "threads")}
        devices[slug] = {"mark": "*" * len(devices), **facts}
        for each in record["data"]["families"]:
            times = {engine: cpu_ms(figures) for engine, figures in each["engines"].items()}
            kept = {name: each[name] for name in ("variant", "versions", "rtx")}
            families.setdefault(each["family"], {"device": slug, **kept, **times})
    return {"size": SIZE, "devices": devices, "families": {name: families[name] for name in sorted(families)}}


def has_int8(device: dict[str, Any]) -> bool:
    """Whether the processor multiplies and adds int8 in one instruction."""
    return not INT8_FEATURES.keys().isdisjoint(device["isa"])


def cpu_ms(figures: dict[str, Any]) -> dict[str, float]:
    return {name: round(figures[who]["cpu_ms"], 2) for name, who in (("fp32_cpu_ms", FLOAT), ("int8_cpu_ms", OURS))}


def publish_all(options: argparse.Namespace) -> None:
    """The record of this device, and with --json-out the table of the package from all devices' records."""
    publish(measure(options), options.json_out)
    if options.json_out is not None:
        whole = measured_from_records(sorted(RESULTS.glob(f"*/{NAME}")))
        with whole_file(MEASURED) as partial:
            partial.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--work", default=str(FOLDER.parent / ".cache" / "families"), help="what is done is kept here")
    parser.add_argument("--resume", action="store_true", help="keep the families of this device's record")
    parser.add_argument("--nncf-python", metavar="PATH", help="an interpreter that has nncf and openvino")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_output_option(parser)
    options = parser.parse_args()
    if options.one:
        return run_main(lambda: print(json.dumps(measured(options.one, options))))
    return run_main(lambda: publish_all(options))


if __name__ == "__main__":
    raise SystemExit(main())
