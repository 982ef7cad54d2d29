"""The faults, one function each: it makes a camera and clients, breaks something, mends it, and gives the outcome."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from fault_proxy import TcpProxy, UdpProxy
from numbered_clip import NumberedClip, make_numbered_clip
from rtsp_server import RtspServer

from live_bed.client import Client
from live_bed.outcome import Outcome, opencv_outcome, outcome_of, worst

START_SECONDS = 45.0
CALM_SECONDS = 11.0  # live for so long, and the back-off starts anew
AFTER_SECONDS = 5.0
LIVE_SECONDS = 40.0  # how long is waited for a stream to be live again
NAME = "camera.test"  # a name that no name server knows (RFC 2606)


@dataclass
class Bed:
    """What the cases share: the clips, made once, a folder, and whether OpenCV's loop runs beside."""

    folder: Path
    opencv: bool = True
    seconds: float = 30.0  # of the faults that last
    reconnects: int = 200
    rounds: int = 5  # of the fault whose outcome depends most on chance
    _clips: dict[Any, NumberedClip] = field(default_factory=dict)

    def clip(self, size: tuple[int, int] = (360, 640), codec: str = "h264", **options: Any) -> NumberedClip:
        """A clip of 40 s at 15 frames/s unless `options` say otherwise."""
        key = (size, codec, *sorted(options.items()))
        if key not in self._clips:
            folder = self.folder / f"clip{len(self._clips)}"
            folder.mkdir()
            wanted = {"frames": 600, "fps": 15, **options}
            self._clips[key] = make_numbered_clip(folder, size=size, codec=codec, **wanted)
        return self._clips[key]

    def server(self, clip: NumberedClip, **options: Any) -> RtspServer:
        """A camera with a log of its own."""
        log = self.folder / f"sent{time.monotonic_ns()}"
        return RtspServer(clip, log=log, **options)

    @contextlib.contextmanager
    def clients(self, url: str, *clips: NumberedClip, **options: Any) -> Iterator[tuple[Client, Client | None]]:
        """edgeseg, and OpenCV's loop where it is to run, both on `url`."""
        videos = [clip.video for clip in clips]
        udp, prefix = options.get("udp", False), options.get("prefix", ())
        ours = url + "?transport=udp" if udp else url
        with contextlib.ExitStack() as stack:
            theirs = Client("opencv", url, videos, prefix=prefix, udp=udp) if self.opencv else None
            if theirs:
                stack.callback(theirs.kill)
            client = Client("edgeseg", ours, videos, *options.get("words", ()), prefix=prefix)
            stack.callback(client.kill)
            yield client, theirs


def until_live(client: Client, moment: float = 0.0) -> None:
    """Wait for the first clean frame after `moment`; an error where none comes."""
    if not client.wait_clean(moment, START_SECONDS):
        raise RuntimeError(f"the stream was never live: {client.events[-1:]}")


def broken(
    server: RtspServer,
    clients: tuple[Client, Client | None],
    damage: Callable[[], None],
    repair: Callable[[], None],
    seconds: float,
    **options: Any,
) -> Outcome:
    """The outcome of `damage`, `seconds`, and `repair`, on streams that were live before."""
    client, theirs = clients
    until_live(client)
    time.sleep(CALM_SECONDS)
    began_at = time.monotonic()
    damage()
    time.sleep(seconds)
    repair()
    restored_at = time.monotonic()
    client.wait_clean(restored_at, LIVE_SECONDS)
    time.sleep(AFTER_SECONDS)
    until = time.monotonic()
    client.finish()
    sent = server.sent()
    outcome = outcome_of(client, sent, began_at=began_at, restored_at=restored_at, **options)
    if theirs:
        outcome.opencv = opencv_outcome(theirs, sent, began_at, until)
    return outcome


def kill(bed: Bed) -> Outcome:
    """The camera loses power for 20 s"""
    with bed.server(clip := bed.clip()) as server, bed.clients(server.url, clip) as clients:
        return broken(server, clients, server.kill, server.start, 20)


