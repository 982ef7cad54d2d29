"""Run the whole build and run path over the bindings of one release: python conform_tensorrt.py FOLDER WORKDIR [FAULT].

Every name, argument and keyword that edgeseg uses is held against the release. Prints JSON: what the builder was told.
With a FAULT of the table below edgeseg does what the release does not have, and this must fail.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from emulated_cuda import EmulatedCuda
from fake_tensorrt import FakeTensorRt
from small_onnx import HEIGHT, WIDTH, float_onnx, frames, int8_onnx
from stub_bindings import load_bindings

from edgeseg.artifact import Artifact, load_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt import backend, builder, device, engines
from edgeseg.spec import Precision

OPTIONS = {
    "plain": BuildOptions(),
    "all": BuildOptions(workspace_mib=64, level=5, portable=True, any_gpu=True, timing_cache=Path(tempfile.mkdtemp())),
    "dla": BuildOptions(dla=0),
    "batch": BuildOptions(batch=(1, 2, 3)),
}


def removed_name() -> None:
    """Set what ended with 8.6."""
    original = builder.builder_config

    def builder_config(*args: Any) -> Any:
        config = original(*args)
        config.max_workspace_size = 1 << 30
        return config

    builder.builder_config = builder_config


def wrong_keyword() -> None:
    """Call a method with a keyword that it never had."""
    original = builder.builder_of

    def builder_of(*args: Any) -> Any:
        made = original(*args)
        made.create_network(flag=0)
        return made

    builder.builder_of = builder_of


FAULTS = {"removed-name": removed_name, "wrong-keyword": wrong_keyword}


def main(folder: Path, work: Path, fault: str | None = None) -> None:
    """Build with each set of options, and run what was built."""
    if fault:
        FAULTS[fault]()
    real = load_bindings(folder)
    sys.modules["tensorrt"] = real
    facts: dict[str, Any] = {"version": real.__version__}
    for precision in (Precision.FP32, Precision.INT8):
        for name, options in OPTIONS.items():
            facts[f"{precision}-{name}"] = built_and_run(real, work / name, precision, options)
    print(json.dumps(facts))


def built_and_run(real: Any, work: Path, precision: Precision, options: BuildOptions) -> dict[str, Any]:
    cuda = EmulatedCuda(memory_mib=8192)
    fake = FakeTensorRt(real, cuda, dla_cores=2)
    sys.modules["tensorrt"] = fake.module  # type: ignore[assignment]
    for module in (backend, device):
        module.open_cuda = lambda name: cuda
    device.gpu_count = lambda: 1
    cuda.close = lambda: None  # type: ignore[method-assign]  # one device for all that open it
    work.mkdir(exist_ok=True)
    source = float_onnx(work) if precision is Precision.FP32 else int8_onnx(work)
    job = engines.BuildJob(load_onnx(source.path), source.path, precision, options)
    told: list[float] = []
    plan = engine_from_onnx(source.path, "tensorrt", precision=precision, out_dir=work / "out", options=options,
                            reference=float_onnx(work).path, frames=frames(2),
                            progress=lambda task, done, total: told.append(done / total if total else 0.0))  # fmt: skip
    with open_engine("tensorrt").open(Artifact.open(plan.path)) as opened:
        most = opened.inputs[0].shape[0] if options.batch == (1, 1, 1) else 3
        for count in range(1, most + 1):
            batch = frames(count).reshape(count, HEIGHT, WIDTH, 3)
            first, second = (next(iter(opened.infer({"rgb": batch}).values())).copy() for _ in range(2))
            third = next(iter(opened.infer({"rgb": batch}).values()))
            assert np.array_equal(first, second) and np.array_equal(first, third), "the graph gives something else"
    return {
        "progress": told,
        "labels": plan.agreement.labels,
        "network_flags": fake.told["network_flags"],
        "float_layers": sorted({each.name for each in fake.told["float_layers"] if is_float(each, real)}),
        "flags": sorted(str(flag).rpartition(".")[2] for flag in fake.told["flags"]),
        "workspace": fake.told.get("workspace"),
        "trtexec": engines.dry_run_line("tensorrt", job),
        "opset": max(entry.version for entry in fake.model().opset_import),
        "fell_back": list(plan.build.fell_back),
    }


def is_float(layer: Any, real: Any) -> bool:
    """Whether a layer was told to stay in float32; only weakly typed releases can be told."""
    return bool(getattr(layer, "precision", None) == real.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
