"""edgeseg beside what else there is, in one interleaved run: the same frames, the same size, equally many threads.

    python benchmarks/peers/table.py [--only NAME ...] [--model bisenetv2-street] [--size 1024x512] [--json-out]
    EDGESEG_DATA=... python benchmarks/peers/table.py --json-out         # with the video, which needs the data folder

It makes the environments that peers need (environments.py; once, under .cache/peers or $EDGESEG_PEERS), starts each
contender in a process of its own, and asks them for turns, round by round, every other round backwards:

    network:  one inference of an input that lies ready, again and again
    frame:    a 1080p frame in memory to the labels of all its pixels
    file:     a 1080p video to an overlay video; of ours, the one whose network takes the least own CPU time

Quantisers get the same calibration frames, their files run in the runtime that they are made for, and the usual code
is around them. Peers of the same network are also held against the ground truth of the synthetic street and against
the labels of our fp32. A peer that cannot run here is left out, with the reason.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from comparison import (
    APP,
    OURS,
    Figures,
    fastest,
    foreign_cores,
    plain,
    scope_table,
    summary_table,
    turn_from_answer,
    verdicts,
    versions_text,
)
from contenders import BenchmarkApp, Contender, Worker, trtexec_command
from environments import ENVIRONMENTS, peers_folder, python_of
from record import FOLDER, Record, Table, add_output_option, data_folder, publish, run_child, run_main

from edgeseg.artifact import Artifact
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.datasets import open_dataset
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.errors import EdgeSegError
from edgeseg.files import existing_file
from edgeseg.measure.device import has_native_bf16, package_version
from edgeseg.measure.load import LoadMeter
from edgeseg.metrics.agreement import label_agreement
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.spec import Precision, size_from_text
from edgeseg.synthetic import StreetCamera

HERE, BEGAN = Path(__file__).parent, time.perf_counter()
FRAME = (1920, 1080)
FRAMES, EVALUATED = 4, "street:?seed=900&scenes=16&frames=1&size={size}"
CALIBRATION = "street:?seed=5000&scenes=32&frames=1&size={size}"
USUAL = {"model": "bisenetv2-street", "size": "1024x512"}
ATTENTION = {"segformer"}  # families that NNCF wants to know about
REFERENCE = f"{OURS} openvino fp32"


class Setting:
    """The files that all contenders are made of, in `folder`."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        from edgeseg.export.model import export_model, source_from_model  # torch, which --help need not have

        self.options, self.folder = options, folder
        size = size_from_text(options.size)
        self.spec = source_from_model(options.model, size).spec
        images = options.images or CALIBRATION.format(size=options.size)
        calibration = np.stack(list(images_from(images, self.spec, options.limit)))
        self.onnx = export_model(options.model, folder / "float.onnx", frames=list(calibration[:2]), size=size)[0]
        self.calibration, self.frames = folder / "calibration.npz", folder / "frames.npz"
        np.savez(self.calibration, frames=calibration)
        np.savez(self.frames, images=np.stack([StreetCamera(800 + i, *FRAME).render(0)[0] for i in range(FRAMES)]))
        dataset = open_dataset(EVALUATED.format(size=options.size))
        samples, same_classes = list(dataset), dataset.labels.names == self.spec.labels.names
        self.evaluation, self.truth = folder / "evaluation.npz", [sample.labels() for sample in samples]
        self.counted = len(self.spec.labels) if same_classes else 0
        np.savez(self.evaluation, images=np.stack([sample.rgb() for sample in samples]))
        self.table = ranges_from_images(self.onnx.path, calibration)
        self.quantised: dict[str, Path] = {}
        self.engines = dict(self._engines())

    def _engines(self) -> Iterator[tuple[str, Artifact]]:
        for engine in ("openvino", "onnxruntime"):
            target = open_engine(engine).targets[0]
            int8 = int8_from_ranges(self.onnx.path, self.table, target=target, out=self.folder / f"{engine}.int8.onnx")
            yield f"{OURS} {engine} int8", engine_from_onnx(int8.path, engine, out_dir=self.folder)
            if engine == "openvino" and has_native_bf16():
                bf16 = engine_from_onnx(self.onnx.path, engine, precision=Precision.BF16, out_dir=self.folder)
                yield f"{OURS} {engine} bf16", bf16
            yield f"{OURS} {engine} fp32", engine_from_onnx(self.onnx.path, engine, out_dir=self.folder)

    def worker(self, script: str, *arguments: str | Path, environment: str = "") -> Worker:
        """A contender in a process, in the environment of that name or in ours."""
        python: Path | str = sys.executable
        if environment:
            python = python_of(environment, say=progress)
        threads = str(self.options.threads)
        common = ("--frames", self.frames, "--threads", threads)
        variables = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        log = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        variables["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that spin burn many times the CPU time of their work
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(peers_folder() / "inductor"), "CI": "true"}
        return Worker([python, HERE / script, *arguments, *common], log, {**variables, **cache})

    def file_of(self, quantiser: str, script: str, suffix: str, environment: str = "", *more: str) -> Path:
        """The int8 file that a quantiser makes of our float ONNX and the calibration frames, made once."""
        if quantiser not in self.quantised:
            python: Path | str = python_of(environment, say=progress) if environment else sys.executable
            out = self.folder / f"{quantiser}{suffix}"
            run_child([python, HERE / script, self.onnx.path, self.calibration, out, *more], {"CI": "true"})
            self.quantised[quantiser] = out
        return self.quantised[quantiser]


