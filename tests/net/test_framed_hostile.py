"""A client that speaks wide records rightly up to a point, and sends a body in frames that is not as it says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.net import lending
from littoral.net.bulk import Bulk
from littoral.net.limits import Limits
from littoral.net.listen import HttpListener
from littoral.net.message import BodyError, Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS, WideSocket, widened
from littoral.objects import Objects
from littoral.objects.checksums import ALGORITHMS, Digests
from littoral.objects.pouring import Opening, pour
from littoral.protocols import widerecords
from littoral.protocols.frames import FRAME, SEALED
from littoral.protocols.ownheaders import BY_CHECKSUM, ETAG
from littoral.protocols.widerecords import BODY, DATA, END, NARROW, RECORD, FramedBody
from littoral.store import past
from littoral.store.contract import Damaged, FramedWriter, StoreError
from littoral.store.embedded import EmbeddedStore, blobs
from littoral.store.embedded.sealedfile import SealedFile
from littoral.store.embedded.sealing import HEAD, BlobSeal
from littoral.store.frames import CannotOpen, Sealer, opened
from littoral.store.key import StoreKey
from tests.net.test_transport import until
from tests.net.wire import serving
from tests.support.killed import acknowledged
from tests.support.served import served

MIB = 1024 * 1024
SIZE = 5 * MIB + 77
CONTENT = os.urandom(SIZE)
LIMITS = Limits(body_timeout=1.0, header_timeout=2.0, linger=0.5)


class Ward:
    """A place that keeps bodies in a sealed store, or does something else with them, as their path says."""

    def __init__(self, store: EmbeddedStore, listener: HttpListener | None = None) -> None:
        self.store = store
        self.listener = listener
        self.framed = 0  # bodies whose frames lie as they came

    async def handle(self, request: Request) -> Response:
        what = request.raw_path.strip("/")
        if what == "refuse":
            return Response(403, Headers(), b"no")
        if what == "part":
            async for _ in request.body:
                break
            return Response(409, Headers(), b"enough")
        if what == "look":
            return Response(200, Headers(), b"looked")
        writer = await self.store.blobs("ward").create(what)
        begin = writer.begin_frames

        def begun(key: bytes, name: str) -> bool:
            self.framed += 1
            return begin(key, name)

        writer.begin_frames = begun  # type: ignore[method-assign]
        digests = Digests(ALGORITHMS["CRC64NVME"], by_checksum=True)
        try:
            await pour(request.body, digests, writer, None)
            await writer.commit()
        except (BodyError, StoreError) as problem:
            await writer.abort()
            return Response(400, Headers(), type(problem).__name__.encode())
        except BaseException:
            await writer.abort()
            raise
        return Response(200, Headers(), (digests.checksum or "").encode())

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.store.folder / "blobs" / "ward").glob("*"))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(scope="module")
def client(authority: Authority) -> ssl.SSLContext:
    return client_context(ca=authority.certificate_pem, alpn=PROTOCOLS)


@pytest.fixture(params=[True, False], ids=["sealed", "clear"])
async def ward(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ward]:
    monkeypatch.setattr(blobs, "LINGER", 0.1)
    store = await EmbeddedStore.open(tmp_path / "store", key=StoreKey(bytes(range(32))) if request.param else None)
    made = Ward(store)
    tls = server_context(authority.issue_server(["localhost"]).pair, alpn=PROTOCOLS)
    async with serving(made.handle, LIMITS, tls=tls) as listener:
        made.listener = listener
        yield made
    await store.close()


class Hostile:
    """Blocking: use it in a thread."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = widened(context.wrap_socket(plain, server_hostname="localhost"))
        assert isinstance(line, WideSocket)
        self.line = line

    def record(self, kind: int, content: bytes) -> bytes:
        return self.line._sealer._sealed(kind, content)

    def head(self, path: str, *fields: str) -> bytes:
        return "\r\n".join((f"PUT /{path} HTTP/1.1", "Host: localhost", *fields, "", "")).encode()

    def announced(self, size: int, content: bytes) -> tuple[bytes, FramedBody]:
        """BODY and DATA, and the body that follows."""
        records = self.record(BODY, size.to_bytes(8)) + self.record(DATA, content)
        return records, self.line._sealer._next_body(size)

    def framed(self, body: FramedBody, content: bytes) -> bytes:
        made = bytearray()
        for at in range(0, len(content), MIB):
            room = memoryview(bytearray(MIB + 1024))
            made += room[: body.seal_into(memoryview(content)[at : at + MIB], room)]
        return bytes(made)

    def whole(self, path: str, content: bytes, *fields: str) -> tuple[bytes, bytes]:
        """Head and frames of an honest request."""
        records, body = self.announced(len(content), self.head(path, f"Content-Length: {len(content)}", *fields))
        return records, self.framed(body, content)

    def send(self, data: bytes) -> None:
        socket.socket.sendall(self.line._sock, data)

    def ask(self, path: str, content: bytes = b"") -> None:
        """As anybody does, in records."""
        head = self.head(path, f"Content-Length: {len(content)}")
        self.send(
            self.record(DATA, head + content[:1000]) + (self.record(DATA, content[1000:]) if content[1000:] else b"")
        )

    def replies(self) -> list[int]:
        """Statuses until the place says nothing more for a moment, or ends the connection (0)."""
        got, ended = b"", [0]
        self.line.settimeout(4)
        try:
            while data := self.line.recv(65536):
                got += data
                self.line.settimeout(4 if b"HTTP/1.1 4" in got else 0.4)  # who is refused is listened to for a while
        except TimeoutError:
            ended = []
        except OSError:
            pass
        return [*(int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]), *ended]

    def close(self) -> None:
        self.line.close()


