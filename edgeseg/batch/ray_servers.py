"""The servers of Ray that a driver cannot do without, of which each is a process that may be killed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from edgeseg.errors import UnavailableError

CHECK_SECONDS = 1.0
CONNECT_SECONDS = 1.0
RAYLET_SECONDS = 5.0  # Ray ends the driver after some 10 s
RAY_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"  # a variable of Ray
RAY_WAITS_SECONDS = 60.0  # its default
SHARE = 0.75


class RayServers:
    """The GCS of the cluster, and the raylet of this machine.

    Where one of them is gone for good, Ray waits for a while and then ends the process, without an error of ours. A GCS
    may come back within the time that Ray gives it. Those that cannot be reached from here are not watched.
    """

    def __init__(self, ray: Any, clock: Callable[[], float] = time.monotonic) -> None:
        context = ray.get_runtime_context()
        own = [node for node in ray.nodes() if node["NodeID"] == context.get_node_id()]
        limits = {context.gcs_address: SHARE * float(os.environ.get(RAY_WAITS, RAY_WAITS_SECONDS))}
        limits |= {f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": RAYLET_SECONDS for node in own}
        self._clock, now = clock, clock()
        self._limits = {address: limit for address, limit in limits.items() if answers(address)}
        self._answered = dict.fromkeys(self._limits, now)
        self._checked = now

    def check(self) -> None:
        """UnavailableError where one of them is gone. It may be called as often as you like."""
        now = self._clock()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        for address, limit in self._limits.items():
            if answers(address):
                self._answered[address] = now
            elif now - self._answered[address] > limit:
                raise UnavailableError(
                    f"the Ray cluster is gone: nothing has answered at {address} for {limit:.0f} s",
                    hint="run the command again, after ray start where the cluster is not local",
                    code="ES-RAY",
                )


def answers(address: str) -> bool:
    """Whether anything listens at HOST:PORT."""
    try:
        connect(address, CONNECT_SECONDS)
    except OSError:
        return False
    return True


def connect(address: str, seconds: float) -> None:
    """OSError where nothing answers at HOST:PORT."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
