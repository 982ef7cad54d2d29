"""How close is our int8 engine to OpenVINO's own int8 of the same net, and what does int8 save against fp32?

    python benchmarks/openvino_int8.py [--models base light] [--seconds 10] [--rounds 5] [--json-out]
    python benchmarks/openvino_int8.py --nncf-python nncf/bin/python      # python -m venv nncf && \\
                                                                          # nncf/bin/pip install nncf openvino onnx

For each variant of BiSeNetV2 (He-initialised, by seed) or bundled model: the float ONNX is calibrated on street frames
and built into our int8 and fp32 engines; NNCF quantises the same ONNX on the same frames, in an interpreter of its own
(benchmarks/peers/nncf_int8.py). Without --nncf-python that part is left out. Then, in turn, round by round:

    loop: our `Backend.infer` on one frame again and again, for ours int8, ours fp32 and the NNCF model
    app:  `benchmark_app -hint none -nireq 1 -api sync -nthreads 2` on ours int8 and on the NNCF model

The ratio is that of our int8 in our loop to the NNCF model in benchmark_app, by round; its median counts. Own CPU time
is that of the loop.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import Record, Table, Verdict, add_output_option, publish, run_child, run_main

from edgeseg.artifact import Artifact, artifact_from_onnx
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.errors import FormatError
from edgeseg.measure.load import LoadMeter
from edgeseg.measure.recorder import summary_from_samples
from edgeseg.spec import InputSpec, ModelSpec, Precision, size_from_text
from edgeseg.synthetic import StreetCamera

FOLDER = Path(__file__).parent
LATENCY, SAVING = 1.10, 2.5
LOOPS, APPS = ("int8", "fp32", "nncf"), ("int8", "nncf")


def street_frames(count: int, width: int, height: int) -> np.ndarray:
    """(N, H, W, 3) uint8, each of another drive."""
    return np.stack([StreetCamera(seed, width, height).render(0)[0] for seed in range(1000, 1000 + count)])


def float_onnx(model: str, size: tuple[int, int], path: Path, frames: np.ndarray) -> Artifact:
    """The deploy ONNX of a bundled model, or of a variant of BiSeNetV2 with random weights."""
    import torch

    from edgeseg.export.model import export_model
    from edgeseg.export.onnx import onnx_from_module
    from edgeseg.models.bisenetv2 import FAMILY

    if model not in FAMILY.variants:
        return export_model(model, path, frames=frames[:2], size=size)[0]
    spec = ModelSpec(f"bisenetv2-{model}-random", InputSpec(*size), CAMVID_LABELS, FAMILY.name, model)
    torch.manual_seed(0)
    network = FAMILY.build(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return onnx_from_module(network, spec, path)


def built(model: str, options: argparse.Namespace, folder: Path) -> dict[str, Artifact]:
    """What is timed: our int8, our fp32 and, where there is an NNCF, its int8, as files in `folder`."""
    size = size_from_text(options.size)
    frames = street_frames(options.calibration, *size)
    onnx = float_onnx(model, size, folder / f"{model}.onnx", frames)
    table = ranges_from_images(onnx.path, frames)
    quantised = int8_from_ranges(onnx.path, table, target="openvino", out=folder / f"{model}.int8.onnx")
    found = {
        name: engine_from_onnx(source.path, "openvino", out_dir=folder, name=model)
        for name, source in (("int8", quantised), ("fp32", onnx))
    }
    if options.nncf_python:
        np.savez(folder / "frames.npz", frames=frames)
        xml = folder / f"{model}.nncf.xml"
        script = FOLDER / "peers" / "nncf_int8.py"
        command = [options.nncf_python, script, onnx.path, folder / "frames.npz", xml, "--preset", options.preset]
        options.nncf = run_child(command).json()
        found["nncf"] = dataclasses.replace(artifact_from_onnx(onnx.path), path=xml, precision=Precision.INT8)
    return found


def loop(artifact: Artifact, options: argparse.Namespace) -> dict[str, Any]:
    """Infer one frame for some seconds, on the path that a Segmenter takes."""
    with open_engine("openvino").open(artifact, RunOptions(threads=options.threads)) as backend:
        name = backend.inputs[0].name
        feed = {name: street_frames(1, *size_from_text(options.size))}
        for _ in range(options.warm_up):
            backend.infer(feed)
        samples: list[float] = []
        meter, end = LoadMeter(), time.perf_counter() + options.seconds
        while time.perf_counter() < end or not samples:
            began = time.perf_counter()
            backend.infer(feed)
            samples.append((time.perf_counter() - began) * 1e3)
        load = meter.load()
    cpu_ms = load.cpu_seconds * 1e3 / len(samples)
    return {**summary_from_samples(samples).to_dict(), "cpu_ms": cpu_ms, "foreign_cores": load.foreign_cores}


def app(artifact: Artifact, options: argparse.Namespace) -> dict[str, Any]:
    """The median latency that OpenVINO's own benchmark_app finds."""
    command = [Path(sys.executable).with_name("benchmark_app"), "-m", artifact.path, "-d", "CPU", "-t", options.seconds]
    command += ["-hint", "none", "-nireq", "1", "-api", "sync", "-nthreads", options.threads]
    text = run_child([str(word) for word in command], {"CI": "true"}).text  # CI: its telemetry stays off
    found = {key: re.search(rf"{label}:\s+([\d.]+)", text) for key, label in (("p50_ms", "Median"), ("n", "Count"))}
    if not found["p50_ms"] or not found["n"]:
        raise FormatError("benchmark_app printed no median latency", hint="pip install openvino of this year")
    return {"p50_ms": float(found["p50_ms"][1]), "n": int(found["n"][1])}