Rows = Iterator[tuple[str, Contender]]


def ours(setting: Setting) -> Rows:
    for name, artifact in setting.engines.items():
        yield name, setting.worker("edgeseg_turns.py", artifact.path)


def usual(setting: Setting) -> Rows:
    yield "usual loop", setting.worker("naive_turns.py", setting.onnx.path)


def nncf_file(setting: Setting) -> Path:
    more = ["--transformer"] if setting.spec.family in ATTENTION else []
    return setting.file_of("nncf", "nncf_int8.py", ".xml", "nncf", *more)


def nncf(setting: Setting) -> Rows:
    arguments = (nncf_file(setting), "--float", setting.onnx.path, "--runtime", "openvino")
    yield "nncf int8", setting.worker("quantised_turns.py", *arguments)


def ort_static(setting: Setting) -> Rows:
    file = setting.file_of("ort-static", "ort_static.py", ".onnx")
    yield "onnxruntime static int8", setting.worker("quantised_turns.py", file, "--float", setting.onnx.path)


def modelopt(setting: Setting) -> Rows:
    file = setting.file_of("modelopt", "modelopt_int8.py", ".onnx", "modelopt")
    yield "modelopt int8", setting.worker("quantised_turns.py", file, "--float", setting.onnx.path)


def benchmark_app(setting: Setting) -> Rows:
    """On our files, and on NNCF's where that is compared too."""
    for name in (f"{OURS} openvino int8", REFERENCE):
        artifact = setting.engines[name]
        facts = {"versions": dict(artifact.versions)}
        app = BenchmarkApp(artifact.path, str(artifact.precision), setting.options.threads, facts)
        yield f"{APP} {name}", app
    if "nncf" in setting.quantised:
        facts = {"versions": {"openvino": package_version("openvino")}}
        app = BenchmarkApp(setting.quantised["nncf"], "int8", setting.options.threads, facts)
        yield f"{APP} nncf int8", app


def torch_eager(setting: Setting) -> Rows:
    yield "torch eager fp32", setting.worker("torch_turns.py", setting.options.model, "--size", setting.options.size)


def torch_compile(setting: Setting) -> Rows:
    arguments = (setting.options.model, "--size", setting.options.size, "--mode", "compile")
    yield "torch.compile fp32", setting.worker("torch_turns.py", *arguments)
    if has_native_bf16():
        yield "torch.compile bf16", setting.worker("torch_turns.py", *arguments, "--bf16")


def ultralytics(setting: Setting) -> Rows:
    size = ("--size", setting.options.size)
    yield "ultralytics", setting.worker("ultralytics_turns.py", *size, environment="ultralytics")


def ultralytics_openvino(setting: Setting) -> Rows:
    arguments = ("--size", setting.options.size, "--format", "openvino")
    yield "ultralytics, OpenVINO export", setting.worker("ultralytics_turns.py", *arguments, environment="ultralytics")


def dfine(setting: Setting) -> Rows:
    yield "dfine-seg", setting.worker("dfine_turns.py", "--size", setting.options.size, environment="dfine")


