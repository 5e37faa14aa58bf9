"""Viewer certificates on their way from the region's feed to a location, over loopback without TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from littoral.aws.service import Principal
from littoral.edge.control import Control
from littoral.edge.feed import Feed
from littoral.edge.location import Refused, Region
from littoral.edge.viewercertificates import CERTIFICATES, ViewerCertificates, used
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import Request
from littoral.store.embedded import EmbeddedStore
from littoral.store.sealed import CannotOpen, Seal

ARN = "arn:aws:acm:us-east-1:000000000000:certificate/a"
FIRST, SECOND = (b"chain 1", b"key 1"), (b"chain 2", b"key 2")


@dataclass(frozen=True)
class Key:
    id: str
    secret: str


class Held:
    """The region's certificates; a fingerprint is the chain itself."""

    def __init__(self) -> None:
        self.pairs = {ARN: FIRST}
        self.asked = 0

    def fingerprint(self, arn: str) -> str | None:
        return self.pairs[arn][0].hex() if arn in self.pairs else None

    async def pair(self, arn: str, fingerprint: str) -> tuple[bytes, bytes] | None:
        self.asked += 1
        return self.pairs[arn]


class Way:
    def __init__(self, store: EmbeddedStore, control: Control, held: Held, region: Region, folder: Path) -> None:
        self.control, self.held, self.region = control, held, region
        self.records, self.control_records = store.records("edge-location"), store.records("edge-control")
        self.key = folder / "edge.key"

    def location(self, secret: str = "secret") -> ViewerCertificates:
        return ViewerCertificates(self.region, secret, self.records, Seal.load_or_create(self.key))

    @property
    def state(self) -> dict[str, Any]:
        return used(self.control, self.held)


@pytest_asyncio.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    store, held, client = await EmbeddedStore.open(tmp_path / "store"), Held(), HttpClient()
    control = await Control.open(store.records("edge-control"))
    config = {"ViewerCertificate": {"ACMCertificateArn": ARN}}
    await control.put("distribution", "E1", {"id": "E1", "config": config})
    secrets = {"root": "secret"}

    async def authenticate(request: Request) -> Principal:
        name = (request.headers.get("authorization") or "").partition("Credential=")[2].partition("/")[0]
        return Principal("key", name)

    feed = Feed(control, authenticate, None, held, lambda principal: secrets.get(principal.name))
    listener = await listen_http(feed.handle)
    region = Region(f"http://127.0.0.1:{listener.port}", Key("root", "secret"), client)
    yield Way(store, control, held, region, tmp_path)
    await client.close()
    await listener.close(0.0)
    await store.close()


async def test_it_is_fetched_once_and_kept(way: Way) -> None:
    location = way.location()
    await location.load(way.state)
    shown = location.of(ARN)
    assert shown == FIRST
    await location.load(way.state)
    assert location.of(ARN) is shown and way.held.asked == 1  # the same pair: nothing is made anew of it
    again = way.location()
    assert await again.restore(way.state) and again.of(ARN) == FIRST and way.held.asked == 1


async def test_another_one_takes_its_place(way: Way) -> None:
    location = way.location()
    await location.load(way.state)
    way.held.pairs[ARN] = SECOND
    await location.load(way.state)
    await location.clean(way.state)
    assert location.of(ARN) == SECOND
    assert len(await way.records.scan("certificate/")) == 1
    await location.load({})
    await location.clean({})
    assert location.of(ARN) is None and await way.records.scan("certificate/") == []


async def test_neither_on_the_way_nor_on_the_disk_is_a_key_in_the_clear(way: Way) -> None:
    location = way.location()
    await location.load(way.state)
    path = f"/_littoral/edge/certificate?arn={ARN}&fingerprint={way.state[CERTIFICATES][ARN]}"
    assert FIRST[1] not in await way.region.ask("GET", path)
    (kept,) = await way.records.scan("certificate/")
    assert FIRST[1] not in kept.value
    await location.clean({})
    with pytest.raises(CannotOpen):  # who signs with another secret, or reads along
        await way.location("other").load(way.state)


async def test_a_lost_key_of_the_location_s_is_no_loss(way: Way) -> None:
    await way.location().load(way.state)
    way.key.unlink()
    again = way.location()
    assert not await again.restore(way.state)
    await again.load(way.state)
    assert again.of(ARN) == FIRST and way.held.asked == 2


async def test_who_gets_none(way: Way) -> None:
    fingerprint = way.state[CERTIFICATES][ARN]
    with pytest.raises(Refused, match="404"):  # not what holds now
        await way.region.ask("GET", f"/_littoral/edge/certificate?arn={ARN}&fingerprint=00")
    other = Region(way.region.url, Key("user", "secret"), way.region.client)
    with pytest.raises(Refused, match="403"):
        await other.ask("GET", f"/_littoral/edge/certificate?arn={ARN}&fingerprint={fingerprint}")
    await way.control.delete("distribution", "E1")
    with pytest.raises(Refused, match="404"):  # no distribution uses it
        await way.region.ask("GET", f"/_littoral/edge/certificate?arn={ARN}&fingerprint={fingerprint}")
    assert way.held.asked == 0


async def test_a_change_that_fails_is_told_to_nobody(way: Way) -> None:
    """And one that is made is told also where the place ends before it says so: the revision is reserved first."""
    before = way.control.revision

    async def fails() -> None:
        raise OSError

    with pytest.raises(OSError):
        await way.control.carried(fails)
    assert way.control.revision == before

    async def works() -> None:
        reopened = await Control.open(way.control_records)
        assert reopened.revision == before + 1

    await way.control.carried(works)
    assert way.control.revision == before + 1
