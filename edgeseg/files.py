"""Files that are there or not there: never half-written, and never a traceback for a wrong path."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeseg.errors import FileProblem, FormatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder is there. False too for a name that no file can have, and in a folder that is closed."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is there, as `exists` says it."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def existing_file(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. FileProblem unless a readable file is there."""
    path = Path(path)
    if not exists(path):
        raise FileProblem(f"no such file: {path}", hint="check the path; relative paths start at the current folder")
    if is_folder(path):
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    if not os.access(path, os.R_OK):
        raise FileProblem(f"this file cannot be read: {path}", hint=f"chmod +r {path}")
    return path


def bytes_from_file(path: str | os.PathLike[str]) -> bytes:
    """What the file holds. FileProblem where it is not there or a read fails."""
    path = existing_file(path)
    try:
        return path.read_bytes()
    except OSError as problem:
        reason = problem.strerror or "read error"
        raise FileProblem(f"cannot read {path}: {reason}", hint="check the disk and the permissions") from problem


def toml_from_file(path: str | os.PathLike[str], hint: str) -> dict[str, Any]:
    """The keys of the TOML at `path`. FormatError, with `hint`, for text that is none."""
    path = existing_file(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:  # neither UTF-8, nor TOML, nor a number, or nested without end
        raise FormatError(f"{path} is not TOML: {problem}", hint=hint) from problem


def existing_folder(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. FileProblem unless a folder is there."""
    path = Path(path)
    if not is_folder(path):
        what = "no such folder" if not exists(path) else "this is a file, not a folder"
        raise FileProblem(f"{what}: {path}", hint="check the path; relative paths start at the current folder")
    return path


def files_in_folder(path: str | os.PathLike[str]) -> list[Path]:
    """Every file and folder in `path`, in no order. FileProblem unless a readable folder is there."""
    path = existing_folder(path)
    try:
        return list(path.iterdir())
    except OSError as problem:
        reason = problem.strerror or "refused"
        raise FileProblem(f"this folder cannot be read: {path}: {reason}", hint=f"chmod +rx {path}") from problem


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """`path` as a folder that exists, made if need be, and that takes files."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".edgeseg-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        reason = problem.strerror or "refused"
        raise FileProblem(f"cannot write to {path}: {reason}", hint="name another folder with -o") from problem
    return path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, beside `path` and with its ending; it becomes `path` only when the block ends well."""
    path = Path(path)
    if path.is_dir():
        raise FileProblem(f"cannot write {path}: it is a folder", hint="name a file in it with -o")
    writable_folder(path.parent)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise FileProblem(f"cannot write {path}: {reason}", hint="name another place with -o") from problem
    finally:
        partial.unlink(missing_ok=True)


def user_cache() -> Path:
    """Where this user's caches lie: $XDG_CACHE_HOME/edgeseg, or ~/.cache/edgeseg."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseg"


def sha256_from_file(path: str | os.PathLike[str]) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