PEERS: dict[str, Callable[[Setting], Rows]] = {
    "usual": usual,
    "nncf": nncf,
    "ort-static": ort_static,
    "modelopt": modelopt,
    "benchmark-app": benchmark_app,
    "torch": torch_eager,
    "torch-compile": torch_compile,
    "ultralytics": ultralytics,
    "ultralytics-openvino": ultralytics_openvino,
    "dfine": dfine,
}
OTHER_NETWORKS = {"ultralytics", "ultralytics-openvino", "dfine"}


class Run:
    """The contenders that started, their figures, and what was left out and why."""

    def __init__(self) -> None:
        self.contenders: dict[str, Contender] = {}
        self.figures: dict[str, Figures] = {}
        self.left_out: dict[str, str] = {}

    def start(self, key: str, rows: Rows, *, same_network: bool = True) -> None:
        """Start the contenders of a peer; the reason is kept where one does not."""
        try:
            for name, contender in rows:
                progress(f"started {name}")
                self.contenders[name] = contender
                self.figures[name] = Figures(contender.facts, same_network)
        except EdgeSegError as problem:
            if key == OURS:
                raise
            self.left_out[key] = problem.message

    def ask(self, name: str, **request: Any) -> dict[str, Any] | None:
        """Its answer; None where it failed, and is then left out."""
        try:
            return self.contenders[name].ask(**request)
        except EdgeSegError as problem:
            if name.startswith(OURS):
                raise
            self.left_out[name] = problem.message
            self.contenders.pop(name).close()
            del self.figures[name]
            return None

    def turn(self, name: str, **request: Any) -> None:
        """One turn, kept with its figures."""
        meter = LoadMeter()
        answer = self.ask(name, **request)
        if answer is not None:
            load = meter.load()
            others = max(0.0, load.foreign_cores - answer["spent_seconds"] / load.wall_seconds)
            found = turn_from_answer(answer, others)
            self.figures[name].turns.setdefault(request["scope"], []).append(found)

    def rounds(self, count: int, seconds: float) -> None:
        """Networks and frames, in turn, every other round backwards."""
        for index in range(count):
            for name in ordered(self.contenders, index):
                for scope in ("engine", "frame"):
                    if name in self.contenders and scope in self.contenders[name].scopes:
                        self.turn(name, scope=scope, seconds=seconds)
            progress(f"round {index + 1} of {count}")

    def videos(self, count: int, clip: Path, folder: Path) -> None:
        """The video, in turn: our fastest engine, and the peers that have a loop of their own."""
        best = fastest(self.figures, "engine", ours=True)
        for index in range(count):
            for name in ordered(self.contenders, index):
                if "file" in self.contenders[name].scopes and (name == best or not name.startswith(OURS)):
                    self.turn(name, scope="file", source=str(clip), target=str(folder / "overlay.mp4"))
            progress(f"video {index + 1} of {count}")

    def accuracy(self, setting: Setting) -> None:
        """Labels of the evaluation images: those of our fp32, and the ground truth."""
        reference: np.ndarray | None = None
        names = [name for name, each in self.figures.items() if each.same_network]
        for name in sorted(names, key=lambda name: name != REFERENCE):
            target = setting.folder / "labels.npy"
            if "frame" in self.contenders[name].scopes and self.ask(
                name, labels=str(setting.evaluation), target=str(target)
            ):
                labels = np.load(target)
                reference = labels if reference is None else reference
                figures = self.figures[name]
                figures.agreement = statistics.mean(map(label_agreement, labels, reference))
                if setting.counted:
                    counts = ConfusionMatrix(setting.counted)
                    for image, truth in zip(labels, setting.truth):
                        counts.update(image, truth)
                    figures.miou = counts.miou()

    def close(self) -> None:
        """Note what each holds, and end it."""
        for name, contender in self.contenders.items():
            self.figures[name].rss_mib = contender.rss_mib()
            contender.close()


def ordered(names: Mapping[str, Any], index: int) -> list[str]:
    """Every other round backwards, so that what changes with time hits all alike."""
    return list(names) if index % 2 == 0 else list(reversed(names))


