"""An evaluation on a Ray cluster: shards of the data set, in actors that open the engine once."""

from __future__ import annotations

import base64
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any

from edgeseg.batch.ray import connected, free_actors, rows_from_ray
from edgeseg.batch.rows import error_of
from edgeseg.datasets import open_dataset
from edgeseg.errors import DataError
from edgeseg.evaluation_shard import EvaluationShard, evaluate_shard
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import open_segmenter
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

    @property
    def is_on_cpu(self) -> bool:
        """Whether an actor takes a CPU of the cluster, and not a GPU."""
        from edgeseg.engines import open_engine

        return open_engine(self.runtime).is_on_cpu(self.device)


class EvaluateShard:
    """Evaluates shards, as Ray's actors call it. It does not raise, because that would end the job."""

    def __init__(self, **job: Any) -> None:
        self._job = EvaluationJob(**{**job, "metrics": tuple(job["metrics"])})
        self._segmenter = open_segmenter(
            self._job.engine,
            engine=self._job.runtime,
            device=self._job.device,
            threads=self._job.threads,
            tiles=tiles_from_options(self._job.tiles, self._job.overlap),
            crf=self._job.crf,
        )
        self._dataset = open_dataset(self._job.data)

    def __call__(self, item: dict[str, int]) -> dict[str, Any]:
        """The row of a shard {"index", "count"}: `EvaluationShard.to_bytes` in base64, or an error."""
        try:
            shard = evaluate_shard(
                self._segmenter, self._dataset, item["index"], item["count"], self._job.metrics, device=self._job.device
            )
        except Exception as problem:  # whatever a library raises
            return {"error": error_of(problem)}
        return {"shard": base64.b64encode(shard.to_bytes()).decode("ascii")}


def shards_from_ray(
    address: str, job: EvaluationJob, *, progress: Progress = silent, stop: threading.Event | None = None
) -> list[EvaluationShard]:
    """All shards of the data set, evaluated on the cluster at `address` ("local", "auto" or HOST:PORT).

    An actor that dies is replaced, and its shard evaluated again. DataError, with the code of the first error, where an
    image cannot be evaluated.
    """
    if job.is_on_cpu and job.threads is None:
        job = replace(job, threads=1)
    total, gpus = len(open_dataset(job.data)), 0 if job.is_on_cpu else 1
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
