"""The contender's side of `table.py`: a process that is asked for a turn, a line of JSON each, and answers with one.

A contender is an object with `facts`, plain data for the table, and with those of these methods that it can do:

    engine()                         one inference of an input that lies ready
    frame(image)                     the labels (H, W) of an image in memory, at its size
    file(source, target, on_frame)   a video to an overlay video; `on_frame` is called after each written frame

Interpreters without edgeseg run this file: it imports the standard library and numpy.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

Images = list[np.ndarray]


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """A parser of what every contender is given."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, metavar="FRAMES.npz", help="images (N, H, W, 3) rgb")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def images_from(path: Path, *, bgr: bool) -> Images:
    """The images of an .npz, in the order of channels that a contender gets from its video reader."""
    images = np.load(path)["images"]
    return [np.ascontiguousarray(image[..., ::-1] if bgr else image) for image in images]


def versions_of(*names: str) -> dict[str, str]:
    """Distribution -> version, of those that this interpreter has."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve(make: Callable[[argparse.Namespace, Images], Any], options: argparse.Namespace, *, bgr: bool = True) -> None:
    """Make the contender, warm it up, say that it is ready, and answer until stdin ends.

    What a library prints on stdout goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def say(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    images = images_from(options.frames, bgr=bgr)
    contender = make(options, images)
    calls = {name: getattr(contender, name) for name in ("engine", "frame", "file") if hasattr(contender, name)}
    for name, argument in (("engine", ()), ("frame", images[:1])):
        if name in calls:
            calls[name](*argument)
    say(ready=sorted(calls), facts=contender.facts)
    for line in sys.stdin:
        request = json.loads(line)
        if "labels" in request:
            save_labels(contender, Path(request["labels"]), Path(request["target"]), bgr=bgr)
            say(done=True)
        elif request["scope"] == "file":
            say(**file_turn(contender.file, request["source"], request["target"]))
        else:
            call, arguments = calls[request["scope"]], [()] if request["scope"] == "engine" else [(x,) for x in images]
            say(**turn(call, arguments, request["seconds"]))


def turn(call: Callable[..., object], arguments: Iterable[tuple[Any, ...]], seconds: float) -> dict[str, Any]:
    """Call again and again for some seconds, with each of `arguments` in turn: latencies and own CPU time.

    The first call is not counted: caches and threads are the last contender's. spent_seconds: CPU time with it.
    """
    rounds = itertools.cycle(arguments)
    spent = time.process_time()
    call(*next(rounds))
    samples: list[float] = []
    cpu, began = time.process_time(), time.perf_counter()
    now = began
    while now < began + seconds or not samples:
        call(*next(rounds))
        before, now = now, time.perf_counter()
        samples.append((now - before) * 1e3)
    end = time.process_time()
    return {"samples": samples, "cpu_seconds": end - cpu, "wall_seconds": now - began, "spent_seconds": end - spent}


def file_turn(call: Callable[..., object], source: str, target: str) -> dict[str, Any]:
    """One video from its first byte to the finished file. samples: from one written frame to the next, in ms."""
    cpu, began = time.process_time(), time.perf_counter()
    times = [began]
    call(source, target, lambda: times.append(time.perf_counter()))
    samples = [(after - before) * 1e3 for before, after in itertools.pairwise(times)]
    wall, spent = time.perf_counter() - began, time.process_time() - cpu
    return {"samples": samples, "cpu_seconds": spent, "wall_seconds": wall, "spent_seconds": spent}


def save_labels(contender: Any, images: Path, target: Path, *, bgr: bool) -> None:
    """Write the labels (N, H, W) of the images of an .npz."""
    labels = [np.asarray(contender.frame(image)) for image in images_from(images, bgr=bgr)]
    with target.open("wb") as file:
        np.save(file, np.stack(labels).astype(np.uint8))
