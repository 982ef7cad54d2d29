"""The pixels of a decoded image are freed as soon as nobody needs them, not at some later garbage collection."""

from __future__ import annotations

import gc

import av

from edgeseg.video.geometry import Geometry


def test_a_decoded_image_is_no_cyclic_garbage() -> None:
    gc.collect()
    gc.disable()
    try:
        image = av.VideoFrame(64, 48, "yuv420p")
        assert Geometry.from_image(image, None).size == (48, 64)
        del image
        assert gc.collect() == 0
    finally:
        gc.enable()
