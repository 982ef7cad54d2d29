"""Servers on this machine that answer as cameras do, and as they should not."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

Answer = Callable[[socket.socket, bytes], bool]  # sends to the client that asked; whether to go on listening to it
PATIENCE_SECONDS = 60.0  # far more than this takes


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[int]:
    """The port of a server that answers what each client sends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, answer), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError):  # the server is closed
        while True:
            client = listening.accept()[0]
            threading.Thread(target=_serve, args=(client, answer), daemon=True).start()


def _serve(client: socket.socket, answer: Answer) -> None:
    with contextlib.suppress(OSError), client:
        while (asked := client.recv(65536)) and answer(client, asked):
            pass


def http(body: bytes, status: str = "200 OK", kind: str = "video/x-matroska", length: int | None = None) -> Answer:
    """Answers with `body`; closes then, though it may have promised a longer `length`. 0: promises none."""

    def answer(client: socket.socket, asked: bytes) -> bool:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nWWW-Authenticate: Basic realm=x\r\n"
        promise = "" if length == 0 else f"Content-Length: {length or len(body)}\r\n"
        client.sendall(f"{head}{promise}\r\n".encode() + body)
        return False

    return answer


def rtsp(status: str) -> Answer:
    """Answers every DESCRIBE with `status`; hangs up on what is not RTSP."""

    def answer(client: socket.socket, asked: bytes) -> bool:
        number = next((line for line in asked.decode("latin-1").split("\r\n") if line.startswith("CSeq")), "")
        if not number:
            return False
        says = "200 OK" if asked.startswith(b"OPTIONS") else status
        client.sendall(f"RTSP/1.0 {says}\r\n{number}\r\nWWW-Authenticate: Basic realm=x\r\n\r\n".encode())
        return True

    return answer


def silent(client: socket.socket, asked: bytes) -> bool:
    """Listens and says nothing."""
    return True


def stalls_behind(start: Answer) -> Answer:
    """Answers as `start`, and keeps the connection open."""

    def answer(client: socket.socket, asked: bytes) -> bool:
        start(client, asked)
        return True

    return answer


def resets_behind(start: Answer) -> Answer:
    """Answers as `start`, and tears the connection down once that has arrived."""

    def answer(client: socket.socket, asked: bytes) -> bool:
        start(client, asked)
        wait_until_sent(client)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return answer


def wait_until_sent(client: socket.socket) -> None:
    """Wait until the system of the client has all that was sent: a reset would throw away what waits here."""
    if not sys.platform.startswith("linux"):
        time.sleep(0.2)
        return
    import fcntl
    import termios

    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)) == bytes(4):
            return
        time.sleep(0.01)


def mjpeg_camera(frames: int, fps: float) -> Answer:
    """A camera that sends `frames` JPEGs, `fps` a second, and closes."""
    jpegs = [cv2.imencode(".jpg", np.full((48, 64, 3), n % 256, np.uint8))[1].tobytes() for n in range(frames)]

    def answer(client: socket.socket, asked: bytes) -> bool:
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\n\r\n")
        began = time.monotonic()
        for n, jpeg in enumerate(jpegs):
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            client.sendall(head.encode() + jpeg + b"\r\n")
            time.sleep(max(0.0, began + (n + 1) / fps - time.monotonic()))
        return False

    return answer


def rtsp_camera(chunks: list[bytes], fps: float, *, stalls: bool = False) -> Answer:
    """An RTSP camera that sends `chunks` of MPEG-TS over its TCP connection, `fps` a second; then closes, or stalls.

    RTSP 1.0 (RFC 2326) with interleaved RTP (RFC 3550), MP2T as payload 33 (RFC 2250).
    """
    description = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
    says = {
        "OPTIONS": ("Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", ""),
        "DESCRIBE": ("Content-Type: application/sdp\r\n", description),
        "SETUP": ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60\r\n", ""),
        "PLAY": ("Session: 1\r\n", ""),
    }

    def answer(client: socket.socket, asked: bytes) -> bool:
        lines = asked.decode("latin-1").split("\r\n")
        method, number = lines[0].split(" ")[0], next(line for line in lines if line.startswith("CSeq"))
        if method not in says:
            return False
        head, body = says[method]
        head += f"Content-Length: {len(body)}\r\n" if body else ""
        client.sendall(f"RTSP/1.0 200 OK\r\n{number}\r\n{head}\r\n{body}".encode())
        if method != "PLAY":
            return True
        _send_rtp(client, chunks, fps)
        return stalls

    return answer


def _send_rtp(client: socket.socket, chunks: list[bytes], fps: float) -> None:
    sequence, began = 0, time.monotonic()
    for n, chunk in enumerate(chunks):
        for at in range(0, len(chunk), 7 * 188):
            rtp = struct.pack(">BBHII", 0x80, 33, sequence, round(n * 90_000 / fps), 1) + chunk[at : at + 7 * 188]
            client.sendall(struct.pack(">BBH", 0x24, 0, len(rtp)) + rtp)
            sequence += 1
        time.sleep(max(0.0, began + (n + 1) / fps - time.monotonic()))
