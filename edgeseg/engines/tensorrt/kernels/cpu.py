"""The kernels compiled for the CPU: for tests, not for speed."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
from pathlib import Path

from edgeseg.engines.tensorrt.kernels.source import SOURCE, compiled
from edgeseg.errors import UnavailableError

FLAGS = ("-std=c++17", "-O2", "-shared", "-fPIC", "-ffp-contract=off", "-Wall", "-Werror")


def library_from_source() -> ctypes.CDLL:
    """The kernels as functions over a whole grid. UnavailableError where there is no C++ compiler."""
    return ctypes.CDLL(str(library_path()))


def library_path() -> Path:
    """The file of `library_from_source`; its path is the image that the emulated layer loads."""
    return compiled(f"{platform.machine()}.so", _compile)


def _compile(library: Path) -> None:
    command = [_compiler(), *FLAGS, "-x", "c++", str(SOURCE), "-o", str(library)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        first = (made.stderr.strip() or f"exit status {made.returncode}").splitlines()[0]
        raise UnavailableError(f"{command[0]} cannot compile {SOURCE.name}: {first}", hint="set CXX to g++ or clang++")


def _compiler() -> str:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    raise UnavailableError("there is no C++ compiler", hint="apt install g++, or set CXX")
