"""A real Triton server, of the wheel nvidia-pytriton: its core, and no back end but that for Python. `make triton`.

Models of a repository are put on that back end; the rest of their configurations stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(sys.prefix) / "triton"
HOME = FOLDER / "pytriton" / "tritonserver"
STUB = "triton_python_backend_stub"
MODEL = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import numpy as np
import onnxruntime
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        self.session = onnxruntime.InferenceSession(Path(args["model_repository"], args["model_version"], "model.onnx"))

    def execute(self, requests):
        frames = [pb.get_input_tensor_by_name(each, "rgb").as_numpy() for each in requests]
        (masks,) = self.session.run(["mask"], {{"rgb": np.concatenate(frames)}})
        parts = np.split(masks, np.cumsum([len(each) for each in frames])[:-1])
        return [pb.InferenceResponse([pb.Tensor("mask", part)]) for part in parts]
"""
DECODER = """
import sys
sys.path.insert(0, {folder!r})
import json
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        self.dims = [int(side) for side in json.loads(args["model_config"])["output"][0]["dims"]]

    def execute(self, requests):
        files = [pb.get_input_tensor_by_name(each, "jpeg").as_numpy() for each in requests]
        frames = [np.full([len(each), *self.dims], each.ravel()[0], np.uint8) for each in files]
        return [pb.InferenceResponse([pb.Tensor("rgb", each)]) for each in frames]
"""


def put_on_python(repository: Path) -> None:
    """Let the back end for Python run the models of `repository`; a decoder gives frames of the file's first byte."""
    for config in repository.glob("*/config.pbtxt"):
        text = config.read_text(encoding="utf-8")
        if "ensemble_scheduling" in text:
            continue
        text = re.sub(r"^backend: .*", 'backend: "python"', text, flags=re.MULTILINE)
        config.write_text(text.replace('default_model_filename: "model.onnx"\n', ""), encoding="utf-8")
        source = DECODER if config.parent.name.endswith("-decode") else MODEL
        (config.parent / "1" / "model.py").write_text(source.format(folder=str(FOLDER)), encoding="utf-8")


@contextlib.contextmanager
def triton(repository: Path) -> Iterator[str]:
    """HOST:PORT of a Triton server that has loaded all models of `repository`; AssertionError, with its log, if not."""
    backend = HOME / "backends" / "python"
    shutil.copy(HOME / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}" / STUB, backend / STUB)
    for program in (HOME / "bin" / "tritonserver", backend / STUB):
        program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [HOME / "bin" / "tritonserver", f"--model-repository={repository}", f"--backend-directory={HOME}/backends"]
    options = [f"--grpc-port={port}", "--grpc-address=127.0.0.1", "--allow-http=false", "--allow-metrics=false"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([*words, *options], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    with process.stderr as log:
        try:
            lines = []
            for line in log:
                lines.append(line)
                if "Started GRPCInferenceService" in line:
                    break
            else:
                raise AssertionError("".join(lines)[-3000:])
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=60)
