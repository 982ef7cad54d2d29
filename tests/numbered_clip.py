"""A video whose every frame carries its own number, so that each received frame can be held against a clean decode."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 16
ROW = 16  # pixels: the height of each of the two rows of the code
ENCODERS = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "26", "threads": "1"}),
    "h265": ("libx265", {"preset": "ultrafast", "crf": "28", "x265-params": "log-level=none:pools=1:frame-threads=1"}),
    "jpeg": ("mjpeg", {"huffman": "default", "qmin": "3", "qmax": "3", "threads": "1"}),
}
FILTERS = {"h264": "h264_mp4toannexb", "h265": "hevc_mp4toannexb"}


@dataclass(frozen=True)
class NumberedClip:
    """A Matroska file of `frames` numbered frames, and `packets`: what `rtsp_camera_process.py` sends in a loop."""

    video: Path
    packets: Path
    frames: int
    fps: int
    size: tuple[int, int]  # (H, W)
    codec: str


def numbered_rgb(number: int, height: int, width: int) -> np.ndarray:
    """(H, W, 3): a moving texture, a patch of noise, and the number in two rows of blocks, the second inverted."""
    fixed = np.random.default_rng(7)
    cells = fixed.integers(40, 216, (height // 8 + 2, width // 8 + 2, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    rgb = np.roll(cells, 2 * number, axis=1)[:height, :width].copy()
    side = min(height - 2 * ROW, width) // 3
    noise = np.random.default_rng(number).integers(64, 192, (side // 4, side // 4, 3), np.uint8)
    noise = noise.repeat(4, 0).repeat(4, 1)
    left = (5 * number) % (width - noise.shape[1])
    rgb[3 * ROW : 3 * ROW + noise.shape[0], left : left + noise.shape[1]] = noise
    bits = (number >> np.arange(BITS)) & 1
    row = np.where(bits, 235, 20).astype(np.uint8).repeat(width // BITS)
    rgb[:ROW, : len(row)], rgb[ROW : 2 * ROW, : len(row)] = row[None, :, None], 255 - row[None, :, None]
    return rgb


def number_of(rgb: np.ndarray) -> int | None:
    """The number in a frame, RGB or BGR; None where the code is damaged."""
    block = rgb.shape[1] // BITS
    code = rgb[: 2 * ROW, : BITS * block].mean(axis=2).reshape(2, ROW, BITS, block)
    bits, inverted = code[:, 4:-4, :, block // 4 : -(block // 4)].mean(axis=(1, 3)) > 127
    if (bits == inverted).any():
        return None
    return int((bits.astype(int) << np.arange(BITS)).sum())


def make_numbered_clip(
    folder: Path,
    *,
    frames: int = 150,
    fps: int = 15,
    size: tuple[int, int] = (192, 320),
    codec: str = "h264",
    b_frames: int = 0,
    key_interval: int | None = None,
) -> NumberedClip:
    """The clip in `folder`, a keyframe a second unless `key_interval` says otherwise."""
    height, width = size
    encoder, fixed = ENCODERS[codec]
    options = {**fixed, "g": str(key_interval or fps), "bf": str(b_frames)}
    if encoder == "libx264":
        options |= {"sc_threshold": "0"} if b_frames else {"sc_threshold": "0", "tune": "zerolatency"}
    stem = f"{codec}_{width}x{height}_{fps}fps_{b_frames}b"
    video, packets = folder / f"{stem}.mkv", folder / f"{stem}.packets"
    with av.open(str(video), "w") as container:
        stream = container.add_stream(encoder, rate=fps, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "jpeg" else "yuv420p"
        for number in range(frames):
            image = av.VideoFrame.from_ndarray(numbered_rgb(number, height, width), format="rgb24")
            image.pts, image.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    clip = NumberedClip(video, packets, frames, fps, size, codec)
    _write_packets(clip)
    return clip


def _write_packets(clip: NumberedClip) -> None:
    """A line of JSON, then for each access unit in decoding order its length, number and flag of a keyframe."""
    head = {"frames": clip.frames, "fps": clip.fps, "codec": clip.codec, "width": clip.size[1], "height": clip.size[0]}
    with av.open(str(clip.video)) as container, clip.packets.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        stream = container.streams.video[0]
        name = FILTERS.get(clip.codec)
        change = av.BitStreamFilterContext(name, stream) if name else None
        written = 0
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            for unit in change.filter(packet) if change else [packet]:
                number = round(float(unit.pts * unit.time_base) * clip.fps)
                data = bytes(unit)
                file.write(struct.pack(">IIB", len(data), number, unit.is_keyframe) + data)
                written += 1
    assert written == clip.frames, f"{written} access units of {clip.frames} frames"
