"""Our int8 against that of ONNX Runtime, NNCF and ModelOpt: same float ONNX, same calibration and evaluation pictures.

    EDGESEG_DATA=... python benchmarks/peers/quantizers.py --nncf-python nncf/bin/python \\
        --modelopt-python modelopt/bin/python [--models bisenetv2-camvid ...] [--limit 64] [--json-out]

Each peer quantises in a process of its own, and in an environment of its own where it needs one (nncf_int8.py and
modelopt_int8.py say how to make it); a peer or model that is not there is left out, with the reason. Which pictures
are drawn to calibrate on moves the mIoU as much as the method does, so all quantise --draws times, each time on the
same other pictures. Then, in one run:

    accuracy: mIoU over --data (CamVid's test split), its drop from fp32 on the same engine, the mean of the draws, with
              the 95% interval of a paired bootstrap over pictures and draws, and the share of labels that are those of
              fp32
    speed:    of the first draw, one frame again and again, each file for --seconds in turn, for --rounds rounds; ratios
              are by round

Ours is met where its drop is not larger than that of the most accurate peer, whatever it runs on, with 95% confidence
(a peer that scores above fp32 has a drop of 0: rounding won it pixels by chance), and where it takes at most 3% more
own CPU time on openvino than the fastest int8 there.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from record import Record, Table, Verdict, add_output_option, data_folder, publish, run_child, run_main

from edgeseg.artifact import Artifact, LoadedModel, artifact_from_onnx
from edgeseg.autotune.scoring import Scorer, Scores, images_from_dataset, mious
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.datasets import open_dataset
from edgeseg.engines import open_engine
from edgeseg.engines.backend import Backend
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.errors import EdgeSegError
from edgeseg.measure.estimate import Estimate, bootstrap
from edgeseg.measure.load import LoadMeter
from edgeseg.segmenter import Segmenter
from edgeseg.spec import Precision, size_from_text

MODELS = ("bisenetv2-camvid", "bisenetv1-camvid", "icnet-camvid", "segformer-camvid")
OURS, FLOAT, ENGINES = "edgeseg", "fp32", ("openvino", "onnxruntime")
SLOWER = 1.03
ACCURATE = "no larger than the best peer's beyond the interval, where a gain is no drop"
ATTENTION = {"segformer"}  # families that NNCF wants to know about


@dataclasses.dataclass(frozen=True)
class Peer:
    """A script that makes int8, what its file ends in, and the engines that it is timed on."""

    script: str
    suffix: str
    engines: tuple[str, ...]


PEERS = {
    "onnxruntime static": Peer("ort_static.py", ".onnx", ("onnxruntime",)),
    "nncf": Peer("nncf_int8.py", ".xml", ("openvino",)),
    "modelopt": Peer("modelopt_int8.py", ".onnx", ENGINES),
}
Key = tuple[str, str]  # who made it, and the engine that runs it


@dataclasses.dataclass(frozen=True)
class Run:
    """What somebody's int8 was worth. scores: of each draw. p50_ms, cpu_ms: of each round."""

    scores: list[Scores]
    p50_ms: list[float]
    cpu_ms: list[float]


