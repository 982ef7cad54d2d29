"""The DALI pipeline of an ensemble, which Triton's back end `dali` reads as a Python file."""

from __future__ import annotations

from edgeseg.engines.triton.config import JPEG

PIPELINE = '''"""Decode JPEG files, and resize the images as edgeseg resizes frames. Triton reads this file."""

import nvidia.dali as dali
from nvidia.dali import types
from nvidia.dali.plugin.triton import autoserialize


@autoserialize
@dali.pipeline_def(batch_size={batch}, num_threads=4, device_id=0)
def pipeline():
    files = dali.fn.external_source(device="cpu", name="{jpeg}")
    images = dali.fn.decoders.image(files, device="mixed", output_type=types.RGB)
    return dali.fn.resize(
        images, resize_x={width}, resize_y={height}, interp_type=types.INTERP_LINEAR, antialias=False
    )
'''


def pipeline_text(width: int, height: int, batch: int) -> str:
    """The text of `dali.py` for frames of WIDTHxHEIGHT."""
    return PIPELINE.format(width=width, height=height, batch=batch, jpeg=JPEG)