def freeze(bed: Bed) -> Outcome:
    """The camera freezes for 15 s (SIGSTOP)"""
    with bed.server(clip := bed.clip()) as server, bed.clients(server.url, clip) as clients:
        return broken(server, clients, server.freeze, server.resume, 15)


def other_size(bed: Bed) -> Outcome:
    """The camera restarts with 320x192 in place of 640x360"""
    clip, small = bed.clip(), bed.clip((192, 320))
    with bed.server(clip) as server, bed.clients(server.url, clip, small) as clients:
        repair = lambda: server.restart(clip=small)  # noqa: E731
        outcome = broken(server, clients, server.kill, repair, 2)
        if clients[0].frames[-1]["size"] != [320, 192]:
            outcome.failures.append("the new size was not followed")
        return outcome


def other_codec(bed: Bed) -> Outcome:
    """The camera restarts with H.265 and B-frames in place of H.264"""
    clip, h265 = bed.clip(), bed.clip((352, 640), "h265", frames=300, b_frames=2)
    with bed.server(clip) as server, bed.clients(server.url, clip, h265) as clients:
        repair = lambda: server.restart(clip=h265)  # noqa: E731
        return broken(server, clients, server.kill, repair, 2)


def password(bed: Bed) -> Outcome:
    """The password is wrong for 20 s, then right"""
    clip = bed.clip()
    with bed.server(clip, user="viewer", password="other", digest=True) as server:
        url = server.url.replace("://", "://viewer:p%40ss@")
        with bed.clients(url, clip) as clients:
            return rejected(server, clients, "ES-SOURCE-AUTH", "p@ss")


def rejected(server: RtspServer, clients: tuple[Client, Client | None], code: str, right: str) -> Outcome:
    """The outcome where the source is refused with `code` from the start on, and lets us in after 20 s."""
    client, _ = clients
    began_at = time.monotonic()
    client.wait(lambda: any(event.get("code") for event in client.events), START_SECONDS)
    time.sleep(max(0.0, began_at + 20 - time.monotonic()))
    server.restart(password=right)
    return finished(server, clients, began_at, code)


def finished(server: RtspServer, clients: tuple[Client, Client | None], began_at: float, code: str) -> Outcome:
    client, theirs = clients
    restored_at = time.monotonic()
    client.wait_clean(restored_at, LIVE_SECONDS)
    time.sleep(AFTER_SECONDS)
    until = time.monotonic()
    client.finish()
    sent = server.sent()
    outcome = outcome_of(client, sent, began_at=began_at, restored_at=restored_at)
    codes = {event["code"] for event in client.events if event.get("code") and event["at"] < restored_at}
    if codes != {code}:
        outcome.failures.append(f"codes: {', '.join(sorted(codes)) or 'none'} in place of {code}")
    if theirs:
        outcome.opencv = opencv_outcome(theirs, sent, began_at, until)
    return outcome


def absent(bed: Bed) -> Outcome:
    """The camera is off for the first 20 s"""
    clip = bed.clip()
    with bed.server(clip) as server:
        server.kill()
        with bed.clients(server.url, clip) as clients:
            return rejected(server, clients, "ES-SOURCE-REFUSED", "")


def dns(bed: Bed) -> Outcome:
    """The name of the camera cannot be resolved for 20 s"""
    hosts = bed.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    # A mount namespace of their own: the clients see `hosts` as /etc/hosts, and nothing else changes.
    prefix = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        return Outcome(skipped="needs the right to mount (root)")
    with bed.server(clip := bed.clip()) as server, contextlib.ExitStack() as stack:
        clients = stack.enter_context(bed.clients(server.url.replace("127.0.0.1", NAME), clip, prefix=prefix))
        began_at = time.monotonic()
        time.sleep(20)
        hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
        return finished(server, clients, began_at, "ES-SOURCE-DNS")


def udp_loss(bed: Bed) -> Outcome:
    """5% of the UDP packets are lost"""
    return lossy(bed, 0.05, 0.0, seed=5)