def other_size(size: int) -> Callable[[Hostile], None]:
    def attack(at: Hostile) -> None:
        records, body = at.announced(size, at.head("k", f"Content-Length: {SIZE}"))
        at.send(records)
        at.send(at.framed(body, CONTENT[:size]) if size < SIZE else at.framed(body, (CONTENT + bytes(size))[:size]))

    return attack


def no_body(at: Hostile) -> None:
    records, body = at.announced(SIZE, at.head("look"))
    at.send(records + at.framed(body, CONTENT))


def no_size(at: Hostile) -> None:
    at.send(at.record(BODY, bytes(8)) + at.record(DATA, at.head("k", f"Content-Length: {SIZE}")) + bytes(MIB))


def too_much(at: Hostile) -> None:
    at.send(at.record(BODY, (2**48 + 1).to_bytes(8)) + at.record(DATA, at.head("k", f"Content-Length: {SIZE}")))
    at.send(bytes(MIB))


def twice(at: Hostile) -> None:
    at.send(at.record(BODY, SIZE.to_bytes(8)) * 1 + at.record(BODY, SIZE.to_bytes(8)))
    at.send(at.record(DATA, at.head("k", f"Content-Length: {SIZE}")) + bytes(MIB))


def then_end(at: Hostile) -> None:
    at.send(at.record(BODY, SIZE.to_bytes(8)) + at.record(END, b""))


def empty_data(at: Hostile) -> None:
    at.send(at.record(BODY, SIZE.to_bytes(8)) + at.record(DATA, b"") + bytes(MIB))


def bad_tag(number: int) -> Callable[[Hostile], None]:
    def attack(at: Hostile) -> None:
        records, frames = at.whole("k", CONTENT)
        spoilt = bytearray(frames)
        spoilt[min(len(frames), (number + 1) * SEALED) - 1] ^= 1
        at.send(records + spoilt)

    return attack


def last_in_the_middle(at: Hostile) -> None:
    records, body = at.announced(SIZE, at.head("k", f"Content-Length: {SIZE}"))
    made = at.framed(body, CONTENT[: 10 * FRAME])
    last = bytearray(SEALED)
    body.frames.seal_into(CONTENT[10 * FRAME : 11 * FRAME], memoryview(last), last=True)
    body.done += FRAME
    at.send(records + made + last + at.framed(body, CONTENT[11 * FRAME :]))


def left_out(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT)
    at.send(records + frames[: 20 * SEALED] + frames[21 * SEALED :] + frames[-SEALED:])


def of_another_body(at: Hostile) -> None:
    """Frames that were right in the body before."""
    records, frames = at.whole("k", CONTENT)
    at.send(records + frames)
    assert at.replies() == [200]
    again, _ = at.whole("k", CONTENT)
    at.send(again + frames)


def silent_in_a_frame(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT)
    at.send(records + frames[: 30 * SEALED + 1000])


def silent_before_the_head(at: Hostile) -> None:
    at.send(at.record(BODY, SIZE.to_bytes(8)))


def cut_in_a_frame(at: Hostile) -> None:
    silent_in_a_frame(at)
    time.sleep(0.02)
    at.line.cut()


