"""TensorRT-RTX: engines for GeForce and RTX cards, compiled ahead of time on any machine, with a GPU or without."""

from __future__ import annotations

from functools import partial

from edgeseg.engines.engine import Engine
from edgeseg.engines.tensorrt.backend import TensorRtBackend
from edgeseg.engines.tensorrt.compat import RTX, import_release
from edgeseg.engines.tensorrt.compiling import dry_line, written_by
from edgeseg.engines.tensorrt.device import check_device, cuda_devices
from edgeseg.spec import Precision

ENGINE = Engine(
    name=RTX,
    extension="plan",
    precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
    install="pip install tensorrt-rtx",
    packages=("tensorrt_rtx",),
    runtime=partial(import_release, RTX),
    write=partial(written_by, RTX),
    load=partial(TensorRtBackend, RTX),
    devices=cuda_devices,
    targets=("canonical", "tensorrt", "tensorrt_rtx"),
    obtained_share=1.0,
    options=frozenset({"batch", "workspace_mib", "level", "gpus"}),
    runs_here=check_device,
    takes_minutes=True,
    dry_run=partial(dry_line, RTX),
)
