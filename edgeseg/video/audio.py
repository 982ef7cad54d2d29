"""The sound of a video file, copied into another file without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

RESTART_SECONDS = 0.5  # a step back by more is another recording behind the first


class AudioCopy:
    """The first audio stream of a file. Packets keep their times. starts_anew: the times went back, and what follows
    was left out.

    Left out are packets whose time does not rise, and those before 0, which decoders do not play: for them a container
    would delay the video.
    """

    def __init__(self, path: Path) -> None:
        self._container: Any = av.open(f"file:{path}")
        self._stream = self._container.streams.audio[0]
        self._packets: Iterator[Any] = self._container.demux(self._stream)
        self._next: Any = None
        self._last_dts: float = float("-inf")
        self.starts_anew = False
        self._target: Any = None

    def add_to(self, container: Any) -> bool:
        """Add the stream to a container that is written; False where its format cannot hold the codec."""
        codec = self._stream.codec_context
        if codec is None or codec.name not in container.supported_codecs:
            return False
        self._target = container.add_stream_from_template(self._stream)
        return True

    def packets_until(self, seconds: float) -> Iterator[Any]:
        """The packets that begin before `seconds` and were not handed out yet."""
        while True:
            packet, self._next = self._next or self._read(), None
            if packet is None:
                return
            if float(packet.pts * packet.time_base) >= seconds:
                self._next = packet
                return
            packet.stream = self._target
            yield packet

    def _read(self) -> Any:
        """The next packet with a time; None at the end, and where the file cannot be read any further."""
        try:
            for packet in self._packets:
                if not packet.size or None in (packet.pts, packet.dts):
                    continue
                if packet.dts <= self._last_dts:
                    back_seconds = float((self._last_dts - packet.dts) * packet.time_base)
                    self.starts_anew = self.starts_anew or back_seconds > RESTART_SECONDS
                elif packet.pts >= 0:
                    self._last_dts = packet.dts
                    return packet
        except (av.FFmpegError, OSError):
            pass
        return None

    def close(self) -> None:
        """Close the file."""
        self._container.close()