def cut_at_the_head(at: Hostile) -> None:
    records, _ = at.whole("k", CONTENT)
    at.send(records)
    at.line.cut()


def trickled(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT)
    at.send(records)
    try:
        for byte in frames[:100]:
            at.send(bytes([byte]))
            time.sleep(0.04)
    except OSError:
        return  # thrown out, rightly


def nonces_of(secret: bytes) -> list[tuple[bytes, bytes]]:
    """Key and what is of the name in a nonce, of some bodies."""
    bodies = [FramedBody(secret, number, SIZE) for number in range(200)]
    return [(body.key, bytes.fromhex(body.name)[:8]) for body in bodies]


def test_no_two_bodies_have_a_key_or_a_name() -> None:
    ours, theirs = os.urandom(32), os.urandom(32)
    places = [
        *widerecords.secrets(ours, theirs),
        *widerecords.secrets(theirs, ours),
        *widerecords.secrets(ours, os.urandom(32)),  # again, on another connection
    ]
    found = [pair for secret in places for pair in nonces_of(secret.bodies)]
    assert len({key for key, _ in found}) == len({name for _, name in found}) == len(found)
    assert not {secret.key for secret in places} & {key for key, _ in found}


@pytest.mark.parametrize("left", [0, 1, 1000, SEALED - 1, SEALED, 17 * SEALED + 5, 80 * SEALED + 90])
def test_what_is_sealed_anew_from_within_a_frame_is_what_was_sent(tmp_path: Path, left: int) -> None:
    """So no nonce has two plaintexts: the rest of that frame, and those behind it, are the same again."""
    secret = os.urandom(32)
    body, sent = FramedBody(secret, 3, SIZE), bytearray()
    for at in range(0, SIZE, MIB):
        room = memoryview(bytearray(MIB + 1024))
        sent += room[: body.seal_into(memoryview(CONTENT)[at : at + MIB], room)]
    seal = BlobSeal(bytes(32))
    head, sealer = seal.sealer_of(body.key, body.name)
    file = SealedFile(tmp_path / body.name, head, sealer)
    came = 0
    while came < left:
        count = min(len(file.room), left - came)
        file.room[:count] = sent[came : came + count]
        file.came(count)
        came += count
    number, begun = divmod(left, SEALED)
    file.go_on(number, begun, whole=False)
    for at in range(number * FRAME, SIZE, 77_777):
        file.write(CONTENT[at : min(SIZE, at + 77_777)])
    file.sync()
    file.close()
    assert (tmp_path / body.name).read_bytes()[len(head) :] == sent


PIECES = st.sampled_from([1, 3, 20, 4000, SEALED - 1, SEALED, SEALED + 1, 200_000, MIB])
ROOMS = st.sampled_from([1, 100, FRAME - 1, FRAME, FRAME + 1, 300_000, MIB])
SENT = st.one_of(
    st.tuples(st.just(0), st.sampled_from([1, 500, 70_000, 600_000])),
    st.tuples(st.sampled_from([1, 17, FRAME, FRAME + 1, 3 * FRAME, 5 * FRAME + 9]), st.sampled_from([1, 90, NARROW])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SENT, min_size=1, max_size=6), st.sampled_from([NARROW, RECORD]), st.data())
def test_whatever_comes_in_whatever_pieces_is_read_in_whatever_rooms(
    sent: list[tuple[int, int]], width: int, data: st.DataObject
) -> None:
    """Records and bodies in frames, of which some are taken sealed for a while, or not at all."""
    secret = widerecords.secrets(bytes(32), bytes(32))[0]
    sealer, wire, content = widerecords.Sealer(secret, width), bytearray(), bytearray()
    for framed, plain in sent:
        said = CONTENT[:plain]
        if framed:
            records, body = sealer.body(said, framed)
            room = memoryview(bytearray(framed + 1024))
            wire += records + bytes(room[: body.seal_into(memoryview(CONTENT)[:framed], room)])
        else:
            room = memoryview(bytearray(plain + 2000))
            wire += room[: sealer.seal_into(memoryview(said), room)[1]]
        content += said + CONTENT[:framed]
    wire += sealer.end()
    incoming, left, got = widerecords.Incoming(widerecords.Opener(secret)), memoryview(bytes(wire)), bytearray()
    memory = memoryview(bytearray(widerecords.sealed_size(MIB)))

    def receive(rooms: Sequence[memoryview], most: int) -> int:
        nonlocal left
        count = 0
        for room in rooms:
            size = min(len(room), len(left), most - count)
            room[:size] = left[:size]
            left, count = left[size:], count + size
        assert count, "it waits for what does not come"
        return count

    while not incoming.ended:
        found = incoming.body
        if found is not None and data.draw(st.booleans()):
            taken = bytearray()
            for _ in range(data.draw(st.integers(1, 3))):
                room = memoryview(bytearray(min(data.draw(ROOMS), found.sealed)))
                count, wanted = incoming.take_sealed(room)
                if wanted:
                    more = receive([room[count : count + wanted]], data.draw(PIECES))
                    incoming.came_sealed(more)
                    count += more
                taken += room[:count]
            whole = len(taken) if len(taken) == found.unopened else len(taken) // SEALED * SEALED
            if whole:
                opened_ = memoryview(bytearray(whole))
                got += opened_[: found.open_into(memoryview(taken)[:whole], opened_)]
            incoming.put_back(bytes(taken[whole:]))
            continue
        room = memoryview(bytearray(data.draw(ROOMS)))
        if incoming.ready:
            made = incoming.take(room)
        else:
            buffers = incoming.buffers(room, memory)
            made = incoming.received(receive(buffers, data.draw(PIECES)), room, memory)
        got += room[:made]
        assert len(got) <= len(content)
    assert got == content and not left


