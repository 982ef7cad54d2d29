"""TensorRT 8.6, 10 and 11, on a Jetson or beside a discrete GPU: it compiles on the device that it is for."""

from __future__ import annotations

from functools import partial

from edgeseg.engines.engine import Engine
from edgeseg.engines.tensorrt.backend import TensorRtBackend
from edgeseg.engines.tensorrt.compat import TENSORRT, import_release
from edgeseg.engines.tensorrt.compiling import dry_line, written_by
from edgeseg.engines.tensorrt.device import check_device, cuda_devices
from edgeseg.spec import Precision

ENGINE = Engine(
    name=TENSORRT,
    extension="plan",
    precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
    install="pip install tensorrt; on a Jetson it is JetPack's: python3 -m venv --system-site-packages",
    packages=("tensorrt",),
    runtime=partial(import_release, TENSORRT),
    write=partial(written_by, TENSORRT),
    load=partial(TensorRtBackend, TENSORRT),
    devices=cuda_devices,
    targets=("canonical", "tensorrt", "tensorrt_rtx"),
    obtained_share=1.0,
    options=frozenset({"batch", "workspace_mib", "level", "dla", "timing_cache", "portable", "any_gpu"}),
    runs_here=check_device,
    takes_minutes=True,
    dry_run=partial(dry_line, TENSORRT),
)
