"""Small videos and images that the video tests make for themselves."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import edgeseg.video

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 220)


def quarters(width: int = 160, height: int = 96) -> np.ndarray:
    """Red top left, green top right, blue bottom left, white bottom right."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2], rgb[: height // 2, width // 2 :] = RED, GREEN
    rgb[height // 2 :, : width // 2], rgb[height // 2 :, width // 2 :] = BLUE, WHITE
    return rgb


def corners(rgb: np.ndarray) -> list[str]:
    """The names of the colours in the four quarters: top left, top right, bottom left, bottom right."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    height, width = rgb.shape[:2]
    points = [(y, x) for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]
    return [min(names, key=lambda n: np.abs(rgb[y, x].astype(int) - names[n]).sum()) for y, x in points]


def make_clip(
    path: Path,
    frames: int = 12,
    *,
    rgb: Callable[[int], np.ndarray] = lambda index: quarters(),
    pts: Callable[[int], int] = lambda index: index,
    turn: dict[str, Any] | None = None,
    pixel_aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    codec: str = "mpeg4",
    codec_options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    audio: bool = False,
) -> Path:
    """A video of 25 fps; pts counts in frames."""
    height, width = rgb(0).shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=codec_options or {"qmin": "2", "qmax": "2"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if turn:
            stream.set_display_rotation(**turn)
        if audio:
            sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            container.mux(sound.encode(samples))
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(rgb(index), format="rgb24")
            picture.pts, picture.time_base = pts(index), Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def transport_stream(frames: int, fps: int) -> list[bytes]:
    """A live H.264 stream as MPEG-TS, in pieces of one frame each."""
    target = io.BytesIO()
    pieces = []
    with av.open(target, "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"tune": "zerolatency", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(quarters(), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(picture))
            pieces.append(target.getvalue())
            target.seek(0)
            target.truncate()
    return pieces


def make_avi_with_placeholder(path: Path, frames: int) -> Path:
    """An AVI of `frames` pictures and one packet that says "as before" (an N-VOP), which its header counts as a frame.

    Encoders that pack a B-frame into the packet of another frame put one where it is missing.
    """
    n_vop = bytes.fromhex("000001b6504f")  # VOP start; P, no second passed, 5 bits of time, vop_coded = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        pictures = [av.VideoFrame.from_ndarray(noise(index), format="rgb24") for index in range(frames)]
        packets = [packet for picture in [*pictures, None] for packet in stream.encode(picture)]
        packets.insert(frames // 2, av.Packet(n_vop))
        for index, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            container.mux(packet)
    return path


def noise(index: int) -> np.ndarray:
    """Frames that are all about equally long when encoded."""
    return np.random.default_rng(index).integers(0, 256, (96, 160, 3), dtype=np.uint8)


def make_images(folder: Path, count: int = 4, width: int = 40, height: int = 30) -> Path:
    """img1.png, img2.png, ..., of which number n has the value n everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(1, count + 1):
        cv2.imwrite(str(folder / f"img{n}.png"), np.full((height, width, 3), n, np.uint8))
    return folder


def png_of(width: int, height: int) -> bytes:
    """A black image."""
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8), fast)[1].tobytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
        (b"IEND", b""),
    ]
    packed = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def modules_that_define(function: str) -> set[str]:
    """The modules of edgeseg.video and edgeseg.capture that have a top-level `function`."""
    folder = Path(edgeseg.video.__file__).parent
    found = re.compile(rf"^def {function}\(", re.MULTILINE)
    paths = [*folder.glob("*.py"), *folder.with_name("capture").glob("*.py")]
    return {f"edgeseg.{path.parent.name}.{path.stem}" for path in paths if found.search(path.read_text())}
