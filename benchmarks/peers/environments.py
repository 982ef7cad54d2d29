"""The peers' environments: a venv each under `.cache/peers`, or where $EDGESEG_PEERS says, made once.

None of what they hold is a dependency of edgeseg. A peer that needs torch is lent that of the running interpreter,
behind its own packages: a bare `pip install torch` brings gigabytes of CUDA.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import FileProblem, UnavailableError
from edgeseg.measure.device import package_version

FOLDER = "EDGESEG_PEERS"
MADE = "made.txt"  # what an environment was made of; written last
LENT = "lent.pth"


@dataclass(frozen=True)
class Environment:
    """What a peer needs.

    alone: installed without their dependencies, most of which need not be there. requirements: with them.
    same: packages that the peer must have in the running interpreter's version, with their dependencies.
    lent: the packages of the running interpreter can be imported, and torch must be one of them.
    """

    alone: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    lent: bool = False

    def pinned(self) -> tuple[str, ...]:
        """The requirements, with the versions of the running interpreter."""
        return (*self.requirements, *(f"{name}=={package_version(name)}" for name in self.same))


ENVIRONMENTS = {
    "nncf": Environment(requirements=("nncf==3.4.0",), same=("openvino", "onnx")),
    "modelopt": Environment(
        alone=("nvidia-modelopt==0.47.0",),
        requirements=(
            *("onnx~=1.21.0", "onnxruntime~=1.24.2", "onnx-graphsurgeon>=0.6.1", "onnxconverter-common~=1.16.0"),
            *("onnxslim>=0.1.76", "onnxscript", "polygraphy>=0.53.4", "lief", "ml_dtypes", "cppimport", "omegaconf"),
            *("pulp<4.0", "nvidia-ml-py", "pydantic>=2", "regex", "rich", "safetensors", "scipy", "tqdm", "ninja"),
        ),
        lent=True,
    ),
    "ultralytics": Environment(
        alone=("ultralytics==8.4.190",),
        requirements=(
            "torchvision",
            "ultralytics-thop",
            "polars",
            "psutil",
            "pyyaml",
            "pillow",
            "matplotlib",
            "requests",
        ),
        lent=True,
    ),
    "dfine": Environment(
        alone=("dfine-seg==0.6.2",),
        requirements=("torchvision", "loguru", "scipy", "pyyaml", "huggingface-hub"),
        lent=True,
    ),
}


def peers_folder() -> Path:
    """Where the environments are."""
    return Path(os.environ.get(FOLDER) or Path(__file__).parents[2] / ".cache" / "peers")


def run_quietly(command: Sequence[str | Path]) -> None:
    """Run it. FileProblem, with the end of what it said, where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        end = " ".join(done.stdout.split())[-600:]
        raise FileProblem(f"exit code {done.returncode}: {end}", hint=f"try it: {' '.join(words)}")


def python_of(
    name: str,
    folder: Path | None = None,
    *,
    run: Callable[[Sequence[str | Path]], None] = run_quietly,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """The interpreter of the environment `name`, which is made unless it is there and made of the same.

    folder: of all environments; by default `peers_folder()`. FileProblem where a package cannot be had,
    UnavailableError where torch must be lent and is not there. What was half made is removed.
    """
    wanted, home = ENVIRONMENTS[name], (folder or peers_folder()) / name
    torch = package_version("torch").partition("+")[0]
    if wanted.lent and not torch:
        raise UnavailableError(f"{name} needs torch, which is not installed", hint="pip install torch")
    made_of = "\n".join((*wanted.alone, *wanted.pinned(), *((f"torch=={torch}",) if wanted.lent else ()))) + "\n"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (home / MADE).is_file() and (home / MADE).read_text(encoding="utf-8") == made_of:
        return python
    say(f"making the environment of {name} in {home}")
    shutil.rmtree(home, ignore_errors=True)
    try:
        venv.create(home, with_pip=True)
        if wanted.lent:
            lend(home)
        constraints = home / "constraints.txt"
        constraints.write_text(f"torch=={torch}\n" if wanted.lent else "", encoding="utf-8")
        pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
        if wanted.alone:
            run((*pip, "--no-deps", *wanted.alone))
        run((*pip, "-c", constraints, *wanted.pinned()))
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    (home / MADE).write_text(made_of, encoding="utf-8")
    return python


def lend(home: Path) -> None:
    """Let the environment at `home` import the packages of this interpreter, behind its own."""
    (packages,) = home.glob("[Ll]ib/**/site-packages")
    folders = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / LENT).write_text("".join(f"{path}\n" for path in folders), encoding="utf-8")
