"""From what a user names to the units of a batch: videos, folders of images and lists of both, here or by URL."""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.batch import remote
from edgeseg.batch.units import MAGIC, Unit, is_outputs_name
from edgeseg.errors import DataError, FileProblem, FormatError
from edgeseg.files import CHECK_PATH, existing_file, exists, is_folder
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video import SOURCES
from edgeseg.video.source import address_from_uri

VIDEO_ENDINGS = (
    ".3gp", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts",
    ".webm", ".wmv", ".y4m",
)  # fmt: skip
RECORDED = ("file", "images", "test")


@dataclass(frozen=True)
class SourceFile:
    """A file that a source names, by path or URL.

    stamp: its size and time, or an ETag; it changes with the content. name: its path below the source, its URL, or
    the source itself.
    """

    place: str
    stamp: str
    name: str


def units_from_sources(sources: Sequence[str], job_digest: str, out: Path) -> list[Unit]:
    """The units of files, folders, globs, `@list.txt` and URLs, each once, sorted by source.

    A folder stands for every video in it and its subfolders, and for each of these folders that holds images. `out` is
    left out. A file that is not there is a unit, whose row will say so. DataError where there is no unit.
    """
    units: dict[str, Unit] = {}
    for position, source in enumerate(named_sources(sources)):
        for unit in units_of(source, job_digest, out.resolve()):
            name = unit.name if unit.name == source else f"{position} {unit.name}"
            units[unit.source] = replace(unit, name=name)
    if not units:
        hint = f"name videos ({', '.join(VIDEO_ENDINGS)}), or folders of images"
        raise DataError(f"there is no video and no image in {' '.join(sources)}", hint=hint, code="ES-DATA-EMPTY")
    return [units[source] for source in sorted(units)]


