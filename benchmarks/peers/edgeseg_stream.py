"""`edgeseg stream` from file to overlay file, timed as the naive peer is: from a model that is loaded and warm.

    python benchmarks/peers/edgeseg_stream.py SOURCE OUT.mp4 --engine ENGINE

Prints JSON.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from video_run import VideoRun

from edgeseg.segmenter import open_segmenter
from edgeseg.streaming import stream
from edgeseg.video.sink import open_sink
from edgeseg.video.source import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("out", metavar="OUT.mp4")
    parser.add_argument("--engine", type=Path, required=True)
    options = parser.parse_args()
    with open_segmenter(options.engine) as segmenter:
        clock = VideoRun()
        with open_source(options.source) as source, open_sink(options.out, source.info, overwrite=True) as sink:
            report = stream(source, segmenter, sink, on_result=lambda result: clock.frame())
        stages = {stage: summary.to_dict() for stage, summary in report.latency.items()}
        clock.finish(stages=stages, precision=str(segmenter.artifact.precision), engine=segmenter.artifact.engine)


if __name__ == "__main__":
    main()
