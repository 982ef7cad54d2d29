"""The kernels compiled for one GPU architecture: by nvcc if it is installed, else by NVRTC, which pip can install."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeseg.errors import UnavailableError
from edgeseg.files import user_cache, whole_file

SOURCE = Path(__file__).with_name("pixels.cu")
KERNELS = ("resize_rgb", "resize_yuv", "labels_float", "labels_half", "labels_nearest", "overlay")
FLAGS = ("-std=c++17", "-fmad=false")
TOOLKIT = Path("/usr/local/cuda/bin/nvcc")  # where CUDA's installer and JetPack put it, often not on the PATH
PIP = ("cu13", "cuda_nvcc")  # folders of nvidia-cuda-nvcc for CUDA 13 and 12, below the package `nvidia`
CODE = "ES-MISSING-COMPILER"


def cubin_from_source(compute_capability: str) -> bytes:
    """The cubin for GPUs of `compute_capability`, such as "8.6". UnavailableError if no compiler here can make it."""
    architecture = "sm_" + compute_capability.replace(".", "")
    return cached_binary(f"{architecture}.cubin", lambda path: _compile(architecture, path)).read_bytes()


def cached_binary(suffix: str, compile_to: Callable[[Path], None]) -> Path:
    """The binary `suffix` of this source in the user's cache; `compile_to` makes it if it is not there."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    path = user_cache() / "kernels" / f"pixels-{digest}-{suffix}"
    if not path.exists():
        with whole_file(path) as partial:
            compile_to(partial)
    return path


def find_nvcc() -> Path | None:
    """The nvcc on the PATH, in the CUDA toolkit or in the pip package; None without one."""
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
        f"cannot compile the GPU kernels for {architecture}: {'; '.join(problems)}",
        hint="pip install cuda-bindings nvidia-cuda-nvrtc, or put nvcc of a CUDA that knows this GPU on the PATH",
        code=CODE,
    )


def _compile_with_nvcc(architecture: str, cubin: Path) -> None:
    nvcc = find_nvcc()
    if nvcc is None:
        raise UnavailableError("nvcc is not installed", hint="install the CUDA toolkit", code=CODE)
    command = [str(nvcc), "-cubin", f"-arch={architecture}", *FLAGS, "-o", str(cubin), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"nvcc: {_first_line(done.stderr)}"
        raise UnavailableError(message, hint="install a newer CUDA toolkit, and g++", code=CODE)


def _compile_with_nvrtc(architecture: str, cubin: Path) -> None:
    hint = "pip install -U cuda-bindings nvidia-cuda-nvrtc"
    try:
        nvrtc: Any = importlib.import_module("cuda.bindings.nvrtc")
        _, program = nvrtc.nvrtcCreateProgram(SOURCE.read_bytes(), SOURCE.name.encode(), 0, [], [])
    except (ImportError, RuntimeError) as problem:  # the binding, or the library that it loads
        raise UnavailableError("NVRTC is not installed", hint=hint, code=CODE) from problem
    options = [option.encode() for option in (f"-arch={architecture}", *FLAGS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(status):
        log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
        nvrtc.nvrtcGetProgramLog(program, log)
        raise UnavailableError(f"NVRTC: {_first_line(log.decode())}", hint=hint, code=CODE)
    image = b" " * nvrtc.nvrtcGetCUBINSize(program)[1]
    nvrtc.nvrtcGetCUBIN(program, image)  # writes into the bytes, as NVIDIA's examples do
    nvrtc.nvrtcDestroyProgram(program)
    cubin.write_bytes(image)


def _first_line(text: str) -> str:
    lines = [line for line in text.strip("\0 \n").splitlines() if line.strip()]
    return lines[0] if lines else "no message"
