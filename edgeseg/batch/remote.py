"""Sources by URL (s3, gs, http, ...), listed and fetched by fsspec."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edgeseg.errors import EdgeSegError, FileProblem, UnavailableError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.uri import redacted

STAMPS = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated")  # of fsspec's file systems
INSTALL = 'pip install "edgeseg[remote]"'


def files_at(url: str, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(URL, stamp) of a file, of the files that a glob matches, or of those below a folder, written with / at its end.

    endings: of the files that are wanted of a glob or folder. A single file on a web server is not asked for its stamp.
    """
    filesystem, path = opened(url)
    with named_failures(url):
        if "*" in path:
            infos = filesystem.glob(path, detail=True)
        elif url.endswith("/"):
            infos = filesystem.find(path, detail=True)
        else:
            info = {} if url.startswith(("http://", "https://")) else filesystem.info(path)
            yield url, stamp_of(info)
            return
    for name in sorted(infos):
        if name.lower().endswith(endings):
            yield filesystem.unstrip_protocol(name), stamp_of(infos[name])


def fetch(url: str, folder: Path) -> Path:
    """Copy the file at `url`, or the images that its glob matches, into `folder`; the path of the file or `folder`."""
    filesystem, path = opened(url)
    with named_failures(url):
        if "*" not in path:
            target = folder / PurePosixPath(path.partition("?")[0]).name
            filesystem.get_file(path, str(target))
            return target
        images = [name for name in filesystem.glob(path) if name.lower().endswith(IMAGE_ENDINGS)]
        for name in images:
            filesystem.get_file(name, str(folder / PurePosixPath(name).name))
    return folder


def opened(url: str) -> tuple[Any, str]:
    """The file system of `url`, and the path in it. UnavailableError where fsspec or its plugin is not installed."""
    try:
        import fsspec
    except ImportError as problem:
        message = f"{redacted(url)} needs the package fsspec"
        raise UnavailableError(message, hint=INSTALL, code="ES-MISSING-REMOTE") from problem
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as problem:  # ValueError: an unknown protocol
        hint = f"{INSTALL}, and the package of this protocol, such as s3fs, gcsfs or aiohttp"
        raise UnavailableError(
            f"{redacted(url)} cannot be opened: {problem}", hint=hint, code="ES-MISSING-REMOTE"
        ) from problem
    return filesystem, path


def stamp_of(info: dict[str, Any]) -> str:
    """The size, and the time or ETag, that a file system states of a file."""
    return " ".join(f"{key}={info[key]}" for key in STAMPS if info.get(key) is not None)


@contextlib.contextmanager
def named_failures(url: str) -> Iterator[None]:
    """FileProblem, ES-FILE-MISSING or ES-FILE-FETCH, for whatever a file system raises: each has errors of its own."""
    try:
        yield
    except EdgeSegError:
        raise
    except Exception as problem:
        missing = isinstance(problem, FileNotFoundError)
        reason = "there is no such file" if missing else f"{type(problem).__name__}: {redacted(str(problem))}"
        raise FileProblem(
            f"cannot read {redacted(url)}: {reason}",
            hint="check the URL and the credentials of this machine",
            code="ES-FILE-MISSING" if missing else "ES-FILE-FETCH",
        ) from problem
