"""What each shard of a batch has to do, noted in OUT/.shards, so that `--merge` can say what is missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edgeseg.batch.markers import BatchSummary
from edgeseg.batch.shard import Shard
from edgeseg.files import write_text

FOLDER = ".shards"
NAME = re.compile(r"([0-9]+)-of-([0-9]+)\.json")


def note_shard(out: Path, shard: Shard, job_digest: str, units: int) -> None:
    """Note that a shard has so many units of a job, whether they are done or not."""
    path = out / FOLDER / f"{shard.index}-of-{shard.count}.json"
    write_text(path, json.dumps({"job": job_digest, "units": units}))


def missing_work(out: Path, summary: BatchSummary) -> tuple[list[Shard], int]:
    """The shards that have not begun in `out`, and how many units of the others lack a row in `summary`.

    Of shards of several numbers those of the latest one count. Nothing is missing where there were no shards.
    """
    notes = [(path, match) for path in (out / FOLDER).glob("*.json") if (match := NAME.fullmatch(path.name))]
    if not notes:
        return [], 0
    count = int(max(notes, key=lambda note: note[0].stat().st_mtime_ns)[1][2])
    begun = {int(match[1]): json.loads(path.read_bytes()) for path, match in notes if int(match[2]) == count}
    rows = sum(summary.jobs[job] for job in {note["job"] for note in begun.values()})
    units = sum(note["units"] for note in begun.values())
    return [Shard(index, count) for index in range(1, count + 1) if index not in begun], max(0, units - rows)