def udp_corruption(bed: Bed) -> Outcome:
    """5% of the UDP packets are lost, 1% damaged on the wire"""
    try:
        return several_lossy(bed, on_the_wire=True)
    except PermissionError:
        return Outcome(skipped="needs root, for a raw socket")


def udp_forged(bed: Bed) -> Outcome:
    """5% of the UDP packets are lost, 1% damaged behind a right checksum"""
    return several_lossy(bed, on_the_wire=False)


def several_lossy(bed: Bed, *, on_the_wire: bool) -> Outcome:
    """The worst of several rounds: by chance a single one may be clean."""
    rounds = [lossy(bed, 0.05, 0.01, seed, on_the_wire=on_the_wire) for seed in range(bed.rounds)]
    outcome = worst(rounds)
    rate = sum(each.data["meanwhile_fps"] for each in rounds) / len(rounds)
    outcome.note = f", {len(rounds)} times {bed.seconds:g} s ({rate:.1f} frames/s fed meanwhile)"
    return outcome


def lossy(bed: Bed, loss: float, corruption: float, seed: int, *, on_the_wire: bool = False) -> Outcome:
    """While a lossy network lasts, clean frames must come, and no others; afterwards the stream is as before."""
    with bed.server(clip := bed.clip()) as server, contextlib.ExitStack() as stack:
        proxy = stack.enter_context(UdpProxy(server.port, seed=seed, on_the_wire=on_the_wire))
        clients = stack.enter_context(bed.clients(proxy.url(), clip, udp=True))

        def damage() -> None:
            proxy.loss, proxy.corruption = loss, corruption

        def repair() -> None:
            proxy.loss = proxy.corruption = 0.0

        outcome = broken(server, clients, damage, repair, bed.seconds)
        began, ended = outcome.data["began_at"], outcome.data["restored_at"]
        meanwhile = sum(began < frame["at"] < ended for frame in clients[0].frames)
        outcome.data |= {"sent": proxy.sent, "lost": proxy.lost, "damaged": proxy.damaged}
        outcome.data["meanwhile_fps"] = meanwhile / (ended - began)
        outcome.note = f" for {bed.seconds:g} s ({outcome.data['meanwhile_fps']:.1f} frames/s fed meanwhile)"
        return outcome


def tcp_stall(bed: Bed) -> Outcome:
    """The network delivers nothing for 20 s, then everything"""
    clip = bed.clip()
    with bed.server(clip) as server, TcpProxy(server.port) as proxy, bed.clients(proxy.url(), clip) as clients:
        return broken(server, clients, proxy.hold, proxy.release, 20)


def tcp_cut(bed: Bed) -> Outcome:
    """The connection is reset, and refused for 5 s"""
    clip = bed.clip()
    with bed.server(clip) as server, TcpProxy(server.port) as proxy, bed.clients(proxy.url(), clip) as clients:

        def damage() -> None:
            proxy.refuse()
            proxy.cut()

        return broken(server, clients, damage, proxy.listen, 5)


def backlog_short(bed: Bed) -> Outcome:
    """Silence of 8 s, delivered in 1 s: no reason to reconnect"""
    clip = bed.clip()
    with bed.server(clip) as server, TcpProxy(server.port) as proxy, bed.clients(proxy.url(), clip) as clients:
        outcome = broken(
            server,
            clients,
            proxy.hold,
            proxy.burst,
            8,
            allow_seconds=2.0,
        )
        began = outcome.data["began_at"]
        if lost := [event for event in clients[0].events if event.get("code") and event["at"] > began]:
            outcome.failures.append(f"it reconnected: {lost[0]['code']}")
        return outcome


def backlog(bed: Bed) -> Outcome:
    """A link at a twentieth of its speed for 20 s, then the backlog in 1 s"""
    clip = bed.clip()
    with bed.server(clip) as server, TcpProxy(server.port) as proxy, bed.clients(proxy.url(), clip) as clients:
        damage = lambda: proxy.slow(20)  # noqa: E731
        return broken(server, clients, damage, proxy.burst, 20)