async def test_who_keeps_the_key_of_his_body_and_takes_the_disk_has_no_more_than_that_body(tmp_path: Path) -> None:
    """He opens it, and can change it so that nobody notices: its key is not the place's alone. Nothing else."""
    key = StoreKey(bytes(range(32)))
    store = await EmbeddedStore.open(tmp_path / "store", key=key)
    ward, his = store.blobs("ward"), FramedBody(os.urandom(32), 0, MIB)
    sent = memoryview(bytearray(MIB + 16 * 16))
    his.seal_into(memoryview(CONTENT)[:MIB], sent)
    writer = await ward.create("his")
    assert isinstance(writer, FramedWriter)
    assert writer.begin_frames(his.key, his.name)
    left = sent
    while left:
        count = min(len(left), len(writer.frames_room()))
        writer.frames_room()[:count] = left[:count]
        writer.frames_came(count, memoryview(CONTENT)[:MIB] if count == len(left) else memoryview(b""))
        left = left[count:]
    writer.end_frames(16, 0, whole=True)
    await writer.commit()
    assert await ward.get("his") == CONTENT[:MIB]
    known = {path.name for path in (tmp_path / "store" / "blobs" / "ward").glob("*")}
    await ward.put("hers", CONTENT[:MIB])
    (hers,) = (path for path in (tmp_path / "store" / "blobs" / "ward").glob("*") if path.name not in known)
    own = hers.with_name(his.name)
    assert opened(his.key, his.name, MIB, own.read_bytes()[HEAD:]) == CONTENT[:MIB]
    untouched = hers.read_bytes()
    with pytest.raises(CannotOpen):
        opened(his.key, his.name, MIB, untouched[HEAD:])
    with pytest.raises(CannotOpen):
        opened(his.key, hers.name, MIB, untouched[HEAD:])
    forged = framed_by(his.key, hers.name, bytes(MIB))
    for planted in (own.read_bytes(), own.read_bytes()[:HEAD] + forged, untouched[:HEAD] + forged):
        hers.write_bytes(planted)
        with pytest.raises(Damaged):
            await ward.get("hers")
    hers.write_bytes(untouched)
    assert await ward.get("hers") == CONTENT[:MIB]
    own.write_bytes(own.read_bytes()[:HEAD] + framed_by(his.key, his.name, bytes(MIB)))
    assert await ward.get("his") == bytes(MIB)
    await store.close()


def framed_by(key: bytes, name: str, content: bytes) -> bytes:
    sealer = Sealer(key, name)
    return sealer.update(content) + sealer.finish()


class Refusing:
    """What a thread has of its lent connection, as far as frames are opened there."""

    def __init__(self) -> None:
        self.taken = 0
        self.problem: OSError | None = None

    def refuse(self, problem: OSError) -> None:
        self.problem = problem


class Begun:
    def __init__(self, body: FramedBody) -> None:
        self.body = body


