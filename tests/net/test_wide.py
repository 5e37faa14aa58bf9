"""Wide records over real sockets: our client against our listener, somebody between them, and others than these."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from littoral import spare
from littoral.net import secure, turns, wide
from littoral.net.bulk import Answer, Bulk
from littoral.net.client import HttpClient
from littoral.net.failures import ConnectFailed, Disconnected
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS, WideSocket, widened
from littoral.protocols import frames, widerecords
from littoral.protocols.widerecords import ALPN, AROUND, NARROW, RECORD
from tests.net.relaying import Spoils, parted, tapped
from tests.net.test_transport import Seen, echo, place, until
from tests.net.wire import serving

MIB = 1024 * 1024
DATA = memoryview(os.urandom(5 * MIB + 17))
DIGEST = hashlib.sha256(DATA).hexdigest().encode()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue_server(["localhost"]).pair, alpn=PROTOCOLS)


@pytest.fixture(scope="module")
def client(authority: Authority) -> ssl.SSLContext:
    return client_context(ca=authority.certificate_pem, alpn=PROTOCOLS)


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(client_context)
    yield made
    made.close()


async def digest(request: Request) -> Response:
    found = hashlib.sha256(await request.body.read()).hexdigest().encode()
    told = {"X-Port": str(request.peer.port), "X-Name": request.peer.server_name or "", "X-Tls": request.peer.handshake}
    return Response(200, Headers.of(list(told.items())), found)


async def put(bulk: Bulk, port: int, context: ssl.SSLContext, path: str = "/") -> Answer:
    return await bulk.request("PUT", f"https://localhost:{port}{path}", Headers(), DATA, tls=context)


async def test_both_ends_know_of_them_and_nothing_but_them_follows_the_handshake(
    bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "QUICK", 1000)
    async with serving(digest, tls=server) as listener, tapped(listener.port) as tap:
        answers = [await put(bulk, tap.port, client, "/secret-ward/patient") for _ in range(3)]
        together = await asyncio.gather(*(put(bulk, tap.port, client, "/secret-ward/patient") for _ in range(4)))
        assert {(one.status, one.body) for one in (*answers, *together)} == {(200, DIGEST)}
        assert len({one.headers.get("x-port") for one in answers}) == 1
        assert answers[0].headers.get("x-name") == "localhost"
        assert (answers[0].headers.get("x-tls") or "").startswith("TLSv1.3:TLS_AES_")
        for sent, back in zip(tap.out, tap.back, strict=True):
            tls, records = parted(bytes(sent), frames.sealed_size(len(DATA)))
            assert sum(map(len, tls)) + sum(map(len, records)) == len(sent)
            assert sum(map(len, tls)) < 2000
            assert {*map(len, records)} >= {RECORD + AROUND}
            assert max(map(len, records)) in (RECORD + AROUND, frames.sealed_size(len(DATA)))
            seen = bytes(sent + back)
            for word in (b"secret-ward", b"PUT /secret", b"HTTP/1.1 200", b"content-length", b"x-port", DIGEST):
                assert word not in seen and word not in seen.lower()
            assert not any(bytes(DATA[at : at + 12]) in seen for at in range(0, len(DATA), 50_000))


def test_who_looks_on_knows_a_body_in_frames_whatever_it_begins_with() -> None:
    head, framed = bytes([widerecords.BODY, 0, 0, 3]) + b"abc", bytes([widerecords.BODY]) * 50
    sent = [head, bytes([widerecords.DATA, 0, 0, 2]) + b"de", framed]
    assert parted(b"".join(sent * 3), len(framed)) == ([], sent * 3)


async def test_a_server_without_them_is_spoken_to_in_tls(
    bulk: Bulk, authority: Authority, client: ssl.SSLContext
) -> None:
    for alpn in ((), ("http/1.1",)):
        context = server_context(authority.issue_server(["localhost"]).pair, alpn=alpn)
        async with serving(digest, tls=context) as listener, tapped(listener.port) as tap:
            assert (await put(bulk, tap.port, client)).body == DIGEST
            assert parted(bytes(tap.out[0]))[1] == []


async def test_a_client_without_them_is_answered_in_tls(
    bulk: Bulk, authority: Authority, server: ssl.SSLContext
) -> None:
    plain = client_context(ca=authority.certificate_pem)
    async with serving(digest, tls=server) as listener, tapped(listener.port) as tap:
        assert (await put(bulk, tap.port, plain)).body == DIGEST
        http = HttpClient()
        async with await http.request("PUT", f"https://localhost:{tap.port}/", body=bytes(DATA), tls=plain) as told:
            assert await told.body.read() == DIGEST
        await http.close()
        assert [parted(bytes(seen))[1] for seen in tap.out] == [[], []]


async def test_who_refuses_before_the_end_is_heard(bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async def refuse(_: Request) -> Response:
        return Response(403, Headers(), b"no")

    async with serving(refuse, tls=server) as listener, tapped(listener.port) as tap:
        for _ in range(3):
            answer = await put(bulk, tap.port, client)
            assert (answer.status, answer.body) == (403, b"no")
        assert all(parted(bytes(back))[1] for back in tap.back)


async def test_certificates_and_fingerprints_of_clients_are_known_as_over_tls(bulk: Bulk, authority: Authority) -> None:
    named = authority.issue_client("nurse")
    pem = authority.certificate_pem
    context = server_context(
        authority.issue_server(["localhost"]).pair, client_cas=[pem], clients="required", alpn=PROTOCOLS
    )
    seen: list[tuple[bytes | None, str, str]] = []

    async def look(request: Request) -> Response:
        await request.body.read()
        seen.append((request.peer.certificate, request.peer.ja3, request.peer.ja4))
        return Response(200, Headers(), b"")

    async with serving(look, tls=context, looks=lambda: True) as listener, tapped(listener.port) as tap:
        for alpn in (PROTOCOLS, PROTOCOLS[1:]):
            with_pair = client_context(ca=pem, pair=named.pair, alpn=alpn)
            assert (await put(bulk, tap.port, with_pair)).status == 200
        assert [bool(parted(bytes(out))[1]) for out in tap.out] == [True, False]
    assert seen[0][0] is not None
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] == seen[1][1] != ""
    assert [ja4[8:10] for _, _, ja4 in seen] == ["l2", "h1"]


def flipped(records: list[bytes]) -> list[bytes]:
    return [*records[:20], *(bytes([*each[:-1], each[-1] ^ 1]) for each in records[20:21]), *records[21:]]


def repeated(records: list[bytes]) -> list[bytes]:
    return [*records[:20], *records[19:20], *records[20:]] if len(records) >= 20 else records


def swapped(records: list[bytes]) -> list[bytes]:
    if len(records) < 22:
        return records[:20]
    return [*records[:20], records[21], records[20], *records[22:]]


def left_out(records: list[bytes]) -> list[bytes]:
    return [*records[:20], *records[21:]]


def shortened(records: list[bytes]) -> list[bytes]:
    return [*records[:20], *(each[:-1] for each in records[20:21]), *records[21:]]


@pytest.mark.parametrize("spoils", [flipped, repeated, swapped, left_out, shortened])
async def test_what_somebody_between_changes_is_refused_and_goes_by_another_connection(
    bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext, spoils: Spoils
) -> None:
    bodies: list[bytes] = []

    async def keeps(request: Request) -> Response:
        got = bytearray()
        bodies.append(b"")
        try:
            async for chunk in request.body:
                got += chunk
        finally:
            bodies[-1] = bytes(got)
        return Response(200, Headers(), b"ok")

    async with serving(keeps, tls=server) as listener, tapped(listener.port, spoils) as tap:
        with pytest.raises(Disconnected):
            await put(bulk, tap.port, client)
        assert (await put(bulk, tap.port, client)).body == b"ok"
        assert len(tap.out) == 2
        await until(lambda: bodies[0])
    assert bytes(DATA).startswith(bodies[0]) and len(bodies[0]) <= 20 * RECORD
    assert bodies[1] == DATA


async def test_what_a_server_gets_is_cut_or_ended_as_its_client_said(
    server: ssl.SSLContext, client: ssl.SSLContext
) -> None:
    async with place("tls", server, echo) as here:
        for ends in (WideSocket.close, WideSocket.cut):
            line = await asyncio.to_thread(connected, here.port, client)
            line.sendall(b"hello")
            assert await asyncio.to_thread(line.recv, 100) == b"hello"
            ends(line)
        ended, cut = here.made
        await asyncio.wait_for(asyncio.gather(ended.lost, cut.lost), 20)
        assert ended.told == ["eof", "lost"] and ended.lost.result() is None
        assert cut.told == ["lost"] and isinstance(cut.lost.result(), ssl.SSLError)
        line.close()


def connected(port: int, context: ssl.SSLContext) -> WideSocket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    line = widened(context.wrap_socket(plain, server_hostname="localhost"))
    assert isinstance(line, WideSocket)
    return line


async def test_a_client_hears_whether_its_server_ended_or_was_cut(
    server: ssl.SSLContext, client: ssl.SSLContext
) -> None:
    def react(seen: Seen, data: bytes) -> None:
        seen.transport.write(b"x" * 3 * MIB)
        (seen.transport.close if data == b"close" else seen.transport.abort)()

    def all_of(port: int, word: bytes) -> int:
        line = connected(port, client)
        line.sendall(word)
        count = 0
        try:
            while data := line.recv(300_000):
                assert not data.strip(b"x")
                count += len(data)
        finally:
            line.close()
        return count

    async with place("tls", server, react) as here:
        assert await asyncio.to_thread(all_of, here.port, b"close") == 3 * MIB
        with pytest.raises(OSError):
            await asyncio.to_thread(all_of, here.port, b"abort")


async def test_much_goes_both_ways_at_once(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Neither side reads before the other has no room, and rooms and records end at different places."""
    content = os.urandom(4 * MIB + 3)

    def both_ways(port: int) -> bytes:
        line, got = connected(port, client), bytearray()
        sending = threading.Thread(target=lambda: line.sendall(content))
        sending.start()
        while len(got) < len(content):
            got += line.recv(77_777)
        sending.join()
        line.close()
        return bytes(got)

    async with place("tls", server, echo) as here:
        assert await asyncio.to_thread(both_ways, here.port) == content
        await asyncio.wait_for(here.made[0].lost, 20)


