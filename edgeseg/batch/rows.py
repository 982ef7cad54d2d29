"""The row of a unit: what was done, and what went wrong. Plain data, sent between processes and kept as marker."""

from __future__ import annotations

import errno
import re
import time
from typing import Any

from edgeseg.batch.units import Unit, outputs_name
from edgeseg.errors import EdgeSegError
from edgeseg.uri import redacted

SCHEMA = 1
# Errors of the machine, and not of the source: they leave no marker, so that the next run tries the unit again.
OF_MACHINE = (
    *("ES-SYSTEM", "ES-FILE-WRITE", "ES-FILE-FETCH", "ES-RUN", "ES-ENCODER", "ES-MISSING-MEMORY", "ES-MISSING-REMOTE"),
    *("ES-SINK", "ES-MISSING-CUDA", "ES-MISSING-DRIVER", "ES-DEVICE-MISSING"),
)
OF_DEVICE = ("ES-RUN", "ES-MISSING-CUDA", "ES-MISSING-DRIVER")  # a process that had one cannot use its device again
OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.ESTALE)
STOPPED = {"code": "ES-STOPPED", "message": "it was stopped before its end", "hint": "run the command again"}


def empty_row(unit: Unit, job_digest: str) -> dict[str, Any]:
    """The row of a unit before anything was done."""
    now = time.time()
    return {
        "schema": SCHEMA,
        "digest": unit.digest,
        "job": job_digest,
        "source": redacted(unit.source) if unit.is_remote else unit.source,
        "outputs": outputs_name(unit),
        "marked": False,
        "error": None,
        "frames": 0,
        "seconds": 0.0,
        "cpu_seconds": 0.0,
        "began_at": now,
        "ended_at": now,
        "latency": {},
        "losses": [],
    }


def error_of(problem: Exception) -> dict[str, str]:
    """An exception as the error of a row."""
    if isinstance(problem, EdgeSegError):
        is_own = problem.code in OF_MACHINE or not is_of_system(problem)
        return {"code": problem.code if is_own else "ES-SYSTEM", "message": problem.message, "hint": problem.hint}
    text = f"{type(problem).__name__}: {problem}"
    if isinstance(problem, MemoryError) or re.search("out of memory", text, re.IGNORECASE):
        hint = "lower --processes, or do this unit on a larger machine"
        return {"code": "ES-MISSING-MEMORY", "message": "the unit needs more memory than is free", "hint": hint}
    if isinstance(problem, OSError):
        hint = "check the path, its permissions and the disk"
        return {"code": "ES-SYSTEM", "message": str(problem), "hint": hint}
    if re.search("CUDA|cuDNN|cuBLAS", text, re.IGNORECASE):  # of runtimes that have no class for it
        return {"code": "ES-RUN", "message": text, "hint": "run edgeseg doctor"}
    return {"code": "ES-ERROR", "message": text, "hint": "report it with this source"}


def is_of_system(problem: BaseException | None) -> bool:
    """Whether the system failed, and not the source, by an exception and its causes."""
    while problem is not None:
        number = getattr(problem, "errno", None)
        # FFmpeg reports EIO, too, for a file that is cut short.
        if number in OF_RESOURCES or (number == errno.EIO and type(problem) is OSError):
            return True
        problem = problem.__cause__
    return False


def died(attempts: int) -> dict[str, str]:
    """The error of a unit over which processes die."""
    return {
        "code": "ES-BATCH-DIED",
        "message": f"{attempts} processes died while they did this unit",
        "hint": "try it alone: edgeseg stream SOURCE MODEL; a decoder may crash, or memory may run out",
    }
