"""What does it cost to classify every pixel by a window around it, the oldest way to segment an image?

    python benchmarks/sliding_window.py ENGINE IMAGE [--step 16]

ENGINE has the size of the window as its input. One pixel in STEP x STEP is classified; the figure is for all.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import edgeseg


def classify(segmenter: edgeseg.Segmenter, rgb: np.ndarray, step: int) -> np.ndarray:
    """The class of every `step`th pixel of `rgb` (H, W, 3), each by the window around it."""
    window_height, window_width = segmenter.spec.input.height, segmenter.spec.input.width
    top, left = window_height // 2, window_width // 2
    padded = np.pad(rgb, ((top, window_height - top), (left, window_width - left), (0, 0)), "edge")
    labels = np.zeros(rgb[::step, ::step].shape[:2], np.uint8)
    for row, column in np.ndindex(labels.shape):
        y, x = row * step, column * step
        window = padded[y : y + window_height, x : x + window_width]
        labels[row, column] = segmenter.segment(window).labels[top, left]
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine")
    parser.add_argument("image")
    parser.add_argument("--step", type=int, default=16, help="classify one pixel in STEP x STEP")
    options = parser.parse_args()
    with edgeseg.open(options.engine) as segmenter, edgeseg.open_source(options.image) as source:
        rgb = next(iter(source)).rgb()
        began = time.perf_counter()
        labels = classify(segmenter, rgb, options.step)
        each = (time.perf_counter() - began) / labels.size
    pixels = rgb.shape[0] * rgb.shape[1]
    print(f"{labels.size} windows, {1e3 * each:.2f} ms each: {each * pixels:.0f} s for all {pixels} pixels")


if __name__ == "__main__":
    main()
