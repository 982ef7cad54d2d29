"""Read a stream of numbered frames as a user would, and print a JSON line for each frame and event.

    python benchmarks/peers/numbered_reader.py edgeseg|opencv CLIP... [--max-age S] [--backoff S] <<< URL

The frames of each CLIP, decoded from its file by the same library, are the reference: a frame that differs from that of
its number is damaged. `opencv` is the usual loop, `cv2.VideoCapture` until `read` fails. It ends with its stdin, and
prints then what the source left behind: threads, child processes and descriptors.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import cv2
import numpy as np
import psutil
from numbered_clip import number_of

import edgeseg

STEP = 4
SETTLE_SECONDS = 3.0  # for what ends by itself after close
SPEAKING = threading.Lock()
Images = Iterator[tuple[np.ndarray, dict[str, Any]]]


def say(**fields: Any) -> None:
    """Print a line; of any thread, none within another."""
    with SPEAKING:
        print(json.dumps(fields), flush=True)


class Reference:
    """The clean frames of the clips, by size and number: a checksum, and each fourth pixel."""

    def __init__(self, clips: list[Path], read: Callable[[str], Images]) -> None:
        self._frames: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = {}
        for clip in clips:
            for image, _ in read(str(clip)):
                sampled = image[::STEP, ::STEP].copy()
                self._frames.setdefault(image.shape, []).append((zlib.crc32(image), sampled))

    def difference(self, image: np.ndarray, number: int | None) -> float:
        """The mean absolute difference of the worst 16x16 block; 0.0 for a clean frame, 255.0 for no known frame."""
        frames = self._frames.get(image.shape, [])
        if number is None or number >= len(frames):
            return 255.0
        checksum, clean = frames[number]
        if zlib.crc32(image) == checksum:
            return 0.0
        side = 16 // STEP
        height, width = (length // side * side for length in clean.shape[:2])
        apart = np.abs(image[::STEP, ::STEP].astype(np.int16) - clean)[:height, :width].mean(axis=2)
        blocks = apart.reshape(height // side, side, width // side, side).mean(axis=(1, 3))
        return max(float(blocks.max()), 1 / 256)  # pixels between those that are compared may differ, too


def watch(images: Images, reference: Reference) -> None:
    for image, facts in images:
        number = number_of(image)
        height, width = image.shape[:2]
        difference = round(reference.difference(image, number), 3)
        say(
            frame={"at": time.monotonic(), "number": number, "difference": difference, "size": [width, height], **facts}
        )


def opencv_images(place: str) -> Images:
    capture = cv2.VideoCapture(place, cv2.CAP_FFMPEG)
    if "://" in place:
        say(event={"at": time.monotonic(), "state": "opened" if capture.isOpened() else "refused"})
    while True:
        ok, image = capture.read()
        if not ok:
            return
        yield image, {}


def edgeseg_images(source: Any) -> Images:
    for frame in source:
        now = time.monotonic()
        age = now - frame.captured_at if frame.captured_at is not None else None
        yield frame.rgb(), {"age": age, "sequence": frame.sequence, "given": now}


def census() -> dict[str, float]:
    process = psutil.Process()
    return {
        "threads": process.num_threads(),
        "children": len(process.children(recursive=True)),
        "descriptors": process.num_fds(),
        "rss_mib": process.memory_info().rss / 2**20,
    }


def settled(before: dict[str, float]) -> dict[str, float]:
    """The census, once nothing more is there than `before`, or after a few seconds."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        gc.collect()
        after = census()
        if time.monotonic() > deadline or all(after[key] <= before[key] for key in before if key != "rss_mib"):
            return after
        time.sleep(0.1)


def read_edgeseg(url: str, options: argparse.Namespace) -> None:
    from edgeseg.capture.request import request_from_address
    from edgeseg.capture.source import LiveSource
    from edgeseg.video.backoff import Backoff
    from edgeseg.video.source import address_from_uri

    reference = Reference(options.clips, lambda clip: edgeseg_images(edgeseg.open_source(clip)))

    def on_event(event: Any) -> None:
        say(event={"at": time.monotonic(), **event.to_dict()})

    before = census()
    source = LiveSource(
        request_from_address(address_from_uri(url)),
        max_age_seconds=options.max_age,
        on_event=on_event,
        backoff=Backoff(most_seconds=options.backoff) if options.backoff else None,
    )
    reader = threading.Thread(target=watch, args=(edgeseg_images(source), reference), daemon=True)
    say(ready=time.monotonic())
    reader.start()
    for line in sys.stdin:
        if line.strip() == "census":
            say(census=census(), at=time.monotonic())
    asked = time.monotonic()
    source.close()
    reader.join(20)
    closed = time.monotonic() - asked
    after = settled(before)
    counts = {name: getattr(source, name, 0) for name in ("arrived", "too_old", "unclean", "reconnects", "stalls")}
    say(left={"alive": reader.is_alive(), "close_seconds": closed, "before": before, "after": after, **counts})


def read_opencv(url: str, options: argparse.Namespace) -> None:
    reference = Reference(options.clips, opencv_images)
    say(ready=time.monotonic())

    def work() -> None:
        watch(opencv_images(url), reference)
        say(event={"at": time.monotonic(), "state": "ended"})

    threading.Thread(target=work, daemon=True).start()
    sys.stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=["edgeseg", "opencv"])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--max-age", type=float, default=1.0)
    parser.add_argument("--backoff", type=float, help="the longest wait between two attempts")
    options = parser.parse_args()
    url = sys.stdin.readline().strip()
    {"edgeseg": read_edgeseg, "opencv": read_opencv}[options.library](url, options)


if __name__ == "__main__":
    main()
