"""Operations that wait for one future: answered without a task, and nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey, Identity
from littoral.aws.service import Call, Later, Output, ServiceError, operation
from littoral.net.listen import HttpService
from tests.net.wire import Recorder

REQUEST = b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
CLAIM = b"AWS4-HMAC-SHA256 Credential=K/20260101/r/lambda/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64
SIGNED = REQUEST.replace(b"Host: a", b"Host: a\r\nAuthorization: " + CLAIM)


class Waits:
    def __init__(self) -> None:
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @operation()
    def invoke(self, call: Call, *, function_name: str, payload: bytes = b"") -> Awaitable[Output]:
        return Later(self.future, lambda found: {"StatusCode": 200, "Payload": found})


async def turns() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


class Asked:
    """A connection on which the call is under way."""

    def __init__(self) -> None:
        self.api = Waits()
        self.observed: list[tuple[str, str, int]] = []
        identity = Identity(AccessKey("K", "S"), "0" * 12, verify=False)
        gateway = Gateway({"lambda": self.api}, identity, region="r", account="0" * 12, observe=self.note)
        self.service = HttpService(gateway.handle)
        self.connection, self.transport = self.service.connection(), Recorder()
        self.connection.connection_made(self.transport)
        self.connection.data_received(SIGNED)

    def note(self, service: str, name: str, status: int, _: float) -> None:
        self.observed.append((service, name, status))


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    one = Asked()
    await turns()
    assert not one.transport.written
    yield one
    one.connection.connection_lost(None)
    await one.service.close(0)


async def test_the_result_is_the_answer_and_the_next_request_comes_after_it() -> None:
    async with asked() as one:
        one.connection.data_received(SIGNED)
        await turns()
        assert not one.transport.written
        one.api.future.set_result(b'"found"')
        await turns()
        assert bytes(one.transport.written).count(b"HTTP/1.1 200 OK") == 2
        assert bytes(one.transport.written).endswith(b'\r\n\r\n"found"')
        assert one.observed == [("lambda", "Invoke", 200)] * 2


async def test_a_failure_is_the_modelled_error() -> None:
    async with asked() as one:
        one.api.future.set_exception(ServiceError("TooManyRequestsException", "slow down", status=429))
        await turns()
        assert bytes(one.transport.written).startswith(b"HTTP/1.1 429 ")
        assert b"x-amzn-errortype: TooManyRequestsException" in bytes(one.transport.written)
        assert one.observed == [("lambda", "Invoke", 429)]


async def test_who_called_may_leave() -> None:
    one = Asked()
    one.connection.connection_lost(None)
    one.api.future.set_result(b"{}")
    await turns()
    assert not one.transport.written
    assert one.observed == [("lambda", "Invoke", 200)]
    await one.service.close(0)


async def test_one_that_is_cancelled_ends_the_connection() -> None:
    async with asked() as one:
        one.api.future.cancel()
        await turns()
        assert not one.transport.written
        assert one.transport.is_closing()


async def test_it_can_be_awaited() -> None:
    api = Waits()
    waiting = asyncio.ensure_future(api.invoke(None, function_name="f"))  # type: ignore[arg-type]
    api.future.set_result(b"{}")
    assert (await waiting)["Payload"] == b"{}"
