"""What the reader process takes from FFmpeg's log."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, as the reader is: the log's level is one of the process.
TWO_EQUAL_LOSSES = """
import av.logging
from edgeseg.capture.reader import logged_warnings

with logged_warnings() as log:
    for _ in range(2):
        av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 1 packets")
        print(len(log))
        log.clear()
"""


def test_a_loss_that_repeats_the_one_before_is_seen() -> None:
    run = subprocess.run([sys.executable, "-c", TWO_EQUAL_LOSSES], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "1"]
