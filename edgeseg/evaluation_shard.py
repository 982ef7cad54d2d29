"""A shard of an evaluation: the counts of a part of the data set, as a file, and the sum of all shards.

Shard i of n has the images from N (i - 1) / n to N i / n, rounded down. Counts are integers and shards are summed in
the order of their images, so that neither the machines nor the order in which they end changes a digit of the result.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Dataset
from edgeseg.engines import open_engine
from edgeseg.errors import EdgeSegError, FormatError, MismatchError
from edgeseg.evaluation import Evaluation, evaluate
from edgeseg.files import bytes_from_file, files_in_folder, is_folder, whole_file
from edgeseg.measure.device import cpu_name, package_versions
from edgeseg.metrics import open_metric
from edgeseg.metrics.metric import Metric, arrays_from_metric, set_arrays
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter

SCHEMA = 1
MAX_BYTES = 8 << 30  # of a file's arrays: 100,000 images with 171 classes and three metrics take 2 GB
# What zipfile, zlib, numpy and the checks raise of a file that is damaged.
UNREADABLE = (
    *(ValueError, KeyError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, MemoryError),
    *(OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error, EdgeSegError),
)


@dataclass(frozen=True)
class EvaluationShard:
    """Shard `index` (from 1) of `count`.

    model: what the labels depend on, equal in all shards: engine file, runtime, options, data set. machine: where the
    shard was computed.
    """

    index: int
    count: int
    model: Mapping[str, Any]
    machine: Mapping[str, Any]
    evaluation: Evaluation

    def write(self, path: str | Path) -> None:
        """Write the file; FileProblem where that is not possible."""
        with whole_file(path) as partial:
            partial.write_bytes(self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> EvaluationShard:
        """The shard that `write` wrote. FormatError where the file is none; FileProblem where there is no file."""
        return cls.from_bytes(bytes_from_file(path), str(path))

    def facts(self) -> dict[str, Any]:
        """`model` and `machine` in one."""
        return {**self.machine, **self.model}

    def to_bytes(self) -> bytes:
        """An NPZ of int64 arrays and a JSON text."""
        evaluation, file = self.evaluation, io.BytesIO()
        arrays: dict[str, Any] = {}
        for name, metric in evaluation.metrics.items():
            arrays.update({f"{name}.{key}": array for key, array in arrays_from_metric(metric).items()})
            arrays[f"{name}.sums"] = evaluation.sums[name]
        record = {
            "schema": SCHEMA,
            "shard": [self.index, self.count],
            "model": dict(self.model),
            "machine": dict(self.machine),
            "images": evaluation.images,
            "frame_pairs": evaluation.frame_pairs,
            "names": evaluation.names,
            "ignore": next((metric.ignore_index for metric in evaluation.metrics.values()), 255),
            "metrics": list(evaluation.metrics),
            "extra_pixels": evaluation.extra_pixels,
            "labelled_pixels": evaluation.labelled_pixels,
        }
        np.savez_compressed(file, **arrays, record=np.array(json.dumps(record)))
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "the data") -> EvaluationShard:
        """The shard of `to_bytes`. FormatError, with `name`, where it is none."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                    raise ValueError("its arrays are too large")
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls._from_arrays(dict(arrays))
        except UNREADABLE as problem:
            raise FormatError(
                f"{name} is not a shard of an evaluation: {problem}",
                hint="run edgeseg eval MODEL --data URI --shard i/n again",
                code="ES-FORMAT-EVAL-SHARD",
            ) from problem

    @classmethod
    def _from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> EvaluationShard:
        record = json.loads(str(arrays["record"]))
        if record["schema"] != SCHEMA:
            raise ValueError(f"its schema is {record['schema']}, not {SCHEMA}")
        index, count = (int(number) for number in record["shard"])
        names, extra = tuple(map(str, record["names"])), {str(k): int(v) for k, v in record["extra_pixels"].items()}
        if not 1 <= index <= count or len(names) > 256:
            raise ValueError(f"it is shard {index} of {count}, of {len(names)} classes")
        metrics, sums = {}, {}
        for name in record["metrics"]:
            metrics[name] = metric = open_metric(name)(len(names), int(record["ignore"]), len(extra))
            set_arrays(metric, {key: arrays[f"{name}.{key}"] for key in metric.arrays})
            sums[name] = checked_sums(arrays[f"{name}.sums"], metric)
        return cls(
            index,
            count,
            dict(record["model"]),
            dict(record["machine"]),
            Evaluation(
                int(record["images"]),
                metrics,
                {},
                names,
                extra,
                int(record["labelled_pixels"]),
                int(record["frame_pairs"]),
                sums,
            ),
        )


