"""An evaluation on a Ray cluster: shards of the data set, in actors that open the engine once."""

from __future__ import annotations

import base64
import functools
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgeseg.batch.ray import connected, free_actors, rows_from_ray, takes_cpu
from edgeseg.batch.rows import error_of
from edgeseg.datasets import open_dataset
from edgeseg.datasets.dataset import Dataset
from edgeseg.errors import DataError
from edgeseg.evaluation_shard import EvaluationShard, evaluate_shard
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import tiles_from_options

SHARDS_OF_ACTOR = 4  # so that one slow machine does not hold up the others
EVALUATE_SHARD = "edgeseg.batch.evaluation:EvaluateShard"


@dataclass(frozen=True)
class EvaluationJob:
    """What every actor needs: the path of an engine, its runtime, the URI of a data set and options of `edgeseg eval`.

    Engine and data must lie at the same paths on all machines of the cluster.
    """

    engine: str
    runtime: str
    data: str
    metrics: tuple[str, ...]
    device: str = "auto"
    threads: int | None = None
    tiles: str | None = None
    overlap: int | None = None
    crf: str | None = None


class EvaluateShard:
    """Evaluates shards, as the actors of Ray call it. It raises nothing: that would end the job without a code."""

    def __init__(self, **job: Any) -> None:
        self._job = EvaluationJob(**{**job, "metrics": tuple(job["metrics"])})

    @functools.cached_property
    def _opened(self) -> tuple[Segmenter, Dataset]:
        job = self._job
        tiles = tiles_from_options(job.tiles, job.overlap)
        segmenter = open_segmenter(
            job.engine, engine=job.runtime, device=job.device, threads=job.threads, tiles=tiles, crf=job.crf
        )
        return segmenter, open_dataset(job.data)

    def __call__(self, item: dict[str, int]) -> dict[str, Any]:
        """The row of a shard {"index", "count"}: `EvaluationShard.to_bytes` in base64, or an error."""
        try:
            part = item["index"], item["count"]
            shard = evaluate_shard(*self._opened, *part, self._job.metrics, device=self._job.device)
            return {"shard": base64.b64encode(shard.to_bytes()).decode("ascii")}
        except Exception as problem:  # whatever a library raises
            return {"error": error_of(problem)}


def shards_from_ray(
    address: str, job: EvaluationJob, *, progress: Progress = silent, stop: threading.Event | None = None
) -> list[EvaluationShard]:
    """All shards of the data set, evaluated on the cluster at `address` ("local", "auto" or HOST:PORT).

    An actor that dies is replaced, and its shard evaluated again. DataError, with the code of the first error, where an
    image cannot be evaluated.
    """
    on_cpu = takes_cpu(job.runtime, job.device)
    if on_cpu and job.threads is None:
        job = replace(job, threads=1)
    total, gpus = len(open_dataset(job.data)), 0 if on_cpu else 1
    with connected(address) as ray:
        count = max(1, min(total, SHARDS_OF_ACTOR * free_actors(ray, gpus)))
        items = [{"index": index, "count": count} for index in range(1, count + 1)]
        shards, done = [], 0
        for row in rows_from_ray(ray, EVALUATE_SHARD, asdict(job), items, gpus=gpus, stop=stop):
            if error := row.get("error"):
                raise DataError(error["message"], hint=error["hint"], code=error["code"])
            shards.append(EvaluationShard.from_bytes(base64.b64decode(row["shard"])))
            done += shards[-1].evaluation.images
            progress("evaluate", done, total)
    return shards