async def test_openssl_reads_the_contribution_and_nothing_beyond(
    server: ssl.SSLContext, client: ssl.SSLContext
) -> None:
    """What follows it in the same segment is still in the socket, and what comes byte by byte is waited for."""

    def talk(port: int) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        own, theirs = b"c" * 32, b""
        while not theirs:
            try:
                tls.do_handshake()
                plain.sendall(outgoing.read())
                theirs = tls.read(32)
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(1 if tls.version() == "TLSv1.3" else 65536))
        tls.write(own)
        outward, inward = widerecords.secrets(own, theirs)
        sealer, room = widerecords.Sealer(outward), memoryview(bytearray(100))
        first, second, third = (
            bytes(room[: sealer.seal_into(memoryview(word), room)[1]]) for word in (b"one", b"two", b"three")
        )
        plain.sendall(outgoing.read() + first)
        for byte in second:
            plain.sendall(bytes([byte]))
        plain.sendall(third + sealer.end())  # and does not close: the end is in the record
        answer = bytearray()
        while data := plain.recv(65536):
            answer += data
        plain.close()
        opener, got = widerecords.Opener(inward), b""
        left = memoryview(answer)
        while not opener.ended:
            length = opener.length(left)
            got += room[: opener.open_into(left[:length], room)]
            left = left[length:]
        assert not left
        return got

    async with place("tls", server, echo) as here:
        assert await asyncio.to_thread(talk, here.port) == b"onetwothree"


