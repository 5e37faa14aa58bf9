"""Responses in pieces: what comes when, slow readers, those who leave, and errors half way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.streaming import HIGH, ResponseStream
from tests.functions.deploy import Place, call
from tests.functions.meeting import Meeting

# a word at once, the rest when the test lets it
IN_TWO = """
const net = require('net');
exports.handler = awslambda.streamifyResponse(async (event, response) => {
  response.write('first,');
  const line = net.connect(event.port, '127.0.0.1');
  line.write('written\\n');
  await new Promise((resolve) => line.once('data', resolve));
  line.destroy();
  response.write('second');
  response.end();
});
"""


class Streamed:
    """What a caller of InvokeWithResponseStream reads."""

    def __init__(self, output: dict[str, Any]) -> None:
        self.version = output["ExecutedVersion"]
        self._events: AsyncIterator[tuple[str, dict[str, Any]]] = output["EventStream"]

    async def piece(self) -> bytes:
        name, members = await anext(self._events)
        assert name == "PayloadChunk"
        return bytes(members["Payload"])

    async def rest(self) -> tuple[bytes, dict[str, Any]]:
        """The other pieces as one, and the end."""
        pieces = []
        async for name, members in self._events:
            if name == "InvokeComplete":
                return b"".join(pieces), members
            pieces.append(members["Payload"])
        raise AssertionError("no InvokeComplete")

    async def leave(self) -> None:
        await self._events.aclose()  # type: ignore[attr-defined]


async def stream(place: Place, event: Any = None, name: str = "f", **more: Any) -> Streamed:
    payload = json.dumps(event).encode()
    return Streamed(await place.api.invoke_with_response_stream(call(), function_name=name, payload=payload, **more))


def streaming(body: str) -> str:
    return f"exports.handler = awslambda.streamifyResponse(async (event, response, context) => {{ {body} }});"


async def test_the_first_piece_is_here_before_the_second_is_made(place: Place) -> None:
    await place.node(IN_TWO)
    async with Meeting() as meeting:
        answer = await stream(place, {"port": meeting.port}, log_type="Tail")
        assert await answer.piece() == b"first,"
        (await meeting.next()).let_go()
        rest, complete = await answer.rest()
    assert (rest, answer.version) == (b"second", "$LATEST")
    assert set(complete) == {"LogResult"}


async def test_a_plain_invoke_gets_the_pieces_as_one(place: Place) -> None:
    await place.node(streaming("response.write('[1,'); response.write('2]'); response.end();"))
    answer = await place.invoke()
    assert (answer.result, answer.error) == ([1, 2], None)


async def test_a_plain_function_is_one_piece(place: Place) -> None:
    await place.python("def handler(e, c): return e")
    assert await (await stream(place, {"a": 1})).rest() == (b'{"a": 1}', {})


async def test_a_response_longer_than_a_plain_one_may_be(place: Place) -> None:
    await place.node(
        streaming(
            "for (let i = 0; i < 100; i++) {"
            "  if (!response.write(Buffer.alloc(100000, i))) await new Promise((r) => response.once('drain', r)); }"
            "response.end();"
        ),
        timeout=30,
    )
    whole, complete = await (await stream(place)).rest()
    assert complete == {}
    assert whole == b"".join(bytes((number,)) * 100_000 for number in range(100))
    refused = await place.invoke()
    assert refused.error == "Unhandled"
    assert refused.result["errorType"] == "Function.ResponseSizeTooLarge"


async def test_a_slow_reader_makes_the_handler_wait(place: Place) -> None:
    """What is on its way is bounded: our buffer, and the little that a socket and a Writable hold."""
    await place.node(
        "const net = require('net');"
        + streaming(
            "let full = 0; const piece = Buffer.alloc(65536);"
            "const line = net.connect(event.port, '127.0.0.1');"
            "const waits = () => line.write('waits\\n');"
            "for (let i = 0; i < 400; i++) { if (!response.write(piece)) {"
            "  const late = setTimeout(() => { full = i; waits(); }, 300);"
            "  await new Promise((r) => response.once('drain', r)); clearTimeout(late); } }"
            "line.end(); response.end();"
        ),
        timeout=60,
    )
    async with Meeting() as meeting:
        answer = await stream(place, {"port": meeting.port})
        await answer.piece()
        assert (await meeting.next()).said == "waits"
        held = answer._events._stream._unread  # type: ignore[attr-defined]
        assert HIGH < held <= HIGH + 512 * 1024
        rest, complete = await answer.rest()
    assert (len(rest) + 65536, complete) == (400 * 65536, {})


async def test_who_leaves_stops_nothing(place: Place) -> None:
    await place.node(IN_TWO, timeout=30)
    async with Meeting() as meeting:
        answer = await stream(place, {"port": meeting.port})
        await answer.piece()
        await answer.leave()
        (await meeting.next()).let_go()
        again = await stream(place, {"port": meeting.port})  # it may be the same instance or another
        assert await again.piece() == b"first,"
        (await meeting.next()).let_go()
        assert (await again.rest())[0] == b"second"
    while place.functions.running():
        await asyncio.sleep(0.01)
    (tally,) = place.functions.tallies()
    assert (tally.requests, tally.errors) == (2, 0)


@pytest.mark.parametrize(
    ("body", "piece", "kind", "message"),
    [
        ("throw new TypeError('at once');", b"", "TypeError", "at once"),
        ("response.write('half'); throw new TypeError('late');", b"half", "TypeError", "late"),
        ("response.write('half'); response.destroy(new RangeError('gone'));", b"half", "RangeError", "gone"),
        ("response.write('half', () => process.exit(3));await 0;", b"half", "Runtime.ExitError", "exit status 3"),
        (
            "response.write('a', () => response.setContentType('x/y')); await new Promise(() => setTimeout(() => {}, 5000));",
            b"a",
            "Runtime.InvalidStreamingOperation",
            "too late",
        ),
    ],
)
async def test_errors(place: Place, body: str, piece: bytes, kind: str, message: str) -> None:
    await place.node(streaming(body), timeout=10)
    answer, complete = await (await stream(place)).rest()
    assert (answer, complete["ErrorCode"]) == (piece, kind)
    assert message in json.loads(complete["ErrorDetails"])["errorMessage"]
    plain = await place.invoke()
    assert (plain.error, plain.result["errorType"]) == ("Unhandled", kind)


async def test_a_handler_that_never_ends_its_stream(place: Place) -> None:
    await place.node(streaming("response.write('a');"))
    answer, complete = await (await stream(place, log_type="Tail")).rest()
    assert answer == b"a"
    assert "ErrorCode" not in complete
    plain = await place.api.invoke(call(), function_name="f", log_type="Tail")
    assert plain["Payload"] == b"a"


async def test_a_handler_that_hangs(place: Place) -> None:
    await place.node(streaming("response.write('a'); setInterval(() => {}, 1000);"), timeout=1)
    answer, complete = await (await stream(place)).rest()
    assert (answer, complete["ErrorCode"]) == (b"a", "Sandbox.Timedout")


async def test_a_handler_that_is_not_async(place: Place) -> None:
    await place.node("exports.handler = awslambda.streamifyResponse((event, response) => { response.end('a'); });")
    _, complete = await (await stream(place)).rest()
    assert complete["ErrorCode"] == "Runtime.InvalidStreamingOperation"


async def test_the_stream_is_a_writable(place: Place) -> None:
    await place.node(
        "const { pipeline } = require('stream/promises'); const { Readable } = require('stream');"
        "const zlib = require('zlib');"
        + streaming("await pipeline(Readable.from(['a', 'b']), zlib.createGzip(), zlib.createGunzip(), response);")
    )
    assert (await (await stream(place)).rest())[0] == b"ab"


async def test_what_cannot_be_asked_for(place: Place) -> None:
    await place.python("def handler(e, c): return e")
    for wrong, code in (
        ({"invocation_type": "Event"}, "InvalidParameterValueException"),
        ({"name": "none"}, "ResourceNotFoundException"),
        ({"client_context": "!"}, "InvalidRequestContentException"),
    ):
        with pytest.raises(ServiceError) as caught:
            await stream(place, **wrong)  # type: ignore[arg-type]
        assert caught.value.code == code
    dry = await place.api.invoke_with_response_stream(call(), function_name="f", invocation_type="DryRun")
    assert dry == {"StatusCode": 204}
    await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=0)
    with pytest.raises(ServiceError) as caught:
        await stream(place)
    assert caught.value.code == "TooManyRequestsException"


async def test_a_stream_is_bounded() -> None:
    held = ResponseStream("1", 10)
    held.begin("")
    held.feed(b"x" * 8)
    held.feed(b"y" * 8)
    assert held.over == 10
    assert await anext(held) == b"x" * 8
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(held), 0.01)
    held.fail(ValueError("of the place"))
    with pytest.raises(ValueError, match="of the place"):
        await anext(held)