def checked_sums(sums: NDArray[Any], metric: Metric) -> NDArray[np.int64]:
    """`sums` (N, R, K) of a metric. ValueError unless they add up to its own."""
    own = metric.sums()
    if sums.dtype != own.dtype or sums.shape[1:] != own.shape or not np.array_equal(sums.sum(0), own):
        raise ValueError("the counts of its images do not add up to its totals")
    return sums


def places_of_shard(index: int, count: int, total: int) -> range:
    """The places, of `total`, of shard `index` (from 1) of `count`."""
    return range(total * (index - 1) // count, total * index // count)


def shard_paths(paths: Sequence[str | Path]) -> list[Path]:
    """The files of `paths`, and of the folders among them every .npz file."""
    files: list[Path] = []
    for path in map(Path, paths):
        if is_folder(path):
            files += sorted(file for file in files_in_folder(path) if file.suffix == ".npz")
        else:
            files.append(path)
    return files


def evaluate_shard(
    segmenter: Segmenter,
    dataset: Dataset,
    index: int,
    count: int,
    metrics: Sequence[str],
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> EvaluationShard:
    """Evaluate shard `index` (from 1) of `count`; see `evaluate`. device: that the segmenter was opened with."""
    artifact, engine = segmenter.artifact, open_engine(segmenter.artifact.engine)
    places = places_of_shard(index, count, len(dataset))
    evaluation = evaluate(segmenter, dataset, metrics=metrics, places=places, progress=progress)
    listed = json.dumps([sample.name for sample in dataset])
    model = {
        "runtime": artifact.engine,
        "precision": str(artifact.precision),
        "output": str(artifact.output),
        "tiles": segmenter.tiles_text or None,
        "crf": segmenter.crf_text or None,
        "engine_sha256": artifact.sha256(),
        "versions": package_versions(("edgeseg", *engine.packages)),
        "data": dataset.name,
        "samples_sha256": hashlib.sha256(listed.encode()).hexdigest(),
    }
    machine = {"engine": artifact.location, "device": engine.device_to_build_for(device), "cpu": cpu_name()}
    return EvaluationShard(index, count, model, machine, evaluation)


def merged(shards: Sequence[EvaluationShard]) -> Evaluation:
    """The evaluation of all images, from all shards in any order.

    MismatchError where the shards are of different evaluations, or where some are missing or given twice.
    """
    if not shards:
        raise MismatchError("there are no shards to merge", hint="name their files", code="ES-MISMATCH-SHARDS")
    ordered = sorted(shards, key=lambda shard: shard.index)
    first = ordered[0]
    for shard in ordered[1:]:
        check_same(first, shard)
    indices = [shard.index for shard in ordered]
    if twice := sorted({index for index in indices if indices.count(index) > 1}):
        hint = "name each file once; remove those of an earlier run"
        message = f"shard {twice[0]}/{first.count} is there {indices.count(twice[0])} times"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-SHARDS")
    if missing := [index for index in range(1, first.count + 1) if index not in set(indices)]:
        shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        raise MismatchError(
            f"{len(missing)} of {first.count} shards are missing: {shown}",
            hint=f"run them: edgeseg eval MODEL --data URI --shard {missing[0]}/{first.count}",
            code="ES-MISMATCH-SHARDS",
        )
    return first.evaluation.merge(*(shard.evaluation for shard in ordered[1:]))


def check_same(first: EvaluationShard, other: EvaluationShard) -> None:
    """MismatchError, with what differs, unless both are shards of one evaluation."""
    own, its = (
        {
            "number of shards": shard.count,
            **shard.model,
            "metrics": list(shard.evaluation.metrics),
            "classes": [*shard.evaluation.names, *shard.evaluation.extra_pixels],
        }
        for shard in (first, other)
    )
    for key in {**own, **its}:
        if own.get(key) != its.get(key):
            raise MismatchError(
                f"shards {first.index} and {other.index} differ in {key}: {own.get(key)} and {its.get(key)}",
                hint="convert the model once, and give every shard the same engine file, data set and options",
                code="ES-MISMATCH-SHARDS",
            )
