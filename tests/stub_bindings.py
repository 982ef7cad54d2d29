"""TensorRT's Python bindings without TensorRT: imported over empty libraries that answer NULL to every call.

The bindings wheels hold one extension module, linked against libraries that are not on PyPI and of which it needs about
ten symbols to be imported. Classes, enums, methods and docstrings are then those of the real release; nothing computes.
One release a process: the first one that is loaded stays.
"""

from __future__ import annotations

import ctypes
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

PACKAGE = "tensorrt_bindings"
PRESENT = (None, "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6")


def load_bindings(folder: Path) -> ModuleType:
    """The bindings that were installed into `folder` with pip install --no-deps --target."""
    sys.path.insert(0, str(folder))
    extension = next((folder / PACKAGE).glob("tensorrt*.so"))
    with tempfile.TemporaryDirectory() as scratch:
        for library in empty_libraries(extension, Path(scratch)):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        return importlib.import_module(PACKAGE)


def empty_libraries(extension: Path, folder: Path) -> list[Path]:
    """One shared library for each of NVIDIA's that `extension` asks for; the first defines what it would call."""
    names = re.findall(r"\(NEEDED\).*\[(libnv[^\]]+)\]", output("readelf", "-dW", str(extension)))
    made = []
    for name in names:
        symbols = [] if made else missing_symbols(extension)
        source = folder / f"{name}.c"
        source.write_text("\n".join(f"void *{symbol}(void) {{ return 0; }}" for symbol in symbols))
        made.append(folder / name)
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", str(made[-1]), str(source)], check=True
        )
    return made


def missing_symbols(extension: Path) -> list[str]:
    """What `extension` needs and no library of this process has."""
    here = [ctypes.CDLL(name) for name in PRESENT]
    names = re.findall(r"^\s+U (\w+)", output("nm", "-D", "--undefined-only", str(extension)), re.MULTILINE)
    return [name for name in names if not any(hasattr(library, name) for library in here)]


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