class Net:
    """One model: its files, the peers' versions, and what was left out and why."""

    def __init__(self, model: str, options: argparse.Namespace, folder: Path) -> None:
        self.model, self.options, self.folder = Path(model).stem, options, folder  # a bundled name or a weights file
        self.left_out: dict[str, str] = {}
        self.versions: dict[str, Any] = {}
        self.foreign_cores = 0.0  # while the rounds ran
        size = size_from_text(options.size) if options.size else None
        from edgeseg.export.model import export_model, source_from_model  # torch, which --help need not have

        self.spec = source_from_model(model, size).spec
        self.frames = self.drawn(0)
        self.onnx = export_model(model, folder / f"{self.model}.onnx", frames=list(self.frames[:2]), size=size)[0]

    def drawn(self, draw: int) -> np.ndarray:
        """The calibration pictures of a draw, (N, H, W, 3)."""
        return np.stack(list(images_from(self.options.images, self.spec, self.options.limit, seed=draw)))

    def float_artifacts(self) -> dict[Key, Artifact]:
        """fp32 on each engine."""
        return {(FLOAT, engine): self.built(self.onnx, engine, "float") for engine in ENGINES}

    def artifacts(self, draw: int) -> dict[Key, Artifact]:
        """Every int8 file of a draw, ours first."""
        frames = self.drawn(draw)
        table = ranges_from_images(self.onnx.path, frames)
        found: dict[Key, Artifact] = {}
        for engine in ENGINES:
            target = open_engine(engine).targets[0]
            out = self.folder / f"{self.model}.{target}.int8.onnx"
            quantised = int8_from_ranges(self.onnx.path, table, target=target, out=out)
            found[OURS, engine] = self.built(quantised, engine, f"draw{draw}")
        np.savez(self.folder / "frames.npz", frames=frames)
        for name, peer in PEERS.items():
            made = self.of_peer(name, peer, draw)
            found.update({(name, engine): made for engine in peer.engines if made is not None})
        return found

    def built(self, onnx: Artifact | LoadedModel, engine: str, where: str) -> Artifact:
        """The engine of an ONNX, in a folder of its own: it has the model's name."""
        folder = self.folder / where
        folder.mkdir(exist_ok=True)
        return engine_from_onnx(onnx.path, engine, out_dir=folder, name=self.model)

    def of_peer(self, name: str, peer: Peer, draw: int) -> Artifact | None:
        """The file that a peer makes; None where it is left out."""
        python = {"nncf": self.options.nncf_python, "modelopt": self.options.modelopt_python}.get(name, sys.executable)
        if python is None:
            self.left_out[name] = f"no --{name}-python"
            return None
        out = self.folder / f"{self.model}.{name.replace(' ', '-')}.{draw}{peer.suffix}"
        command = [python, Path(__file__).with_name(peer.script), self.onnx.path, self.folder / "frames.npz", out]
        if name == "nncf" and self.spec.family in ATTENTION:
            command.append("--transformer")
        try:
            self.versions[name] = run_child(command, {"CI": "true"}).json()
        except EdgeSegError as problem:
            self.left_out[name] = problem.message
            return None
        return dataclasses.replace(artifact_from_onnx(self.onnx.path), path=out, precision=Precision.INT8)

    def backends(self, artifacts: dict[Key, Artifact], stack: ExitStack) -> dict[Key, tuple[Artifact, Backend]]:
        """All of them, open and warm until `stack` ends."""
        found = {}
        for (name, engine), artifact in artifacts.items():
            try:
                backend = stack.enter_context(
                    open_engine(engine).open(artifact, RunOptions(threads=self.options.threads))
                )
                one_turn(backend, self.frames[:1], 0)
                found[name, engine] = artifact, backend
            except Exception as problem:  # whatever a runtime says of a file that it was not made for
                if name in (OURS, FLOAT):
                    raise
                self.left_out[f"{name} on {engine}"] = " ".join(str(problem).split())[:300]
        return found

    def runs(self) -> dict[Key, Run]:
        """Scores of every draw, then rounds in turn with the files of the first one."""
        dataset = open_dataset(self.options.data)
        dataset.check_labels(self.spec.labels.names, self.spec.name)
        counted = (len(self.spec.labels), dataset.labels.ignore)
        with ExitStack() as stack:
            opened = self.backends({**self.float_artifacts(), **self.artifacts(0)}, stack)
            scorer = Scorer(images_from_dataset(dataset), Segmenter(*opened[FLOAT, ENGINES[0]]), counted)
            scores = {key: [scorer.scores(Segmenter(*pair))] for key, pair in opened.items()}
            times = self.rounds({key: backend for key, (_, backend) in opened.items()})
        for draw in range(1, self.options.draws):
            with ExitStack() as stack:
                for key, pair in self.backends(self.artifacts(draw), stack).items():
                    scores[key].append(scorer.scores(Segmenter(*pair)))
        return {key: Run(scores[key], *map(list, zip(*times[key]))) for key in scores}

    def rounds(self, backends: dict[Key, Backend]) -> dict[Key, list[tuple[float, float]]]:
        """Median latency and own CPU time of each round, in ms."""
        meter, times = LoadMeter(), {key: list[tuple[float, float]]() for key in backends}
        for _ in range(self.options.rounds):
            for key, backend in backends.items():
                times[key].append(one_turn(backend, self.frames[:1], self.options.seconds))
        self.foreign_cores = meter.load().foreign_cores
        return times


