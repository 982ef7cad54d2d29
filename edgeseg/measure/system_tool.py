"""The output of the system's own tools, such as nvpmodel and nvidia-smi."""

from __future__ import annotations

import os
import shutil
import subprocess

SECONDS = 5.0


def output_of(*words: str) -> str:
    """What a tool prints; "" where it is missing, fails, or takes longer than five seconds."""
    tool = shutil.which(words[0], path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    if tool is None:
        return ""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [tool, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else ""