def record_from_run(run: Run, options: argparse.Namespace, trtexec: str) -> Record:
    """Tables, verdicts and every turn."""
    record = Record(
        name="-".join(["peers", *others_than_usual(options)]),
        question=f"How do edgeseg and what else there is compare, with {options.model} at {options.size}?",
        how=f"{options.threads} threads each; {options.rounds} rounds in turn of {options.seconds:g} s for each scope, "
        f"every other one backwards, the first call of a turn not counted; {options.file_rounds} rounds of the video; "
        f"{options.limit} calibration frames, the same for all; CPU and p50 are medians over the rounds, percentiles "
        "are over the samples of all; RSS is that of the process at the end, its frames with it. OpenMP's threads wait "
        "passively; those of ONNX Runtime in the usual loop spin, as by default, which a busy machine makes expensive",
        foreign_cores=foreign_cores(run.figures),
    )
    size = "x".join(map(str, FRAME))
    titles = {
        "engine": "Network alone",
        "frame": f"{size} frame in memory to the labels of its pixels",
        "file": f"{size} video to an overlay video: from one written frame to the next",
    }
    tables = [summary_table(run.figures), *(scope_table(run.figures, *each) for each in titles.items())]
    record.tables = [table for table in tables if table is not None]
    versions = [[name, versions_text(each)] for name, each in run.figures.items()]
    record.tables.append(Table("Versions", ("contender", "versions"), versions))
    left_out = [[name, reason.replace("|", "/")] for name, reason in run.left_out.items()]
    left_out.append(["trtexec", f"needs a GPU; there: `{trtexec}`"])
    record.tables.append(Table("Left out", ("contender", "reason"), left_out))
    record.verdicts = verdicts(run.figures)
    contenders = {name: plain(each) for name, each in run.figures.items()}
    record.data = {"model": options.model, "size": options.size, "contenders": contenders}
    return record


def others_than_usual(options: argparse.Namespace) -> list[str]:
    """Model and size, where they are not those of the usual run: such a record has a place of its own."""
    given = {key: str(getattr(options, key)) for key in USUAL}
    return [value for key, value in given.items() if value != USUAL[key]]


def measure(options: argparse.Namespace) -> Record:
    chosen = options.only or list(PEERS)
    run = Run()
    with tempfile.TemporaryDirectory(prefix="edgeseg-peers-") as scratch:
        folder = Path(scratch)
        clip = clip_of(options, folder, run)
        progress("making our engines")
        setting = Setting(options, folder)
        try:
            run.start(OURS, ours(setting))
            for key in [key for key in PEERS if key in chosen]:
                run.start(key, PEERS[key](setting), same_network=key not in OTHER_NETWORKS)
            run.rounds(options.rounds, options.seconds)
            if clip is not None:
                run.videos(options.file_rounds, clip, folder)
            run.accuracy(setting)
            progress("labels compared")
        finally:
            run.close()
        return record_from_run(run, options, trtexec_command(setting.onnx.path))


def clip_of(options: argparse.Namespace, folder: Path, run: Run) -> Path | None:
    """The video; None, with the reason, where there is none."""
    if options.clip:
        return existing_file(options.clip)
    try:
        data_folder()
        clip = folder / "clip_1080p.mp4"
        run_child([sys.executable, FOLDER / "make_clip.py", clip, "--seconds", str(options.video_seconds)])
    except EdgeSegError as problem:
        run.left_out["the video"] = problem.message
        return None
    return clip


def progress(text: str) -> None:
    print(f"{time.perf_counter() - BEGAN:6.0f} s  {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PEERS, metavar="NAME", help=f"peers: {', '.join(PEERS)}")
    parser.add_argument("--environments", action="store_true", help="make the environments and end")
    parser.add_argument("--model", default=USUAL["model"], help="a bundled name or a weights file")
    parser.add_argument("--size", default=USUAL["size"], metavar="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--images", help="to calibrate on, a folder or URI; the synthetic street unless given")
    parser.add_argument("--limit", type=int, default=32, help="how many of them")
    parser.add_argument("--clip", type=Path, help="a 1080p video; made unless given, which needs EDGESEG_DATA")
    parser.add_argument("--video-seconds", type=float, default=4.0, help="of the clip that is made")
    parser.add_argument("--file-rounds", type=int, default=3)
    add_output_option(parser)
    options = parser.parse_args()
    if options.environments:
        return run_main(make_environments)
    return run_main(lambda: publish(measure(options), options.json_out))


def make_environments() -> None:
    """All of them; one that cannot be made is said, and the others are."""
    for name in ENVIRONMENTS:
        try:
            print(f"{name}: {python_of(name, say=progress)}")
        except EdgeSegError as problem:
            print(f"{name}: {problem.message}")


if __name__ == "__main__":
    raise SystemExit(main())
