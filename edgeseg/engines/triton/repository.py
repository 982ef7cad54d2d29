"""Write a model as a folder that a Triton server loads.

    repository/
    ├── NAME/          config.pbtxt, labels.txt, client.py and the model, 1/model.onnx or 1/model.plan
    ├── NAME-decode/   DALI, which makes frames of JPEG files, if it is asked for
    └── NAME-jpeg/     the ensemble of both

The graph takes uint8 frames and gives a uint8 mask: a request is 3 bytes a pixel, and an answer one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.engines.triton.address import ModelAddress
from edgeseg.engines.triton.client import artifact_from_config
from edgeseg.engines.triton.config import (
    BACKENDS,
    JPEG,
    LABELS_FILE,
    ServedModel,
    config_from_text,
    config_of_decoder,
    config_of_ensemble,
    config_of_model,
    protobuf,
    text_from_config,
)
from edgeseg.engines.triton.dali import pipeline_text
from edgeseg.engines.triton.model_file import backend_name, write_model_file
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.errors import EdgeSegError, FileProblem, FormatError
from edgeseg.files import writable_folder
from edgeseg.spec import Precision

CONFIG, VERSION, SCRIPT, CLIENT = "config.pbtxt", "1", "build_plan.sh", "client.py"
NAME = re.compile(r"[\w.-]+", re.ASCII)  # a folder, and a part of an address
OTHER_PLACE = "use another folder (-o) or another name (--name)"
PLAN_SCRIPT = """#!/bin/sh
# A plan belongs to one kind of GPU and one TensorRT: run this on the GPU of the server, in the container
# nvcr.io/nvidia/tensorrt:YY.MM-py3 with the YY.MM of the server's container.
set -eu
cd "$(dirname "$0")/{version}"
{command}
"""


@dataclass(frozen=True)
class Repository:
    """What was written. models: their names on the server, that of the model first. backend: one of BACKENDS.

    plan_script: makes the plan, on the GPU of the server; None where nothing is missing.
    """

    folder: Path
    models: tuple[str, ...]
    artifact: Artifact
    backend: str
    batch: int
    plan_script: Path | None = None


def write_repository(model: LoadedModel | Artifact, out: Path, options: ServeOptions) -> Repository:
    """Write `model`, an ONNX or a TensorRT plan, to the repository `out`.

    A model of the same weights is replaced, with its decoder and ensemble. MismatchError where the back end does not
    run the model; FileProblem where `out` has another model of this name, or of that of its decoder or ensemble;
    UnavailableError without tritonclient. No file is left where a step fails.
    """
    protobuf()
    artifact = model.artifact if isinstance(model, LoadedModel) else model
    name, key = served_name(artifact, options.name), backend_name(artifact, options.backend)
    check_replaceable(out / name, artifact)
    earlier = earlier_companions(out, name, replace=options.dali)
    with installed(out, earlier) as folder:
        version = folder / name / VERSION
        version.mkdir(parents=True)
        file = write_model_file(model, version, BACKENDS[key], options.batch)
        served = ServedModel(name, file.artifact, BACKENDS[key], file.frame, file.mask, file.batch, options.instances)
        write_text(folder / name / CONFIG, text_from_config(config_of_model(served)))
        write_text(folder / name / LABELS_FILE, "".join(f"{label}\n" for label in artifact.spec.labels.names))
        shutil.copyfile(Path(__file__).with_name("sample_client.py"), folder / name / CLIENT)
        if file.plan_command:
            write_text(folder / name / SCRIPT, PLAN_SCRIPT.format(version=VERSION, command=file.plan_command))
        ensemble = write_ensemble(folder, served) if options.dali else ()
    script = out / name / SCRIPT if file.plan_command else None
    written = dataclasses.replace(file.artifact, path=out / name / VERSION / file.path.name)
    return Repository(out, (name, *ensemble), written, key, file.batch, script)


def served_name(artifact: Artifact, name: str) -> str:
    """`name`, or for "" that of the file, with the precision unless it is fp32. FormatError for an impossible name."""
    if not name:
        stem = artifact.path.name.partition(".")[0].removesuffix("-mask")
        name = stem if artifact.precision is Precision.FP32 else f"{stem}-{artifact.precision}"
    if not NAME.fullmatch(name):
        hint = "use letters, digits, _, - and .: --name NAME"
        raise FormatError(f"{name!r} cannot be the name of a model on a server", hint=hint, code="ES-FORMAT-OPTION")
    return name


def write_ensemble(folder: Path, model: ServedModel) -> tuple[str, str]:
    """Write the decoder and the ensemble; their names, the ensemble first."""
    ensemble, decoder = companions(model.name)
    for name, config in (
        (decoder, config_of_decoder(decoder, model)), (ensemble, config_of_ensemble(ensemble, decoder, model))
    ):  # fmt: skip
        (folder / name / VERSION).mkdir(parents=True)  # of the ensemble it stays empty
        write_text(folder / name / CONFIG, text_from_config(config))
    size = model.artifact.spec.input
    write_text(folder / decoder / VERSION / "dali.py", pipeline_text(size.width, size.height, model.batch))
    return ensemble, decoder


def check_replaceable(folder: Path, artifact: Artifact) -> None:
    """FileProblem where `folder` is not a model of the same weights that edgeseg wrote."""
    if not folder.exists():
        return
    reason = "was not written by edgeseg"
    with contextlib.suppress(EdgeSegError, OSError, ValueError):
        config = config_from_text((folder / CONFIG).read_text(encoding="utf-8"))
        existing = artifact_from_config(config, ModelAddress("localhost", folder.name))
        reason = "was made from other weights"
        if existing.provenance.identity == artifact.provenance.identity:
            return
    raise FileProblem(f"{folder} would be replaced, and {reason}", hint=OTHER_PLACE, code="ES-FILE-EXISTS")


def companions(name: str) -> tuple[str, str]:
    """The names of the ensemble and the decoder beside the model `name`."""
    return f"{name}-jpeg", f"{name}-decode"


def earlier_companions(out: Path, name: str, *, replace: bool) -> list[str]:
    """The ensemble and the decoder that an earlier export left in `out`, which belong to the model that it wrote.

    replace: new ones are written; FileProblem where one has the name of a model that edgeseg did not write.
    """
    existing = [each for each in companions(name) if (out / each).exists()]
    own = [each for each in existing if is_companion(out / each, name)]
    if replace and own != existing:
        folder = next(out / each for each in existing if each not in own)
        message = f"{folder} would be replaced, and was not written by edgeseg"
        raise FileProblem(message, hint=OTHER_PLACE, code="ES-FILE-EXISTS")
    return own


def is_companion(folder: Path, name: str) -> bool:
    """Whether a folder holds what `write_ensemble` writes for the model `name`."""
    with contextlib.suppress(EdgeSegError, OSError, ValueError):
        config = config_from_text((folder / CONFIG).read_text(encoding="utf-8"))
        steps = [step.model_name for step in config.ensemble_scheduling.step]
        is_decoder = config.backend == "dali" and [each.name for each in config.input] == [JPEG]
        return is_decoder or steps == [companions(name)[1], name]
    return False


@contextlib.contextmanager
def installed(out: Path, stale: Sequence[str]) -> Iterator[Path]:
    """A temporary folder whose folders move to `out` when the block ends without an error; those of `stale` go."""
    with tempfile.TemporaryDirectory(prefix=".edgeseg-", dir=writable_folder(out)) as scratch:
        made, replaced = Path(scratch) / "made", Path(scratch) / "replaced"
        made.mkdir()
        replaced.mkdir()
        yield made
        for name in {*stale, *(folder.name for folder in made.iterdir())}:
            if (out / name).exists():
                (out / name).replace(replaced / name)
            if (made / name).exists():
                (made / name).replace(out / name)


def write_text(path: Path, text: str) -> None:
    """Write a text, with the ends of line of Unix."""
    path.write_text(text, encoding="utf-8", newline="\n")
