"""Clients that are not heard, with sockets of the kernel."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from littoral.net.silence import FOR, LOOK, MOST, OFTEN, Silence, drops

linux = pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def connects(listening: socket.socket, source: str) -> bool:
    with socket.socket(listening.family) as client:
        client.settimeout(0.2)
        client.bind((source, 0))
        try:
            client.connect(listening.getsockname())
        except TimeoutError:
            return False
        return True


def often(silence: Silence, client: str, now: float) -> None:
    for _ in range(OFTEN):
        silence.refused(client, now)
    silence.look(now)


@linux
def test_who_is_refused_all_the_time_is_not_heard_for_a_while(listening: socket.socket) -> None:
    silence = Silence([listening])
    often(silence, "127.3.1.1", 1.0)
    assert not connects(listening, "127.3.1.1")
    assert connects(listening, "127.3.1.2")
    silence.look(1.0 + FOR)
    assert not silence
    assert connects(listening, "127.3.1.1")


@linux
def test_what_is_connected_stays(listening: socket.socket) -> None:
    silence = Silence([listening])
    with socket.create_connection(listening.getsockname(), source_address=("127.3.1.1", 0)) as client:
        accepted, _ = listening.accept()
        with accepted:
            often(silence, "127.3.1.1", 1.0)
            client.sendall(b"still here")
            accepted.settimeout(10)
            assert accepted.recv(64) == b"still here"


@linux
def test_ipv6_is_silenced_by_its_network() -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with listening:
        silence = Silence([listening])
        often(silence, "2001:db8::/64", 1.0)
        assert connects(listening, "::1")
        often(silence, "::/64", 2.0)
        assert not connects(listening, "::1")


@linux
def test_more_than_the_filter_takes(listening: socket.socket) -> None:
    silence = Silence([listening])
    for number in range(MOST + 3):
        often(silence, f"127.3.{number}.1", 1.0)
        often(silence, f"2001:db8:{number:x}::/64", 1.0)
    assert not connects(listening, "127.3.0.1")
    assert connects(listening, f"127.3.{MOST + 2}.1")


def test_a_few_refusals_are_no_reason(listening: socket.socket) -> None:
    silence = Silence([listening])
    for round_ in range(10):
        for _ in range(OFTEN - 1):
            silence.refused("127.3.1.1", round_ * LOOK)
        silence.look(round_ * LOOK)
    assert not silence


def test_what_is_no_address_is_in_no_filter() -> None:
    assert drops(["", "a/b"]) == drops([])
