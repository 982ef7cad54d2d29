"""What is done to every unit of a batch: the engine, its options and the outputs."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from edgeseg.artifact import Artifact, sidecar_path
from edgeseg.engines import default_engine
from edgeseg.engines.triton.address import is_address
from edgeseg.errors import FormatError, MismatchError
from edgeseg.files import existing_file, exists, sha256_from_file
from edgeseg.opening import check_file_matches, open_model
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import Precision, tiles_from_options
from edgeseg.video.sink import sink_address_from_uri
from edgeseg.weights import is_model

SINK_KINDS = ("file", "images", "masks", "jsonl", "null")
ELSEWHERE = ("out", "device", "threads")  # where and by what a unit is done: this changes no output


@dataclass(frozen=True)
class BatchJob:
    """The part of a batch that all units share; every process of the batch gets it.

    engine: the path of an engine file or ONNX, sha256 its digest, runtime the name of the engine that opens it.
    out: the folder of the outputs, which every process can write. write: sinks, by places within the folder of a unit.
    The rest is as for `edgeseg stream`.
    """

    engine: str
    sha256: str
    runtime: str
    out: str
    write: tuple[str, ...]
    frames: int | None = None
    opacity: float = 0.5
    legend: bool = False
    skip_errors: bool = False
    sample: str | None = None
    tiles: str | None = None
    overlap: int | None = None
    crf: str | None = None
    device: str = "auto"
    threads: int | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BatchJob:
        """The job of `to_dict`."""
        return cls(**{**data, "write": tuple(data["write"])})

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the engine and of the options that change an output."""
        without = (*ELSEWHERE, "engine")
        # Options that are not used are left out, so that an option of a later version does no unit again.
        fields = {key: value for key, value in asdict(self).items() if key not in without and value is not None}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def open(self) -> Segmenter:
        """The engine, opened."""
        return open_segmenter(
            self.engine,
            engine=self.runtime,
            device=self.device,
            threads=self.threads,
            tiles=tiles_from_options(self.tiles, self.overlap),
            crf=self.crf,
        )


def checked_sinks(uris: tuple[str, ...]) -> tuple[str, ...]:
    """The sinks of a unit. FormatError where one writes outside the unit's folder, MismatchError for two at a place."""
    places = set()
    for uri in uris:
        address = sink_address_from_uri(uri)
        place = PurePath(address.place)
        if address.kind not in SINK_KINDS or place.is_absolute() or ".." in place.parts:
            raise FormatError(
                f"--write {uri} is not a file or folder within the folder of a unit",
                hint="write overlay.mp4, masks/, images:overlays/ or results.jsonl",
                code="ES-FORMAT-OPTION",
            )
        if place in places:
            message = f"two outputs would write to the same place: {uri}"
            raise MismatchError(message, hint="give each --write a place of its own", code="ES-FILE-SAME")
        places.add(place)
    return uris


def engine_for_batch(
    model: str,
    *,
    engine: str | None = None,
    precision: Precision | None = None,
    size: tuple[int, int] | None = None,
    folder: Path = Path("engines"),
    device: str = "auto",
    progress: Progress = silent,
) -> Artifact:
    """The engine file of MODEL; weights are converted first, once, into `folder`.

    A file is only verified, not opened: the machine that hands out the units may lack the device of those that do them.
    MismatchError for a model on a server, whose login would be in the files of the batch.
    """
    if is_address(model) or is_address(engine):
        hint = "name the model or its file: every process opens it itself"
        message = "a batch or a Ray cluster takes no model on a server"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    if not is_model(model) or exists(sidecar_path(Path(model))):
        path = existing_file(model)
        check_file_matches(path, engine, precision, size, device)
        return Artifact.open(path)
    with open_model(
        model, engine=engine, precision=precision, size=size, out=folder, device=device, progress=progress
    ) as segmenter:
        return segmenter.artifact


def job_from_artifact(
    artifact: Artifact, out: Path, write: tuple[str, ...], *, engine: str | None = None, **options: Any
) -> BatchJob:
    """The job that runs `artifact` on every unit. engine: opens an ONNX. options: fields of `BatchJob`."""
    path = artifact.path.resolve()
    runtime = runtime_of(artifact, engine, options.get("device", "auto"))
    return BatchJob(str(path), sha256_from_file(path), runtime, str(out.resolve()), checked_sinks(write), **options)


def runtime_of(artifact: Artifact, engine: str | None, device: str) -> str:
    """The name of the engine that opens `artifact`: for an ONNX `engine`, or the one that has the device here."""
    return artifact.engine or engine or default_engine(for_onnx=True, device=device)
