"""A transfer over TLS to a place that knows wide records, with somebody between."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path

import pytest

from littoral.box.transfer.asking import Keys
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.moving import Mover
from littoral.cli.transfer import End, How
from littoral.net.client import HttpClient
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.net.wide import PROTOCOLS
from tests.box.conftest import Depot
from tests.net.relaying import parted, tapped
from tests.net.test_wide import flipped, left_out, repeated, shortened
from tests.support.objects import objects_in
from tests.support.served import served

MIB = 1024 * 1024


class Place:
    """A place behind TLS, and where its files are to go."""

    def __init__(self, depot: Depot, authority: Authority) -> None:
        self.depot, self.authority = depot, authority
        self.port = int(depot.served.url.rpartition(":")[2])

    def bucket(self, client: HttpClient, port: int, how: How) -> Bucket:
        keys = Keys(self.depot.served.access_key, self.depot.served.secret_key)
        end = End.believing(f"https://localhost:{port}", keys, self.authority.certificate_pem)
        return end.bucket(client, "ward", how)

    async def filled(self, folder: Path, port: int, how: How | None = None) -> Mover:
        client, journal = HttpClient(), Journal.open(folder / "journal.db")
        try:
            destination = self.bucket(client, port, how or How())
            await destination.make()
            mover = Mover(Folder(folder / "files"), destination, journal)
            await mover.run()
            return mover
        finally:
            journal.close()
            await client.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    made = {f"patient-{number}-of-the-ward": os.urandom(size) for number, size in enumerate((900_000, 40 * MIB + 5))}
    (tmp_path / "files").mkdir()
    for name, data in made.items():
        (tmp_path / "files" / name).write_bytes(data)
    return made


def context(authority: Authority, *alpn: str) -> ssl.SSLContext:
    return server_context(authority.issue_server(["localhost"]).pair, alpn=alpn)


async def held(place: Place, port: int, *, make: bool = False) -> dict[str, bytes]:
    client, found = HttpClient(), {}
    bucket = place.bucket(client, port, How())
    try:
        if make:
            await bucket.make()
        for one in (await bucket.page())[0]:
            async with await bucket.get(one.key, one.etag) as answer:
                found[one.key] = await answer.body.read()
    finally:
        await client.close()
    return found


async def test_what_is_changed_on_the_way_is_sent_again_and_arrives_whole(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    authority = Authority.create("Test")
    with served(objects_in, tls=context(authority, *PROTOCOLS)) as running:
        place = Place(Depot(running), authority)
        async with tapped(place.port, flipped, left_out, shortened, repeated) as tap:
            mover = await place.filled(tmp_path, tap.port)
            assert mover.failed == {}
            assert mover.progress.retries >= 4
            assert await held(place, place.port) == files
            seen = b"".join(bytes(each) for each in (*tap.out, *tap.back))
    assert not any(word in seen for word in (b"patient-", b"of-the-ward", b"x-amz-", b"X-Amz-", b"AWS4-HMAC"))
    assert not any(data[at : at + 12] in seen for data in files.values() for at in range(0, len(data), 500_000))
    assert sum(len(record) for out in tap.out for record in parted(bytes(out))[1]) > sum(map(len, files.values()))


@pytest.mark.parametrize(("alpn", "how"), [((), How()), (("http/1.1",), How()), (PROTOCOLS, How(wide=False))])
async def test_where_one_end_does_not_know_or_want_them_it_goes_in_those_of_tls(
    files: dict[str, bytes], tmp_path: Path, alpn: tuple[str, ...], how: How
) -> None:
    authority = Authority.create("Test")
    with served(objects_in, tls=context(authority, *alpn)) as running:
        place = Place(Depot(running), authority)
        async with tapped(place.port) as tap:
            assert (await place.filled(tmp_path, tap.port, how)).failed == {}
            assert await held(place, place.port) == files
            assert all(parted(bytes(out))[1] == [] for out in tap.out)


@pytest.mark.parametrize("words", [(), ("--no-wide-records",)])
async def test_the_command_sends_them_unless_it_is_told_not_to(
    files: dict[str, bytes], tmp_path: Path, words: tuple[str, ...]
) -> None:
    authority = Authority.create("Test")
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    with served(objects_in, tls=context(authority, *PROTOCOLS)) as running:
        place = Place(Depot(running), authority)
        await held(place, place.port, make=True)
        env = {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "AWS_ACCESS_KEY_ID": running.access_key,
            "AWS_SECRET_ACCESS_KEY": running.secret_key,
        }
        async with tapped(place.port) as tap:
            asked = ("--endpoint", f"https://localhost:{tap.port}", "--ca", str(tmp_path / "ca.pem"), *words)
            command = (
                sys.executable,
                "-m",
                "littoral",
                "box",
                "transfer",
                str(tmp_path / "files"),
                "s3://ward",
                *asked,
            )
            assert await (await asyncio.create_subprocess_exec(*command, env=env)).wait() == 0
            assert any(parted(bytes(out))[1] for out in tap.out) is not bool(words)
        assert await held(place, place.port) == files