def one_turn(backend: Backend, frames: np.ndarray, seconds: float) -> tuple[float, float]:
    """Infer `frames` (1, H, W, 3) for some seconds: the median latency and the own CPU time of one inference, in ms."""
    feed = {backend.inputs[0].name: frames}
    backend.infer(feed)  # caches and threads are the last one's
    samples: list[float] = []
    cpu, end = time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end or not samples:
        began = time.perf_counter()
        backend.infer(feed)
        samples.append((time.perf_counter() - began) * 1e3)
    return statistics.median(samples), (time.process_time() - cpu) * 1e3 / len(samples)


def ratio(over: Run, under: Run) -> float:
    """Own CPU time to own CPU time: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(over.cpu_ms, under.cpu_ms))


def drop_over_draws(own: list[Scores], its: list[Scores]) -> Estimate:
    """How much less mIoU `own` has than `its`, the mean of the draws, with an interval over pictures and draws.

    Where both have draws, each is held against the other's with the same pictures.
    """
    counts = [[scores.counts for scores in each] for each in (own, its)]
    draws = max(map(len, counts))
    ours, theirs = (np.stack([each[draw % len(each)] for draw in range(draws)]) for each in counts)
    _, n, classes, _ = ours.shape
    rng = np.random.default_rng(1)

    def drop(weights: np.ndarray) -> np.ndarray:
        rows = len(weights)
        chosen = rng.multinomial(draws, np.full(draws, 1 / draws), size=rows) if rows > 1 else np.ones((1, draws))
        drops = [
            mious((weights @ its_one.reshape(n, -1)).reshape(rows, classes, classes))
            - mious((weights @ own_one.reshape(n, -1)).reshape(rows, classes, classes))
            for own_one, its_one in zip(ours.astype(np.float64), theirs.astype(np.float64))
        ]
        return (np.stack(drops, axis=1) * chosen).sum(1) / draws

    return bootstrap(drop, n)


def points(drop: Estimate) -> str:
    """A drop of mIoU in points, with its interval."""
    return f"{100 * drop.value:+.2f} ({100 * drop.low:+.2f} to {100 * drop.high:+.2f})"


def drop_of(key: Key, runs: dict[Key, Run]) -> Estimate:
    """The drop from fp32 on the same engine."""
    return drop_over_draws(runs[key].scores, runs[FLOAT, key[1]].scores)


def miou_of(run: Run) -> float:
    """The mean of the draws, in percent."""
    return 100 * statistics.mean(scores.miou or 0.0 for scores in run.scores)


def row(key: Key, runs: dict[Key, Run]) -> list[str]:
    (name, engine), run = key, runs[key]
    base = runs[FLOAT, engine].scores[0].miou or 0.0
    drops = ", ".join(f"{100 * (base - (scores.miou or 0.0)):+.2f}" for scores in run.scores)
    same = statistics.mean(scores.same_labels().value for scores in run.scores)
    worth = ("-", "-") if name == FLOAT else (points(drop_of(key, runs)), drops)
    times = (f"{statistics.median(each):.1f}" for each in (run.cpu_ms, run.p50_ms))
    return [name, engine, f"{miou_of(run):.2f}", *worth, f"{same:.4f}", *times, f"{ratio(run, runs[OURS, engine]):.3f}"]


def verdicts(model: str, runs: dict[Key, Run]) -> list[Verdict]:
    """Against the most accurate peer of all, and the fastest on openvino."""
    peers = [key for key in runs if key[0] in PEERS]
    best = min(peers, key=lambda key: drop_of(key, runs).value, default=None)
    found = [] if best is None else [accuracy_verdict(model, engine, runs, best) for engine in ENGINES]
    ours, on_openvino = runs[OURS, "openvino"], [key for key in peers if key[1] == "openvino"]
    if on_openvino:
        fastest = min(on_openvino, key=lambda key: ratio(runs[key], ours))
        slower = ratio(ours, runs[fastest])
        text = f"{model} on openvino: int8 takes {slower:.3f} times the own CPU time of {fastest[0]}"
        found.append(Verdict(f"at most {SLOWER:.2f} times", text, slower <= SLOWER))
    return found


def accuracy_verdict(model: str, engine: str, runs: dict[Key, Run], best: Key) -> Verdict:
    """Whether ours on `engine` loses more than the best peer, on the same pictures."""
    own, its = drop_of((OURS, engine), runs), drop_of(best, runs)
    excess = drop_over_draws(runs[OURS, engine].scores, runs[best].scores)
    text = (
        f"{model} on {engine}: int8 drops {points(own)} points of mIoU, {best[0]} on {best[1]} {points(its)}; "
        f"apart {points(excess)}"
    )
    return Verdict(ACCURATE, text, no_larger(own, its, excess))


def no_larger(own: Estimate, its: Estimate, excess: Estimate) -> bool:
    """Whether a drop is as small as a peer's. excess: of ours over the peer's, on the same pictures.

    A peer that gains has no drop: rounding won it pixels by chance, and ours then need only lose none.
    """
    return excess.low <= 0 or (its.value < 0 and own.low <= 0)


def measure(options: argparse.Namespace) -> Record:
    options.images = options.images or data_folder() / "camvid" / "train" / "images"
    options.data = options.data or f"camvid:{data_folder() / 'camvid'}?split=test"
    record = Record("quantizers", "Is our int8 as accurate and as fast as that of other quantisers?", "")
    left_out: list[list[str]] = []
    versions: dict[str, Any] = {}
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            try:
                net = Net(model, options, Path(folder))
                runs = net.runs()
            except EdgeSegError as problem:
                left_out.append([model, "-", problem.message])
                continue
        columns = (
            "int8 of",
            "engine",
            "mIoU %",
            "drop (95%)",
            "of each draw",
            "labels as fp32",
            "own CPU ms",
            "p50 ms",
            "CPU to ours",
        )
        record.tables.append(Table(model, columns, [row(key, runs) for key in runs]))
        record.verdicts += verdicts(model, runs)
        record.data[model] = {f"{name} {engine}": plain(run) for (name, engine), run in runs.items()}
        left_out += [[model, name, reason] for name, reason in net.left_out.items()]
        versions.update(net.versions)
        record.foreign_cores = max(record.foreign_cores, net.foreign_cores)
    if left_out:
        record.tables.append(Table("left out", ("model", "peer", "reason"), left_out))
    record.data["peers"] = versions
    record.how = (
        f"{options.draws} draws of {options.limit} pictures of {Path(options.images).name} to calibrate on, the same "
        f"for all; "
        f"{options.threads} threads; {options.rounds} rounds in turn of {options.seconds} s each, medians over the "
        f"rounds. Peers: {versions}"
    )
    return record


def plain(run: Run) -> dict[str, Any]:
    return {"miou": [scores.miou for scores in run.scores], "p50_ms": run.p50_ms, "cpu_ms": run.cpu_ms}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="bundled names or weights files")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="the model's own unless given")
    parser.add_argument("--images", help="to calibrate on, a folder or URI; CamVid's training images unless given")
    parser.add_argument("--limit", type=int, default=64, help="how many of them")
    parser.add_argument("--draws", type=int, default=3, help="how often, each time other ones")
    parser.add_argument("--data", help="to evaluate on, as for edgeseg eval; CamVid's test split unless given")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nncf-python", type=Path, metavar="PATH", help="an interpreter that has nncf and openvino")
    parser.add_argument("--modelopt-python", type=Path, metavar="PATH", help="an interpreter that has nvidia-modelopt")
    add_output_option(parser)
    options = parser.parse_args()
    return run_main(lambda: publish(measure(options), options.json_out))


if __name__ == "__main__":
    raise SystemExit(main())