# A refused frame has used its number up, so those behind it in the piece would open again, be hashed and
# are counted as taken (only where it lay across two pieces). The connection ends all the same.
@pytest.mark.parametrize("begins", [1000, 3 * SEALED + 1000])
def test_behind_a_refused_frame_nothing_is_opened(begins: int) -> None:
    secret = os.urandom(32)
    body, sent = FramedBody(secret, 0, SIZE), memoryview(bytearray(MIB + 256))
    body.seal_into(memoryview(CONTENT)[:MIB], sent)
    spoilt = begins // SEALED * SEALED
    sent[spoilt] ^= 1
    lent = Refusing()
    opening = Opening(lending.Frames(lent, Begun(FramedBody(secret, 0, SIZE))))  # type: ignore[arg-type]
    room = memoryview(bytearray(2 * MIB))
    assert len(opening.open(sent[:begins], room)) == begins // SEALED * FRAME
    assert len(opening.open(sent[begins:], room)) == 0
    assert lent.problem is not None
    assert lent.taken == opening.opened == begins // SEALED * FRAME


# A dataclass's own repr would show its keys to whoever logs it.
def test_no_secret_is_shown() -> None:
    secret = widerecords.secrets(bytes(32), bytes(32))[0]
    body = FramedBody(secret.bodies, 0, SIZE)
    for shown in (repr(secret), repr(body), repr(body.frames), str(secret)):
        for hidden in (secret.key, secret.iv, secret.bodies, body.key):
            assert hidden.hex() not in shown and repr(hidden) not in shown


def rubbish_behind(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT)
    at.send(records + frames + b"\xff" * 1000)


ENDED = {
    "shorter": (other_size(SIZE - FRAME), [[400, 0], [0], [400]]),
    "no size": (no_size, [[0]]),
    "too much": (too_much, [[0]]),
    "twice": (twice, [[0]]),
    "then end": (then_end, [[0]]),
    "empty data": (empty_data, [[0]]),
    "no body": (no_body, [[200, 400, 0], [200, 0], [200, 400]]),
    "first tag": (bad_tag(0), [[0], [400, 0]]),
    "middle tag": (bad_tag(40), [[0], [400, 0]]),
    "last tag": (bad_tag(1000), [[0], [400, 0]]),
    "last in the middle": (last_in_the_middle, [[0], [400, 0]]),
    "left out": (left_out, [[0], [400, 0]]),
    "of another body": (of_another_body, [[0], [400, 0]]),
    "silent in a frame": (silent_in_a_frame, [[400, 0]]),
    "silent before the head": (silent_before_the_head, [[408, 0], [0]]),
    "cut in a frame": (cut_in_a_frame, [[0]]),
    "cut at the head": (cut_at_the_head, [[0]]),
    "trickled": (trickled, [[400, 0], [0]]),
}


def begun(port: int, context: ssl.SSLContext) -> Hostile:
    made = Hostile(port, context)
    made.ask("look")
    assert made.replies() == [200]
    return made


async def harmless(ward: Ward, client: ssl.SSLContext, beside: Hostile) -> None:
    """Nothing is left of an attack, and honest requests go on, here and on a connection that was there before."""
    await until(lambda: not lending._lent)
    await until(lambda: not [name for name in ward.files() if name.endswith(".part")])
    async with asyncio.timeout(20):  # a handler whose client has gone goes on, and replaced files linger
        while len(ward.files()) != len(await ward.store.blobs("ward").scan()):
            await asyncio.sleep(0.02)
    records, frames = beside.whole("beside", CONTENT)
    await asyncio.to_thread(beside.send, records + frames)
    assert await asyncio.to_thread(beside.replies) == [200]
    assert await ward.store.blobs("ward").get("beside") == CONTENT
    bulk = Bulk(client_context)
    assert ward.listener is not None
    url = f"https://localhost:{ward.listener.port}/honest"
    try:
        for _ in range(2):
            answer = await bulk.request("PUT", url, Headers(), memoryview(CONTENT), tls=client)
            assert answer.status == 200
    finally:
        bulk.close()
    assert await ward.store.blobs("ward").get("honest") == CONTENT


@pytest.mark.parametrize("name", list(ENDED))
async def test_an_attack_is_ended_and_leaves_nothing(ward: Ward, client: ssl.SSLContext, name: str) -> None:
    attack, expected = ENDED[name]
    assert ward.listener is not None
    beside = await asyncio.to_thread(begun, ward.listener.port, client)

    def carried_out() -> list[int]:
        at = Hostile(ward.listener.port, client)  # type: ignore[union-attr]
        with suppress(OSError):  # the place has ended it while it was sent
            attack(at)
        try:
            return at.replies()
        finally:
            at.close()

    found = await asyncio.wait_for(asyncio.to_thread(carried_out), 30)
    assert await ward.store.blobs("ward").info("k") is None or name == "of another body"
    await harmless(ward, client, beside)
    assert found in expected
    beside.close()