@pytest.mark.parametrize("said", [b"", b"x" * 31, b"x" * 33, b"x" * 40_000])
async def test_who_offers_them_and_does_not_go_on_is_dropped_in_the_handshakes_time(
    server: ssl.SSLContext, client: ssl.SSLContext, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secure, "HANDSHAKE", 20.0 if said else 0.3)

    def talk(port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        with client.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
            assert tls.selected_alpn_protocol() == ALPN
            with pytest.raises(OSError):
                tls.sendall(said)
                while tls.read(100):
                    pass

    async with place("tls", server) as here:
        await asyncio.to_thread(talk, here.port)
        assert not here.made


async def test_tls_1_2_is_too_old(bulk: Bulk, server: ssl.SSLContext, authority: Authority) -> None:
    old = client_context(ca=authority.certificate_pem, alpn=PROTOCOLS)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(digest, tls=server) as listener:
        with pytest.raises(ConnectFailed) as refused:
            await put(bulk, listener.port, old)
    assert isinstance(refused.value.__cause__, ssl.SSLError)

    def talk(port: int) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        with old.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
            assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.2", ALPN)
            with pytest.raises(OSError):
                tls.read(100)

    async with place("tls", server) as here:
        await asyncio.to_thread(talk, here.port)
        assert not here.made


async def test_a_worn_key_is_left_for_a_new_connection(
    bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widerecords, "MOST", 168)  # the first request takes 82, the second 2 and is in frames
    monkeypatch.setattr(wide, "QUICK", 1000)
    async with serving(digest, tls=server) as listener:
        ports = [(await put(bulk, listener.port, client)).headers.get("x-port") for _ in range(4)]
    assert [ports.count(port) for port in dict.fromkeys(ports)] == [2, 2]


async def test_on_a_slow_link_a_record_is_no_wider_than_one_of_tls(
    bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "QUICK", 0)
    async with serving(digest, tls=server) as listener, tapped(listener.port) as tap:
        assert (await put(bulk, tap.port, client)).body == DIGEST
        assert max(map(len, parted(bytes(tap.out[0]))[1])) == NARROW + AROUND


async def test_the_memory_that_is_read_into_is_nobodys_for_long(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    async with place("tls", server) as here:
        lines = [await asyncio.to_thread(connected, here.port, client) for _ in range(spare.KEPT + 4)]
        for line in lines:
            line.sendall(b"a" * 50_000)
            line.sendall(b"b")
        await until(lambda: sum(len(seen.data) for seen in here.made) == 50_001 * len(lines))
        assert len(wide._received) <= spare.KEPT
        for line in lines:
            line.close()


async def test_what_is_kept_of_a_record_is_read_when_the_turn_has_time_again(
    bulk: Bulk, server: ssl.SSLContext, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "SERVING", 0.0)
    monkeypatch.setattr(turns, "STRIDE", 0)  # all that is read waits, and holds up what would be read next
    async with serving(digest, tls=server) as listener, asyncio.timeout(20):
        answers = await asyncio.gather(*(put(bulk, listener.port, client) for _ in range(4)))
    assert {(one.status, one.body) for one in answers} == {(200, DIGEST)}
