"""Bodies that are checked while a thread receives them, or the loop does: the same content, the same refusals."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from littoral.aws.bodies import StraightChunkedBody, StraightHashedBody
from littoral.aws.service import ServiceError
from littoral.net.incoming import IncomingBody, StraightBody
from littoral.net.lending import Fill
from littoral.net.message import Request, Response
from littoral.protocols.awschunked import Decoder
from tests.net.wire import serving, wire

MIB = 1024 * 1024
ROOMS = (MIB, 70_001, 300_000)


def coded(data: bytes, size: int, trailer: bytes = b"x-amz-checksum-crc32:AAAA\r\n") -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


class Place:
    """Reads bodies by rooms of odd sizes, by threads where told."""

    def __init__(self, declared: int = 0, sha256: str = "") -> None:
        self.declared, self.sha256 = declared, sha256
        self.trailers: dict[str, str] = {}
        self.by_thread = 0

    async def handle(self, request: Request) -> Response:
        assert isinstance(request.body, IncomingBody)
        body: StraightBody
        if self.sha256:
            body = StraightHashedBody(request.body, self.sha256, "s3")
        else:
            body = StraightChunkedBody(request.body, Decoder(None), self.declared, "s3", self.trailers)
        digest, sizes = hashlib.sha256(), itertools.cycle(ROOMS)

        def receive(fill: Fill) -> None:
            whole = True
            while whole:
                room = memoryview(bytearray(next(sizes)))
                count = fill(room)
                digest.update(room[:count])
                self.by_thread += count
                whole = count == len(room)

        try:
            while True:
                if request.target == "/thread":
                    await body.lend(receive)
                room = memoryview(bytearray(next(sizes)))
                count = await body.into(room)
                digest.update(room[:count])
                if count < len(room):
                    return Response(200, body=digest.hexdigest().encode())
        except ServiceError as problem:
            return Response(400, body=problem.code.encode())


async def answer(place: Place, how: str, body: bytes) -> tuple[int, str]:
    async with serving(place.handle) as listener, wire(listener.port) as connection:
        head = f"PUT /{how} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.send(head.encode() + body)
        reply = await connection.reply()
        assert (place.by_thread > 0) == (how == "thread")
        return reply.status, reply.body.decode()


def content(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


@pytest.mark.parametrize("how", ["thread", "loop"])
@pytest.mark.parametrize("chunk", [64 * 1024, MIB, 1_000_003])
async def test_chunks_are_taken_apart(how: str, chunk: int) -> None:
    data = content(5 * MIB + 77)
    place = Place(len(data))
    assert await answer(place, how, coded(data, chunk)) == (200, hashlib.sha256(data).hexdigest())
    assert place.trailers == {"x-amz-checksum-crc32": "AAAA"}


@pytest.mark.parametrize("how", ["thread", "loop"])
async def test_chunks_that_are_wrong_are_refused(how: str) -> None:
    data = content(4 * MIB)
    whole = coded(data, 65_536)
    middle = len(whole) // 2
    for declared, body, code in (
        (len(data) + 1, whole, "IncompleteBody"),
        (len(data), whole + b"more", "InvalidRequest"),
        (len(data), whole[: middle + middle // 2] + b"x" * 70_000, "InvalidRequest"),
        (len(data), whole[:-5], "IncompleteBody"),
    ):
        place = Place(declared)
        assert await answer(place, how, body) == (400, code)
        assert place.trailers == {}


@pytest.mark.parametrize("how", ["thread", "loop"])
async def test_a_declared_hash_is_held_against_what_came(how: str) -> None:
    data = content(3 * MIB)
    right, wrong = hashlib.sha256(data).hexdigest(), hashlib.sha256(b"x").hexdigest()
    assert await answer(Place(sha256=right), how, data) == (200, right)
    status, code = await answer(Place(sha256=wrong), how, data)
    assert (status, code) == (400, "XAmzContentSHA256Mismatch")
