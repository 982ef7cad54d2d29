"""`edgeseg eval --shard` and `--merge`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.commands.options import ENGINES_FOLDER, precision_or_none, size_or_none
from edgeseg.commands.terminal import print_json, print_row, wrote

if TYPE_CHECKING:
    from edgeseg.batch.evaluation import EvaluationJob
    from edgeseg.batch.shard import Shard
    from edgeseg.datasets.dataset import Dataset
    from edgeseg.evaluation_shard import EvaluationShard
    from edgeseg.progress import Progress
    from edgeseg.segmenter import Segmenter


def write_shard(
    segmenter: Segmenter, dataset: Dataset, metrics: Sequence[str], shard: Shard, output: Path | None,
    device: str, as_json: bool, progress: Progress,
) -> None:  # fmt: skip
    """Evaluate the images of a shard, write its file and say so."""
    from edgeseg.evaluation_shard import evaluate_shard

    path = output or Path(f"eval-{shard.index}-of-{shard.count}.npz")
    done = evaluate_shard(segmenter, dataset, shard.index, shard.count, metrics, device=device, progress=progress)
    done.write(path)
    row = {"shard": str(shard), "images": done.evaluation.images, "of": len(dataset), "output": str(path)}
    if as_json:
        print_json({**done.facts(), **row})
        return
    print_row(row)
    folder = "" if path.parent == Path() else f" {shlex.quote(str(path.parent))}"
    wrote(path, f"edgeseg eval --merge{folder or ' eval-*.npz'}")


def show_merged(paths: Sequence[str], as_json: bool) -> None:
    """Print the evaluation of the shards at `paths`, files or folders of them."""
    from edgeseg.evaluation_shard import EvaluationShard, shard_paths

    show_shards([EvaluationShard.read(path) for path in shard_paths(paths)], as_json)


def job_from_options(
    model: str, data: str, metrics: Sequence[str], engine: str | None, precision: str | None, size: str | None,
    device: str, progress: Progress, **options: Any,
) -> EvaluationJob:  # fmt: skip
    """What the actors of a Ray cluster do. The engine is not opened: this machine may lack their device."""
    from edgeseg.batch.evaluation import EvaluationJob
    from edgeseg.batch.job import engine_for_batch, runtime_of

    artifact = engine_for_batch(
        model, engine=engine, precision=precision_or_none(precision), size=size_or_none(size), folder=ENGINES_FOLDER,
        device=device, progress=progress,
    )  # fmt: skip
    runtime = runtime_of(artifact, engine, device)
    return EvaluationJob(str(artifact.path.resolve()), runtime, data, tuple(metrics), device=device, **options)


def show_from_ray(address: str, job: EvaluationJob, as_json: bool, progress: Progress) -> None:
    """Evaluate on a Ray cluster, and print the result."""
    from edgeseg.batch.evaluation import shards_from_ray

    show_shards(shards_from_ray(address, job, progress=progress), as_json)


def show_shards(shards: Sequence[EvaluationShard], as_json: bool) -> None:
    """Print the evaluation that is the sum of `shards`, and the different machines that computed them."""
    from edgeseg.commands.eval import show_result
    from edgeseg.evaluation_shard import merged

    result = merged(shards)
    machines: list[dict[str, Any]] = []
    for shard in shards:
        if (machine := dict(shard.machine)) not in machines:
            machines.append(machine)
    facts = {**shards[0].model, "shards": len(shards), "machines": machines}
    if as_json:
        print_json({**facts, **result.to_dict()})
        return
    show_result(result, facts)
