"""The proxy that damages packets: what the machine's network does with them."""

from __future__ import annotations

import socket

import fault_proxy
import pytest

PATIENCE_SECONDS = 60.0  # far more than this takes


@pytest.mark.parametrize(("damaged", "arrives"), [(b"odd", True), (b"even", True), (b"evil", False)])
def test_damage_on_the_wire_is_found_by_the_checksum(damaged: bytes, arrives: bool) -> None:
    try:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("a raw socket needs root")
    sent = b"even" if damaged == b"evil" else damaged
    with raw, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((fault_proxy.HOST, 0))
        receiver.settimeout(PATIENCE_SECONDS)
        port = receiver.getsockname()[1]
        whole = fault_proxy.udp_datagram(5004, port, b"last")
        for datagram in (fault_proxy.udp_datagram(5004, port, sent)[:8] + damaged, whole):
            raw.sendto(datagram, (fault_proxy.HOST, 0))
        first = damaged if arrives else b"last"
        assert receiver.recvfrom(100) == (first, (fault_proxy.HOST, 5004))