def larger(at: Hostile) -> None:
    """What follows the request's body, in the frames still, is the next request."""
    other = at.head("look")
    records, body = at.announced(SIZE + len(other), at.head("k", f"Content-Length: {SIZE}"))
    at.send(records + at.framed(body, CONTENT + other))


def before_a_small_one(at: Hostile) -> None:
    records, body = at.announced(5, at.head("k", "Content-Length: 5"))
    at.send(records + at.framed(body, b"small"))


def before_one_that_is_not_lent(at: Hostile) -> None:
    content = CONTENT[:300_000]
    at.send(b"".join(at.whole("k", content)))


def chunked(at: Hostile) -> None:
    content = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, CONTENT)
    records, body = at.announced(len(content), at.head("k", "Transfer-Encoding: chunked"))
    at.send(records + at.framed(body, content))


def chunked_and_another_behind(at: Hostile) -> None:
    """The first is not read by its handler, and has all come when the frames of the second begin."""
    first = at.head("look", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    at.send(at.record(DATA, first) + b"".join(at.whole("k", CONTENT)))


def some_of_it_before(at: Hostile) -> None:
    """The head's record has some of the body, so that the frames end before it does."""
    records, body = at.announced(SIZE, at.head("k", f"Content-Length: {SIZE + 9}") + b"123456789")
    at.send(records + at.framed(body, CONTENT))


def some_of_it_before_and_the_size_of_all(at: Hostile) -> None:
    other = at.head("look")
    records, body = at.announced(SIZE, at.head("k", f"Content-Length: {SIZE}") + CONTENT[:90])
    at.send(records + at.framed(body, (CONTENT[90:] + other + bytes(90))[:SIZE]))


def head_in_the_frames(at: Hostile) -> None:
    head = at.head("k", f"Content-Length: {SIZE}")
    records, body = at.announced(SIZE + len(head) - 9, head[:9])
    at.send(records + at.framed(body, head[9:] + CONTENT))


def two_in_a_segment(at: Hostile) -> None:
    at.send(b"".join((*at.whole("k", CONTENT), *at.whole("l", CONTENT))))


def many_with_others_between(at: Hostile) -> None:
    for _ in range(3):
        at.send(b"".join(at.whole("k", CONTENT)))
        at.ask("l", b"x" * 1500)


def in_records_behind(at: Hostile) -> None:
    at.send(b"".join(at.whole("k", CONTENT)) + at.record(DATA, at.head("look")))


def with_an_end_behind(at: Hostile) -> None:
    at.send(b"".join(at.whole("k", CONTENT)) + at.record(END, b""))


def expecting(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT, "Expect: 100-continue")
    at.send(records)
    assert at.replies() == [100]
    at.send(frames)


def refused(at: Hostile) -> None:
    at.send(b"".join(at.whole("refuse", CONTENT)))


def refused_while_silent(at: Hostile) -> None:
    at.send(at.whole("refuse", CONTENT)[0])


def read_in_part(at: Hostile) -> None:
    at.send(b"".join(at.whole("part", CONTENT)))


def in_two_halves(at: Hostile) -> None:
    """The thread leaves in the middle of a frame, and what follows is written from there."""
    records, frames = at.whole("k", CONTENT)
    for piece in (
        records,
        frames[: 30 * SEALED + 1000],
        frames[30 * SEALED + 1000 : 70 * SEALED + 1],
        frames[70 * SEALED + 1 :],
    ):
        at.send(piece)
        time.sleep(0.4)


def silent_behind_the_head(at: Hostile) -> None:
    records, frames = at.whole("k", CONTENT)
    at.send(records)
    time.sleep(0.4)
    at.send(frames)


ANSWERED = {
    "larger": (larger, [[200, 200]], CONTENT),
    "before a small one": (before_a_small_one, [[200]], b"small"),
    "before one that is not lent": (before_one_that_is_not_lent, [[200]], CONTENT[:300_000]),
    "chunked": (chunked, [[200]], CONTENT),
    "chunked, and another behind": (chunked_and_another_behind, [[200, 200]], CONTENT),
    "some of it before": (some_of_it_before, [[200]], b"123456789" + CONTENT),
    "some before, the size of all": (some_of_it_before_and_the_size_of_all, [[200, 200], [200, 200, 400, 0]], CONTENT),
    "head in the frames": (head_in_the_frames, [[200]], CONTENT),
    "two in a segment": (two_in_a_segment, [[200, 200]], CONTENT),
    "many": (many_with_others_between, [[200] * 6], CONTENT),
    "in records behind": (in_records_behind, [[200, 200]], CONTENT),
    "an end behind": (with_an_end_behind, [[200, 0], [0]], None),
    "rubbish behind": (rubbish_behind, [[200, 0], [0]], None),
    "expecting": (expecting, [[200]], CONTENT),
    "refused": (refused, [[403, 0]], None),
    "refused while silent": (refused_while_silent, [[403, 0]], None),
    "read in part": (read_in_part, [[409, 0]], None),
    "in two halves": (in_two_halves, [[200]], CONTENT),
    "silent behind the head": (silent_behind_the_head, [[200]], CONTENT),
}


@pytest.mark.parametrize("name", list(ANSWERED))
async def test_what_is_odd_but_right_is_answered_and_kept_as_it_was_sent(
    ward: Ward, client: ssl.SSLContext, name: str
) -> None:
    attack, expected, kept = ANSWERED[name]
    assert ward.listener is not None
    beside = await asyncio.to_thread(begun, ward.listener.port, client)

    def carried_out() -> list[int]:
        at = Hostile(ward.listener.port, client)  # type: ignore[union-attr]
        try:
            attack(at)
            return at.replies()
        finally:
            at.close()

    assert await asyncio.wait_for(asyncio.to_thread(carried_out), 30) in expected
    if kept is not None:
        assert await ward.store.blobs("ward").get("k") == kept
    await harmless(ward, client, beside)
    beside.close()


async def test_who_sends_to_a_full_disk_is_told_and_nothing_is_left(
    ward: Ward, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ward.listener is not None
    beside = await asyncio.to_thread(begun, ward.listener.port, client)
    write = past.NewFile.write

    def full(file: past.NewFile, data: memoryview) -> None:
        if file._size >= 2 * MIB:
            raise OSError(28, "no space")
        write(file, data)

    def carried_out() -> list[int]:
        at = Hostile(ward.listener.port, client)  # type: ignore[union-attr]
        records, frames = at.whole("k", CONTENT)
        at.send(records + frames[: 50 * SEALED + 1000])
        time.sleep(0.1)
        with suppress(OSError):
            at.send(frames[50 * SEALED + 1000 :])
        try:
            return at.replies()
        finally:
            at.close()

    with monkeypatch.context() as patched:
        patched.setattr(past.NewFile, "write", full)
        found = await asyncio.to_thread(carried_out)
    await harmless(ward, client, beside)
    assert found[:1] == [400]  # of this ward, for StorageFailed
    beside.close()


# One stride of room is too little for what may come of a piece of a stride, and the begin
# of a frame from before it, hold up to a stride and 64 KiB of content where the body ends in that piece.
@pytest.mark.parametrize("size", [31 * FRAME + 100, 47 * FRAME + 30_000, 63 * FRAME + 50_000])
async def test_a_body_whose_last_frame_ends_a_full_piece_is_kept(ward: Ward, client: ssl.SSLContext, size: int) -> None:
    assert ward.listener is not None
    content = (CONTENT * 2)[:size]

    def carried_out() -> list[int]:
        at = Hostile(ward.listener.port, client)  # type: ignore[union-attr]
        at.send(b"".join(at.whole("k", content)))
        try:
            return at.replies()
        finally:
            at.close()

    assert await asyncio.to_thread(carried_out) == [200]
    assert await ward.store.blobs("ward").get("k") == content


ENCRYPTED: dict[str, dict[str, Any]] = {
    "not": {},
    "s3": {"ServerSideEncryption": "AES256"},
    "kms": {"ServerSideEncryption": "aws:kms"},
    "customer": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))},
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("asked", list(ENCRYPTED))
def test_parts_of_encrypted_objects_and_of_clear_stores_are_not_kept_as_they_came(
    authority: Authority, client: ssl.SSLContext, tmp_path: Path, asked: str, sealed: bool
) -> None:
    async def factory(_: EmbeddedStore) -> dict[str, Any]:
        own = await EmbeddedStore.open(tmp_path / "own", key=StoreKey(bytes(32)) if sealed else None)
        objects = await Objects.open(own, tmp_path / "objects")
        await objects.start()
        return {"s3": objects.api, "close": [objects.close, own.close]}

    wanted = ENCRYPTED[asked]
    customer = {name: value for name, value in wanted.items() if name.startswith("SSEC")}
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    with served(factory, tls=server_context(authority.issue_server(["localhost"]).pair, alpn=PROTOCOLS)) as place:
        port = urlsplit(place.url).port or 0
        s3 = boto3.client(
            "s3",
            **{**place.client_kwargs, "endpoint_url": f"https://localhost:{port}"},
            verify=str(tmp_path / "ca.pem"),
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        )
        s3.create_bucket(Bucket="ward")
        begun = s3.create_multipart_upload(Bucket="ward", Key="k", ChecksumAlgorithm="CRC64NVME", **wanted)
        upload = {"Bucket": "ward", "Key": "k", "UploadId": begun["UploadId"]}
        fields = [f"{ETAG}: {BY_CHECKSUM}", f"Content-Length: {SIZE}"]
        if customer:
            key, stem = customer["SSECustomerKey"], "x-amz-server-side-encryption-customer"
            digest = hashlib.md5(key, usedforsecurity=False).digest()
            fields += [f"{stem}-algorithm: AES256", f"{stem}-key: {base64.b64encode(key).decode()}"]
            fields += [f"{stem}-key-MD5: {base64.b64encode(digest).decode()}"]
        at = Hostile(port, client)
        for number in (1, 2):
            url = urlsplit(s3.generate_presigned_url("upload_part", {**upload, "PartNumber": number, **customer}))
            head = [f"PUT {url.path}?{url.query} HTTP/1.1", f"Host: localhost:{port}", *fields, "", ""]
            records, body = at.announced(SIZE, "\r\n".join(head).encode())
            at.send(records + at.framed(body, CONTENT))
            assert at.replies() == [200]
        at.close()
        names = {FramedBody(at.line._sealer._bodies, number, SIZE).name for number in range(2)}
        files = {path.name for path in (tmp_path / "own" / "blobs").rglob("*")}
        assert len(names & files) == (2 if sealed and asked == "not" else 0)
        kept = ("PartNumber", "ETag", "ChecksumCRC64NVME")
        parts = [{name: part[name] for name in kept} for part in s3.list_parts(**upload)["Parts"]]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **customer)
        assert s3.get_object(Bucket="ward", Key="k", **customer)["Body"].read() == CONTENT * 2


