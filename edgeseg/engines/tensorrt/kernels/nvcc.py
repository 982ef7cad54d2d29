"""The kernels compiled for one kind of GPU: by nvcc where there is one, else by NVRTC, which pip installs."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

from edgeseg.engines.tensorrt.kernels.source import SOURCE, compiled
from edgeseg.errors import UnavailableError

FLAGS = ("-std=c++17", "-fmad=false")
TOOLKIT = Path("/usr/local/cuda/bin/nvcc")  # where CUDA's installer and JetPack put it, often not on the PATH
PIP = ("cu13", "cuda_nvcc")  # where nvidia-cuda-nvcc of CUDA 13 and 12 puts it, below the package `nvidia`


def cubin_from_source(compute_capability: str) -> bytes:
    """The cubin for GPUs of `compute_capability`, such as "8.6". UnavailableError where nothing here compiles it."""
    architecture = "sm_" + compute_capability.replace(".", "")
    return compiled(f"{architecture}.cubin", lambda path: _compile(architecture, path)).read_bytes()


def find_nvcc() -> Path | None:
    """The nvcc on the PATH, of the CUDA toolkit, or of the pip package; None where there is none."""
    on_path = shutil.which("nvcc")
    candidates = [Path(on_path)] if on_path else []
    nvidia = importlib.util.find_spec("nvidia")
    roots = nvidia.submodule_search_locations if nvidia and nvidia.submodule_search_locations else ()
    candidates += [TOOLKIT, *(Path(root) / name / "bin" / "nvcc" for root in roots for name in PIP)]
    return next((path for path in candidates if path.exists()), None)


def _compile(architecture: str, cubin: Path) -> None:
    problems = []
    for compile_to in (_compile_with_nvcc, _compile_with_nvrtc):
        try:
            return compile_to(architecture, cubin)
        except UnavailableError as problem:
            problems.append(problem.message)
    raise UnavailableError(
        f"the GPU's kernels cannot be compiled for {architecture}: {'; '.join(problems)}",
        hint="pip install cuda-bindings nvidia-cuda-nvrtc, or put nvcc of a CUDA that knows this GPU on the PATH",
    )


def _compile_with_nvcc(architecture: str, cubin: Path) -> None:
    nvcc = find_nvcc()
    if nvcc is None:
        raise UnavailableError("there is no nvcc", hint="install the CUDA toolkit")
    command = [str(nvcc), "-cubin", f"-arch={architecture}", *FLAGS, "-o", str(cubin), str(SOURCE)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise UnavailableError(f"nvcc: {_first_line(made.stderr)}", hint="install a newer CUDA toolkit, and g++")


def _compile_with_nvrtc(architecture: str, cubin: Path) -> None:
    try:
        nvrtc: Any = importlib.import_module("cuda.bindings.nvrtc")
        _, program = nvrtc.nvrtcCreateProgram(SOURCE.read_bytes(), SOURCE.name.encode(), 0, [], [])
    except (ImportError, RuntimeError) as problem:  # the binding, or the library behind it
        raise UnavailableError("there is no NVRTC", hint="pip install cuda-bindings nvidia-cuda-nvrtc") from problem
    options = [option.encode() for option in (f"-arch={architecture}", *FLAGS)]
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(code):
        log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
        nvrtc.nvrtcGetProgramLog(program, log)
        raise UnavailableError(f"NVRTC: {_first_line(log.decode())}", hint="pip install -U nvidia-cuda-nvrtc")
    image = b" " * nvrtc.nvrtcGetCUBINSize(program)[1]
    nvrtc.nvrtcGetCUBIN(program, image)  # writes into the bytes, as NVIDIA's examples do
    nvrtc.nvrtcDestroyProgram(program)
    cubin.write_bytes(image)


def _first_line(text: str) -> str:
    lines = [line for line in text.strip("\0 \n").splitlines() if line.strip()]
    return lines[0] if lines else "no message"
