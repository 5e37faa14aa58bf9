"""Responses in pieces: what comes when, slow readers, those who leave, and errors half way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.streaming import HIGH, ResponseStream
from littoral.net.message import FileSlice, Response
from littoral.net.sending import Broken
from tests.functions.deploy import Place, call
from tests.functions.meeting import Meeting
from tests.functions.test_provided import archive
from tests.functions.test_urls import let_in, send, url_of

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
            "await new Promise((r) => response.write('a', r)); response.setContentType('x/y');",
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


# ------------------------------------------------------------------------------------- runtimes of one's own

# a bootstrap that answers in chunks of its own making, with trailers, on a bare socket
CHUNKED = """#!/usr/bin/env -S python3 -IS
import http.client, json, os, socket
api = os.environ['AWS_LAMBDA_RUNTIME_API']
while True:
    ask = http.client.HTTPConnection(api)
    ask.request('GET', '/2018-06-01/runtime/invocation/next')
    asked = ask.getresponse()
    event = json.loads(asked.read())
    name = asked.getheader('lambda-runtime-aws-request-id')
    host, port = api.split(':')
    line = socket.create_connection((host, int(port)))
    line.sendall((
        f'POST /2018-06-01/runtime/invocation/{name}/response HTTP/1.1\\r\\n'
        f'Host: {api}\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\nTransfer-Encoding: chunked\\r\\n'
        f'Content-Type: text/plain\\r\\nTrailer: Lambda-Runtime-Function-Error-Type\\r\\n\\r\\n').encode())
    for piece in event['pieces']:
        line.sendall(b'%x\\r\\n%b\\r\\n' % (len(piece), piece.encode()))
    if event.get('meet'):
        other = socket.create_connection(('127.0.0.1', event['meet']))
        other.sendall(b'sent\\n')
        other.recv(1)
    if event.get('leave'):
        os._exit(event['leave'])
    if event.get('cut'):
        line.close()
        continue
    trailers = ''.join(f'{name}: {value}\\r\\n' for name, value in event.get('trailers', {}).items())
    line.sendall(f'0\\r\\n{trailers}\\r\\n'.encode())
    assert b' 202 ' in line.recv(65536)
"""


async def own(place: Place) -> None:
    await place.create("f", archive(bootstrap=CHUNKED), "provided.al2023", "some.handler", timeout=20)


async def test_a_runtime_of_ones_own_streams(place: Place) -> None:
    await own(place)
    async with Meeting() as meeting:
        answer = await stream(place, {"pieces": ["a", "b"], "meet": meeting.port})
        assert await answer.piece() == b"a"
        assert await answer.piece() == b"b"
        (await meeting.next()).let_go()
        assert await answer.rest() == (b"", {})
    assert (await place.invoke({"pieces": ["1", "2"]})).result == 12


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (
            {"Lambda-Runtime-Function-Error-Type": "Own.Error", "Lambda-Runtime-Function-Error-Body": "eyJhIjoxfQ=="},
            "Unhandled",
            None,
        ),
        ({"Lambda-Runtime-Function-Error-Type": "Own.Error"}, "Own.Error", "the runtime gave no message"),
        ({"Lambda-Runtime-Function-Error-Type": "E", "Lambda-Runtime-Function-Error-Body": "!"}, "E", "no message"),
        ("cut", "Runtime.TruncatedResponse", ""),
        ("leave", "Runtime.ExitError", "exit status 3"),
    ],
)
async def test_what_fails_half_way(place: Place, event: Any, kind: str, message: str | None) -> None:
    await own(place)
    asked = {"pieces": ["half"], **({"trailers": event} if isinstance(event, dict) else {event: 3})}
    async with Meeting() as meeting:
        answer = await stream(place, {**asked, "meet": meeting.port})
        assert await answer.piece() == b"half"
        (await meeting.next()).let_go()
        rest, complete = await answer.rest()
    assert (rest, complete["ErrorCode"]) == (b"", kind)
    if message is None:
        assert json.loads(complete["ErrorDetails"]) == {"a": 1}
    else:
        assert message in json.loads(complete["ErrorDetails"])["errorMessage"]
    assert (await place.invoke({"pieces": ["7"]})).result == 7  # the next one is answered


# ------------------------------------------------------------------------------------------- function URLs


async def url_body(place: Place, mode: str = "RESPONSE_STREAM", target: str = "/") -> Response:
    host = await url_of(place, invoke_mode=mode)
    await let_in(place)
    return await send(place, host, target=target)


async def whole(response: Response) -> bytes:
    assert not isinstance(response.body, bytes | FileSlice)
    return b"".join([piece async for piece in response.body])


PRELUDE = (
    "const http = awslambda.HttpResponseStream.from(response,"
    "  { statusCode: 202, headers: { 'Content-Type': 'text/plain', 'X-Own': '1' }, cookies: ['a=1'] });"
)


@pytest.mark.parametrize("end", ["http.end();", "http.end('body');", "http.write('bo'); http.end('dy');"])
async def test_a_prelude_becomes_the_head(place: Place, end: str) -> None:
    await place.node(streaming(PRELUDE + end))
    response = await url_body(place)
    assert response.status == 202
    assert [pair for pair in response.headers.items() if pair[0] != "x-amzn-requestid"] == [
        ("content-type", "text/plain"),
        ("x-own", "1"),
        ("set-cookie", "a=1"),
    ]
    assert await whole(response) == (b"" if end == "http.end();" else b"body")


async def test_without_a_prelude_the_pieces_are_a_200(place: Place) -> None:
    await place.node(
        streaming("if (event.rawPath !== '/') response.setContentType('text/x-own'); response.end('body');")
    )
    for target, kind in (("/", "application/octet-stream"), ("/own", "text/x-own")):
        response = await url_body(place, target=target)
        assert (response.status, response.headers.get("content-type")) == (200, kind)
        assert await whole(response) == b"body"
        await place.api.delete_function_url_config(call(), function_name="f")
        await place.api.remove_permission(call(), function_name="f", statement_id="url")


async def test_a_buffered_url_understands_the_prelude(place: Place) -> None:
    await place.node(streaming(PRELUDE + "http.end('body');"))
    response = await url_body(place, "BUFFERED")
    assert (response.status, response.body, response.headers.get("x-own")) == (202, b"body", "1")


@pytest.mark.parametrize(
    "body",
    [
        "throw new Error('before');",
        PRELUDE.replace("202", "'abc'") + "http.end();",
        "response.setContentType('application/vnd.awslambda.http-integration-response'); response.end('no prelude');",
        "response.setContentType('application/vnd.awslambda.http-integration-response');"
        "response.write(Buffer.alloc(70000, 'x')); setTimeout(() => response.end(), 9000);",
    ],
)
async def test_what_is_no_beginning_is_a_502(place: Place, body: str) -> None:
    await place.node(streaming(body), timeout=20)
    assert (await url_body(place)).status == 502


async def test_an_error_half_way_breaks_the_body(place: Place) -> None:
    await place.node(streaming("response.write('half'); throw new Error('late');"))
    response = await url_body(place)
    assert response.status == 200
    with pytest.raises(Broken):
        await whole(response)