def named_sources(sources: Iterable[str]) -> Iterator[str]:
    """`sources`, with the lines of each `@list.txt` in its place, but for empty ones and those that begin with #."""
    for source in sources:
        if not source.startswith("@"):
            yield source
            continue
        path = existing_file(source[1:])
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except ValueError as problem:
            raise FormatError(f"{path} is not a text in UTF-8", hint="write one source a line") from problem
        yield from (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def units_of(source: str, job_digest: str, out: Path) -> Iterator[Unit]:
    """The units of one source."""
    kind = source.partition("://")[0] if "://" in source else ""
    if kind and kind not in RECORDED and (kind not in SOURCES or kind in ("http", "https")):
        named = remote.files_at(source, (*VIDEO_ENDINGS, *IMAGE_ENDINGS))
        listed = (SourceFile(url, stamp, url) for url, stamp in named)
        yield from grouped(listed, source.rpartition("/")[2], job_digest, is_remote=True)
    elif is_folder(source):
        yield from grouped(files_below(Path(source), Path(source), out), "", job_digest)
    elif has_magic(source) and not exists(source) and not kind:
        yield from units_of_glob(source, job_digest, out)
    else:
        yield single_unit(source, job_digest)


def units_of_glob(pattern: str, job_digest: str, out: Path) -> Iterator[Unit]:
    """The units of the files and folders that a glob matches. FileProblem where it matches none."""
    paths = sorted(Path(path) for path in glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute or not
    if not paths:
        raise FileProblem(f"no file matches {pattern}", hint=CHECK_PATH, code="ES-FILE-MISSING")
    base = Path(*itertools.takewhile(lambda part: not has_magic(part), Path(pattern).parts))
    folders = {path for path in paths if path.is_dir()}
    files: list[SourceFile] = []
    for path in paths:
        if not folders.isdisjoint(path.parents) or is_output(path, base, out):
            continue
        if path in folders:
            yield from grouped(files_below(path, base, out), "", job_digest)
        else:
            files.append(file_at(path, str(path.relative_to(base))))
    yield from grouped(files, Path(pattern).name, job_digest)


def has_magic(text: str) -> bool:
    """Whether a text can be a glob."""
    return any(mark in text for mark in MAGIC)


def single_unit(source: str, job_digest: str) -> Unit:
    """The unit of a file, or of the URI of a recording. FormatError for a camera or network stream."""
    address = address_from_uri(source)
    if address.kind not in RECORDED or "live" in address.options:
        raise FormatError(
            f"{address.name} is no recording: it has no end",
            hint=f"edgeseg stream {address.name} MODEL",
            code="ES-FORMAT-LIVE",
        )
    if address.kind == "test" or address.options:
        return Unit(source, digest_of(job_digest, [SourceFile(source, "", source)]), source)
    file = file_at(Path(address.place), source)
    return Unit(file.place, digest_of(job_digest, [file]), source)


def files_below(folder: Path, base: Path, out: Path) -> Iterator[SourceFile]:
    """The videos and images of `folder` and its subfolders; not those in `out`, and not hidden ones.

    base: the source, below which `folder` lies, or itself.
    """
    for root, folders, names in os.walk(folder):
        shown = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in shown if not is_output(Path(root) / name, base, out)]
        for name in sorted(names):
            if name.lower().endswith((*VIDEO_ENDINGS, *IMAGE_ENDINGS)) and not name.startswith("."):
                path = Path(root) / name
                yield file_at(path, str(path.relative_to(base)))


def is_output(path: Path, base: Path, out: Path) -> bool:
    """Whether a path below the source `base` is of this batch: it is in `out`.

    Where the source itself is in `out`, it is in the folder of a unit there.
    """
    place = path.resolve()
    if not place.is_relative_to(out):
        return False
    if not base.resolve().is_relative_to(out):
        return True
    parts = place.relative_to(out).parts
    return bool(parts) and is_outputs_name(parts[0])


def file_at(path: Path, name: str) -> SourceFile:
    """The file at `path`, whether it is there or not."""
    place = os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow links, and give another name
    try:
        status = path.stat()
    except OSError:
        return SourceFile(place, "missing", name)
    return SourceFile(place, f"{status.st_size} {status.st_mtime_ns}", name)


def grouped(files: Iterable[SourceFile], pattern: str, job_digest: str, *, is_remote: bool = False) -> Iterator[Unit]:
    """A unit for each video, and one for the images of each folder.

    pattern: the last part of the glob or URL that named the files; "" for a folder.
    """
    folders: dict[str, list[SourceFile]] = {}
    for file in files:
        if file.place.lower().endswith(IMAGE_ENDINGS):
            place = remote_images(file.place, pattern) if is_remote else local_images(file.place, pattern)
            folders.setdefault(place, []).append(file)
        else:
            yield Unit(file.place, digest_of(job_digest, [file]), file.name, is_remote)
    for place, images in folders.items():
        name = place if is_remote else os.path.dirname(images[0].name)  # noqa: PTH120 - "" and not "." for none
        yield Unit(place, digest_of(job_digest, images), name, is_remote)


def local_images(path: str, pattern: str) -> str:
    """The source of an image with the others of its folder: the folder, or a glob in it."""
    folder, name = os.path.split(path)
    pattern = pattern.replace("**", "*")
    ending = Path(name).suffix if pattern.endswith("*") else ""  # the folder may hold other files
    return str(Path(glob.escape(folder), pattern + ending)) if pattern else folder


def remote_images(url: str, pattern: str) -> str:
    """The same by URL: a glob, or the URL of a single image."""
    pattern = pattern.replace("**", "*") or "*"
    return f"{url.rpartition('/')[0]}/{pattern}" if "*" in pattern else url


def digest_of(job_digest: str, files: Sequence[SourceFile]) -> str:
    """The SHA-256 of the files' places and stamps, and of the job, in hexadecimal."""
    entries = sorted((file.place, file.stamp) for file in files)
    return hashlib.sha256(json.dumps([job_digest, entries]).encode()).hexdigest()