def content_of(number: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4)).digest(3 * MIB + number)


@pytest.mark.slow
async def test_after_kill_9_what_was_acknowledged_is_there_and_nothing_else(tmp_path: Path) -> None:
    expected: set[str] = set()
    cut = 0
    for run in range(20):
        told = await asyncio.to_thread(acknowledged, __name__, tmp_path, run, 1 + run % 9)
        expected |= {key for key, what in told.items() if what == "kept"}
        folder = tmp_path / "store" / "blobs" / "ward"
        cut += any(path.name.endswith(".part") for path in folder.glob("*"))
        store = await EmbeddedStore.open(tmp_path / "store", key=StoreKey(bytes(range(32))))
        found = await store.blobs("ward").scan()
        assert expected <= {info.key for info in found}
        assert len(list(folder.glob("*"))) == len(found)
        for info in found:
            if info.key.startswith(f"{run}-"):
                assert await store.blobs("ward").get(info.key) == content_of(int(info.key.partition("-")[2]))
        await store.close()
    assert cut >= 5  # else it was not in the middle


async def _put_until_killed(folder: Path, run: int) -> None:
    store = await EmbeddedStore.open(folder / "store", key=StoreKey(bytes(range(32))))
    own = Authority.create("Test")
    ward = Ward(store)
    trusting = client_context(ca=own.certificate_pem, alpn=PROTOCOLS)
    async with serving(ward.handle, tls=server_context(own.issue_server(["localhost"]).pair, alpn=PROTOCOLS)) as place:
        at = await asyncio.to_thread(Hostile, place.port, trusting)
        for number in range(10_000):
            sent = b"".join(at.whole(f"{run}-{number}", content_of(number)))
            for piece in (sent[: 2 * MIB], sent[2 * MIB :]):
                await asyncio.to_thread(at.send, piece)
                print(f"{run}-{number} begun", flush=True)
                await asyncio.sleep(0.01)
            assert b" 200 " in await asyncio.to_thread(at.line.recv, 65536)
            assert ward.framed
            print(f"{run}-{number} kept", flush=True)


if __name__ == "__main__":
    asyncio.run(_put_until_killed(Path(sys.argv[1]), int(sys.argv[2])))
