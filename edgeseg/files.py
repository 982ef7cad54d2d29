"""Read and write files: no half-written file, and a FileProblem instead of a traceback for a wrong path."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeseg.errors import FileProblem, FormatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECK_PATH = "check the path; relative paths start at the current folder"


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder exists. False for an impossible name, and in a folder that cannot be read."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a name that is too long


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder exists; as `exists`, it does not raise."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def existing_file(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. FileProblem unless it is a readable file."""
    path = Path(path)
    if not exists(path):
        raise FileProblem(f"no such file: {path}", hint=CHECK_PATH, code="ES-FILE-MISSING")
    if is_folder(path):
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it", code="ES-FILE-KIND")
    if not os.access(path, os.R_OK):
        raise FileProblem(f"this file cannot be read: {path}", hint=f"chmod +r {path}", code="ES-FILE-READ")
    return path


def bytes_from_file(path: str | os.PathLike[str]) -> bytes:
    """The file's content. FileProblem where there is no file or a read fails."""
    path = existing_file(path)
    try:
        return path.read_bytes()
    except OSError as problem:
        reason = problem.strerror or "read error"
        hint = "check the disk and the permissions"
        raise FileProblem(f"cannot read {path}: {reason}", hint=hint, code="ES-FILE-READ") from problem


def toml_from_file(path: str | os.PathLike[str], hint: str) -> dict[str, Any]:
    """The keys of the TOML at `path`. FormatError, with `hint`, where it is not TOML."""
    path = existing_file(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:  # neither UTF-8, nor TOML, nor a number, or nested without end
        raise FormatError(f"{path} is not TOML: {problem}", hint=hint, code="ES-FORMAT-TOML") from problem


def existing_folder(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path. FileProblem unless it is a folder."""
    path = Path(path)
    if not exists(path):
        raise FileProblem(f"no such folder: {path}", hint=CHECK_PATH, code="ES-FILE-MISSING")
    if not is_folder(path):
        raise FileProblem(f"this is a file, not a folder: {path}", hint=CHECK_PATH, code="ES-FILE-KIND")
    return path


def files_in_folder(path: str | os.PathLike[str]) -> list[Path]:
    """Every file and folder in `path`, unordered. FileProblem unless it is a readable folder."""
    path = existing_folder(path)
    try:
        return list(path.iterdir())
    except OSError as problem:
        reason = problem.strerror or "refused"
        message = f"this folder cannot be read: {path}: {reason}"
        raise FileProblem(message, hint=f"chmod +rx {path}", code="ES-FILE-READ") from problem


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path; the folder is made where it is missing. FileProblem unless files can be written in it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".edgeseg-{secrets.token_hex(4)}"  # containers that share a folder have equal process ids
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as problem:
        reason = problem.strerror or "refused"
        hint = "name another folder with -o"
        raise FileProblem(f"cannot write to {path}: {reason}", hint=hint, code="ES-FILE-WRITE") from problem
    return path


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its ending; it becomes `path` only when the block ends without error."""
    path = Path(path)
    if path.is_dir():
        raise FileProblem(f"cannot write {path}: it is a folder", hint="name a file in it with -o", code="ES-FILE-KIND")
    writable_folder(path.parent)
    partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        hint = "name another file with -o"
        raise FileProblem(f"cannot write {path}: {reason}", hint=hint, code="ES-FILE-WRITE") from problem
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file in UTF-8, as `whole_file` does: wholly or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sync_to_disk(path: Path) -> None:
    """Wait until a file is on the disk, so that it survives a power cut; a file system without this is no error."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        os.fsync(file.fileno())


def user_cache() -> Path:
    """The folder of this user's caches: $XDG_CACHE_HOME/edgeseg, or ~/.cache/edgeseg."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgeseg"


def sha256_from_file(path: str | os.PathLike[str]) -> str:
    """The file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