def measured(artifacts: dict[str, Artifact], options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Contender -> one result a round."""
    ways: dict[str, Callable[[], dict[str, Any]]] = {}
    for kind, function, names in (("loop", loop, LOOPS), ("app", app, APPS)):
        for name in names:
            if name in artifacts:
                ways[f"{name} {kind}"] = lambda function=function, name=name: function(artifacts[name], options)
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, run in ways.items():
            results[way].append(run())
    return results


def ratios(results: dict[str, list[dict[str, Any]]], over: str, under: str, key: str) -> list[float]:
    return [a[key] / b[key] for a, b in zip(results[over], results[under])]


def verdicts(model: str, results: dict[str, list[dict[str, Any]]]) -> list[Verdict]:
    saving = statistics.median(ratios(results, "fp32 loop", "int8 loop", "cpu_ms"))
    text = f"{model}: int8 takes {saving:.2f} times less own CPU time than fp32"
    found = [Verdict(f"at least {SAVING:g} times less", text, saving >= SAVING)]
    if "nncf app" in results:
        latency = statistics.median(ratios(results, "int8 loop", "nncf app", "p50_ms"))
        text = f"{model}: int8 takes {latency:.3f} times the latency of NNCF int8 in benchmark_app"
        found.append(Verdict(f"at most {LATENCY:.2f} times", text, latency <= LATENCY))
        same = statistics.median(ratios(results, "int8 loop", "nncf loop", "p50_ms"))
        text = f"{model}: int8 takes {same:.3f} times the latency of NNCF int8 in the same loop"
        found.append(Verdict(f"at most {LATENCY:.2f} times", text, same <= LATENCY))
    return found


def row(contender: str, rounds: list[dict[str, Any]]) -> list[str]:
    def middle(key: str, digits: int = 2) -> str:
        return f"{statistics.median(each[key] for each in rounds):.{digits}f}" if key in rounds[0] else "-"

    return [contender, middle("n", 0), *(middle(key) for key in ("p50_ms", "p90_ms", "p99_ms", "cpu_ms"))]


def measure(options: argparse.Namespace) -> Record:
    record = Record(
        name="openvino_int8",
        question="Is our int8 as fast as OpenVINO's own, and what does it save against fp32?",
        how=f"BiSeNetV2 at {options.size}, 11 classes, {options.threads} threads, {options.warm_up} inferences first, "
        f"{options.rounds} rounds in turn of {options.seconds} s each; medians over the rounds",
    )
    if not options.nncf_python:
        record.how += "; the comparison with NNCF was left out: no --nncf-python"
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            results = measured(built(model, options, Path(folder)), options)
        columns = ("engine and way", "n a round", "p50 ms", "p90 ms", "p99 ms", "own CPU ms")
        record.tables.append(Table(f"bisenetv2 {model}", columns, [row(*each) for each in results.items()]))
        record.verdicts += verdicts(model, results)
        record.data[model] = results
        record.data["nncf"] = getattr(options, "nncf", None)
        loads = [run.get("foreign_cores", 0.0) for rounds in results.values() for run in rounds]
        record.foreign_cores = max(record.foreign_cores, *loads)
    if options.nncf_python:
        record.how += f"; NNCF {options.nncf['nncf']}, preset {options.preset}, OpenVINO {options.nncf['openvino']}"
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["base", "light"], help="base, light or a bundled model")
    parser.add_argument("--size", default="1024x512")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--calibration", type=int, default=32, help="street frames to calibrate on")
    parser.add_argument("--nncf-python", type=Path, metavar="PATH", help="an interpreter that has nncf and openvino")
    parser.add_argument("--preset", choices=("performance", "mixed"), default="performance", help="of NNCF")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
