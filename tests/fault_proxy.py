"""Networks that fail, between an RTSP client and its server: TCP that holds data back, and UDP that loses packets."""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

HOST = "127.0.0.1"
CHUNK = 65536
NEVER = float("inf")
Self = TypeVar("Self", bound="Proxy")


class Proxy:
    """Accepts clients on `port` of this machine and connects each to `target_port`. A context manager."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening: socket.socket | None = None
        self.port = 0
        self.listen()

    def url(self, path: str = "/cam") -> str:
        """Of the camera behind the proxy."""
        return f"rtsp://{HOST}:{self.port}{path}"

    def listen(self) -> None:
        """Accept clients again, on the same port."""
        self._listening = socket.create_server((HOST, self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def refuse(self) -> None:
        """Accept no client until `listen`."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            sockets, self._open = self._open, set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listening.accept()[0]
                self.accepted += 1
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self.target_port), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, server}
        self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        raise NotImplementedError

    def _forget(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._open -= set(sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()


class TcpProxy(Proxy):
    """Relays bytes; those of the server can be held back, slowed down, and delivered in a burst.

    It reads all that the server sends at once, so that the server notices nothing.
    """

    def __init__(self, target_port: int) -> None:
        self._changed = threading.Condition()
        self._due: Callable[[float, float], float] = lambda arrival, opened: arrival
        self._oldest: dict[socket.socket, float] = {}
        super().__init__(target_port)

    def hold(self) -> None:
        """Deliver nothing."""
        self._set(lambda arrival, opened: NEVER)

    def slow(self, factor: float) -> None:
        """Deliver what comes from now on `factor` times slower than it comes, on each connection by itself."""
        now = time.monotonic()

        def due(arrival: float, opened: float) -> float:
            start = max(now, opened)
            return arrival if arrival < start else start + (arrival - start) * factor

        self._set(due)

    def burst(self, seconds: float = 1.0) -> None:
        """Deliver all that was held back within `seconds`, in order and evenly; from then on everything at once."""
        now = time.monotonic()
        with self._changed:
            oldest = min(self._oldest.values(), default=now)
        share = seconds / max(now - oldest, 1e-6)
        self._set(lambda arrival, opened: now + (arrival - oldest) * share if arrival < now else arrival)

    def release(self) -> None:
        """Deliver everything at once."""
        self._set(lambda arrival, opened: arrival)

    def held_seconds(self) -> float:
        """How old the oldest byte is that was not delivered; 0 where there is none."""
        with self._changed:
            return max(0.0, time.monotonic() - min(self._oldest.values(), default=NEVER))

    def _set(self, due: Callable[[float, float], float]) -> None:
        with self._changed:
            self._due = due
            self._changed.notify_all()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        held: deque[tuple[float, bytes]] = deque()
        for work in (
            lambda: self._up(client, server),
            lambda: self._collect(server, held),
            lambda: self._deliver(client, server, held),
        ):
            threading.Thread(target=work, daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                server.sendall(data)
        self._forget(client, server)
        with self._changed:
            self._changed.notify_all()

    def _collect(self, server: socket.socket, held: deque[tuple[float, bytes]]) -> None:
        data = b"x"
        while data:
            try:
                data = server.recv(CHUNK)
            except OSError:
                data = b""
            with self._changed:
                held.append((time.monotonic(), data))
                self._changed.notify_all()

    def _deliver(self, client: socket.socket, server: socket.socket, held: deque[tuple[float, bytes]]) -> None:
        opened = time.monotonic()
        with contextlib.suppress(OSError):
            while data := self._next(client, held, opened):
                client.sendall(data)
        with self._changed:
            self._oldest.pop(client, None)
        self._forget(client, server)

    def _next(self, client: socket.socket, held: deque[tuple[float, bytes]], opened: float) -> bytes:
        """The next bytes for the client, when they are due; b"" at the end, or where the client has gone."""
        with self._changed:
            while True:
                if client.fileno() < 0:
                    return b""
                if held:
                    self._oldest[client] = held[0][0]
                    wait = self._due(held[0][0], opened) - time.monotonic()
                    if wait <= 0:
                        return held.popleft()[1]
                else:
                    self._oldest.pop(client, None)
                    wait = NEVER
                self._changed.wait(min(wait, 1.0))


class UdpProxy(Proxy):
    """Relays RTSP, and RTP and RTCP over UDP: loses and damages packets of the server, by a seeded generator.

    loss, corruption: shares of the packets; they may be changed at any time. Of a damaged packet one byte behind the
    RTP header is changed. Its checksum is right again, as behind a faulty router, or, where `on_the_wire`, that of the
    undamaged packet, as behind a bad cable; this needs a raw socket (PermissionError). sent, lost, damaged: counts.
    """

    def __init__(
        self,
        target_port: int,
        *,
        loss: float = 0.0,
        corruption: float = 0.0,
        seed: int = 0,
        on_the_wire: bool = False,
    ) -> None:
        self.loss, self.corruption = loss, corruption
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) if on_the_wire else None
        self.sent = self.lost = self.damaged = 0
        self._random = random.Random(seed)
        super().__init__(target_port)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        threading.Thread(target=self._session, args=(client, server), daemon=True).start()

    def _session(self, client: socket.socket, server: socket.socket) -> None:
        pairs: list[_Pair] = []
        with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, (client, server, bytearray(), self._request))
            selector.register(server, selectors.EVENT_READ, (server, client, bytearray(), self._reply))
            while True:
                for key, _ in selector.select():
                    if isinstance(key.data, _Pair):
                        self._datagram(key.data, key.fileobj)
                        continue
                    source, to, pending, rewrite = key.data
                    data = source.recv(CHUNK)
                    if not data:
                        raise ConnectionError
                    pending += data
                    for message in _messages(pending):
                        to.sendall(rewrite(message, pairs, selector))
        for pair in pairs:
            pair.close()
        self._forget(client, server)

    def _request(self, message: bytes, pairs: list[_Pair], selector: selectors.BaseSelector) -> bytes:
        ports = re.search(rb"client_port=(\d+)-(\d+)", message)
        if not ports or not message.startswith(b"SETUP"):
            return message
        pair = _Pair(int(ports[1]))
        pairs.append(pair)
        for each in pair.sockets:
            selector.register(each, selectors.EVENT_READ, pair)
        return message.replace(ports[0], b"client_port=%d-%d" % pair.server_side_ports)

    def _reply(self, message: bytes, pairs: list[_Pair], selector: selectors.BaseSelector) -> bytes:
        ports = re.search(rb"server_port=(\d+)-(\d+)", message)
        if not ports or not pairs:
            return message
        pair = pairs[-1]
        pair.server_port = int(ports[1])
        message = message.replace(ports[0], b"server_port=%d-%d" % pair.client_side_ports)
        return re.sub(rb"client_port=\d+-\d+", b"client_port=%d-%d" % (pair.client_port, pair.client_port + 1), message)

    def _datagram(self, pair: _Pair, received: object) -> None:
        at = pair.sockets.index(received)  # type: ignore[arg-type]
        data = pair.sockets[at].recv(CHUNK)
        if at < 2:  # of the client
            if pair.server_port:
                pair.sockets[at + 2].sendto(data, (HOST, pair.server_port + at))
            return
        if at == 2:  # RTP of the server
            self.sent += 1
            chance = self._random.random()
            if chance < self.loss:
                self.lost += 1
                return
            if chance < self.loss + self.corruption:
                self.damaged += 1
                position = self._random.randrange(min(12, len(data) - 1), len(data))
                changed = data[position] ^ self._random.randrange(1, 256)
                damaged = data[:position] + bytes([changed]) + data[position + 1 :]
                if self._raw is not None:
                    from_port = pair.sockets[0].getsockname()[1]
                    datagram = udp_datagram(from_port, pair.client_port, data)[:8] + damaged
                    self._raw.sendto(datagram, (HOST, 0))
                    return
                data = damaged
        with contextlib.suppress(OSError):
            pair.sockets[at - 2].sendto(data, (HOST, pair.client_port + at - 2))


def udp_datagram(from_port: int, to_port: int, data: bytes) -> bytes:
    """A UDP datagram on this machine, with its checksum (RFC 768)."""
    header = struct.pack("!HHH", from_port, to_port, 8 + len(data))
    summed = socket.inet_aton(HOST) * 2 + struct.pack("!HH", socket.IPPROTO_UDP, 8 + len(data)) + header + data
    words = struct.unpack(f"!{(len(summed) + 1) // 2}H", summed + bytes(len(summed) % 2))
    total = sum(words) % 0xFFFF  # the ones' complement sum, but for 0 and 0xFFFF, which are one number in it
    return header + struct.pack("!H", 0xFFFF - total) + data


class _Pair:
    """The four sockets of one stream: RTP and RTCP to the client, RTP and RTCP to the server."""

    def __init__(self, client_port: int) -> None:
        self.client_port, self.server_port = client_port, 0
        (self.client_side_ports, first), (self.server_side_ports, second) = _adjacent(), _adjacent()
        self.sockets = [*first, *second]

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def _adjacent() -> tuple[tuple[int, int], list[socket.socket]]:
    """An even port and the one after it, with their sockets."""
    while True:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        sockets[0].bind((HOST, 0))
        port = sockets[0].getsockname()[1]
        with contextlib.suppress(OSError, OverflowError):
            if port % 2 == 0:
                sockets[1].bind((HOST, port + 1))
                for each in sockets:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                return (port, port + 1), sockets
        for each in sockets:
            each.close()


def _messages(pending: bytearray) -> Iterator[bytes]:
    """Take every complete message from `pending`: RTSP with its body, or an interleaved packet."""
    while pending:
        if pending[:1] == b"$":
            end = 4 + int.from_bytes(pending[2:4], "big") if len(pending) >= 4 else len(pending) + 1
        else:
            head = pending.find(b"\r\n\r\n") + 4
            length = re.search(rb"(?i)^content-length:\s*(\d+)", pending[:head], re.MULTILINE) if head > 3 else None
            end = head + (int(length[1]) if length else 0) if head > 3 else len(pending) + 1
        if end > len(pending):
            return
        yield bytes(pending[:end])
        del pending[:end]
