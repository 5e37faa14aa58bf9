"""Decisions of the shield, with a clock that tests turn."""

from __future__ import annotations

import pytest

from littoral.protocols.shield import ClientLimits, Shield, client_of
from littoral.protocols.shield.shield import FLOOR

NOW = 1_000.0


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_a_client_is_an_address_or_its_64(host: str, client: str) -> None:
    assert client_of(host) == client


def test_connections_at_once_are_each_clients_own() -> None:
    shield = Shield(ClientLimits(connections=3))
    assert [shield.arrives("a", NOW) for _ in range(5)] == ["", "", "", "client-connections", "client-connections"]
    assert shield.arrives("b", NOW) == ""
    shield.leaves("a")
    assert shield.arrives("a", NOW) == ""
    assert (shield.connections, shield.clients) == (4, 2)
    for _ in range(3):
        shield.leaves("a")
    shield.leaves("b")
    assert (shield.connections, shield.clients) == (0, 0)
    assert shield.refused == {"client-connections": 2}


def test_connections_that_come_too_quickly_are_refused_and_counted() -> None:
    shield = Shield(ClientLimits(connection_rate=10))
    seen = [shield.arrives("a", NOW) for _ in range(20)]
    assert seen.count("") == 11
    assert set(seen[11:]) == {"client-connection-rate"}
    assert shield.arrives("a", NOW + 2.0) == ""


def asked(shield: Shield, client: str, rate: int, seconds: float, start: float = NOW, *, work: bool = False) -> int:
    """How many of a steady stream of requests are taken."""
    taken = left = 0
    for number in range(int(rate * seconds)):
        now = start + number / rate
        if not left:
            left = shield.asks(client, now)
        if left:
            left -= 1
            taken += 1
            if work:
                shield.works(client, now)
    return taken


def test_a_client_has_its_limit_and_a_second_s_burst() -> None:
    shield = Shield(ClientLimits(requests=1_000))
    assert 2_990 <= asked(shield, "a", 5_000, 2.0) <= 3_200
    assert asked(shield, "b", 900, 2.0) == 1_800
    assert shield.refused["client-requests"] > 1_000


def test_while_the_loop_is_late_those_who_ask_the_most_are_refused() -> None:
    shield = Shield()
    for _ in range(10):
        shield.runs(0.1, 2)
    assert shield.price == 50_000 / FLOOR
    assert asked(shield, "small", 50, 4.0) == 200
    assert 190 <= asked(shield, "large", 5_000, 1.0) <= 210  # the floor, and its burst
    assert asked(shield, "expensive", 5_000, 1.0, work=True) <= 90
    assert shield.arrives("expensive", NOW + 0.5) == "client-requests"


def test_the_price_falls_when_the_loop_is_in_time() -> None:
    shield = Shield()
    shield.runs(0.01, 2)  # neither late nor in time
    assert shield.price == 1.0
    shield.runs(0.05, 2)
    assert shield.price == 4.0
    shield.runs(0.01, 2)
    assert shield.price == 4.0
    shield.runs(0.1, 2)
    assert shield.price == 64.0  # very late
    for _ in range(90):
        shield.runs(0.0, 2)
    assert shield.price == 1.0


def test_a_small_limit_is_not_made_smaller() -> None:
    shield = Shield(ClientLimits(requests=80))
    for _ in range(10):
        shield.runs(0.1, 2)
    assert shield.price == 1.0


def test_a_client_that_is_alone_pays_no_more() -> None:
    shield = Shield()
    for _ in range(10):
        shield.runs(0.1, 1)
    assert shield.price == 1.0
    shield.runs(0.05, 2)
    assert shield.price == 4.0
    for _ in range(40):
        shield.runs(0.1, 1)
    assert shield.price == 1.0