def two_clients(bed: Bed) -> Outcome:
    """Two clients of one camera, which loses power for 10 s"""
    clip = bed.clip()
    with bed.server(clip) as server, bed.clients(server.url, clip) as (client, theirs):
        second = Client("edgeseg", server.url, [clip.video])
        try:
            until_live(second)
            outcome = broken(server, (client, theirs), server.kill, server.start, 10)
            second.wait_clean(outcome.data["restored_at"], LIVE_SECONDS)
            second.finish()
        finally:
            second.kill()
        other = outcome_of(
            second,
            server.sent(),
            began_at=outcome.data["began_at"],
            restored_at=outcome.data["restored_at"],
        )
        outcome.failures += [f"second client: {failure}" for failure in other.failures]
        outcome.frames += other.frames
        outcome.damaged += other.damaged
        outcome.live_seconds = max(outcome.live_seconds or 0, other.live_seconds or 0) or None
        outcome.limit_seconds = max(outcome.limit_seconds or 0, other.limit_seconds or 0)
        outcome.max_age = max(outcome.max_age or 0, other.max_age or 0)
        outcome.data["second"] = other.data
        return outcome


def parent_killed(bed: Bed) -> Outcome:
    """The process of edgeseg is killed (SIGKILL): its reader must end"""
    clip = bed.clip()
    with bed.server(clip) as server:
        client = Client("edgeseg", server.url, [clip.video])
        until_live(client)
        readers = psutil.Process(client.pid).children(recursive=True)
        os.kill(client.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        while (alive := running(readers)) and time.monotonic() < killed_at + 10:
            time.sleep(0.01)
        seconds = time.monotonic() - killed_at
        client.kill()
        outcome = Outcome(frames=len(client.frames))
        outcome.left = f"{len(alive)} of {len(readers)} readers" if alive else f"nothing after {seconds:.2f} s"
        if alive or not readers:
            outcome.failures.append("a reader is alive" if alive else "no reader was found")
        for process in alive:
            process.kill()
        return outcome


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one that its new parent did not collect yet has."""
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


def reconnects(bed: Bed) -> Outcome:
    """The connection is reset again and again"""
    clip = bed.clip((192, 320), frames=250, fps=25, key_interval=5)
    warm_up, growth = 20, 0.0
    with bed.server(clip) as server, TcpProxy(server.port) as proxy:
        client = Client("edgeseg", proxy.url(), [clip.video], "--backoff", "0.02")
        try:
            until_live(client)
            began_at = time.monotonic()
            sizes: list[float] = []
            for count in range(warm_up + bed.reconnects):
                cut_at = time.monotonic()
                proxy.cut()
                until_live(client, cut_at)
                if count >= warm_up - 1 and (count - warm_up + 1) % 10 == 0:
                    sizes.append(client.census()["rss_mib"])
            client.finish()
        finally:
            client.kill()
        outcome = outcome_of(client, server.sent(), began_at=began_at)
    growth = sizes[-1] - sizes[0]
    outcome.note = f", {bed.reconnects} times: RSS {growth:+.1f} MiB"
    outcome.data |= {"rss_mib": sizes, "seconds": time.monotonic() - began_at, "growth_mib": growth}
    if growth > 2:
        outcome.failures.append(f"RSS grows by {growth:.1f} MiB")
    return outcome


CASES: dict[str, Callable[[Bed], Outcome]] = {
    "kill": kill,
    "freeze": freeze,
    "size": other_size,
    "codec": other_codec,
    "absent": absent,
    "password": password,
    "dns": dns,
    "udp-loss": udp_loss,
    "udp-corruption": udp_corruption,
    "udp-forged": udp_forged,
    "tcp-stall": tcp_stall,
    "tcp-cut": tcp_cut,
    "backlog-short": backlog_short,
    "backlog": backlog,
    "two-clients": two_clients,
    "parent-killed": parent_killed,
    "reconnects": reconnects,
}
