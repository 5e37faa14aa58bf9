"""Every case of the table has its one outcome: whole, byte by byte, and after a head that is remembered.

In process, so that the test says where reads end; ``test_strictness`` sends much the same over sockets.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from littoral.net.limits import Limits
from littoral.net.listen import HttpService
from littoral.net.message import BodyError, Request, Response
from tests.net.smuggling import CASES, NEXT, SEEN_NEXT, Case, Outcome
from tests.net.wire import Paused

FIRST = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = re.compile(rb"HTTP/1\.1 (?=[0-9]{3} )")
LIMITS = Limits(body_buffer=64 * 1024)


class Seen:
    """A handler that reads bodies, notes requests and answers 200."""

    def __init__(self, *, reads: bool = True) -> None:
        self.requests: list[str] = []
        self._reads = reads

    async def handle(self, request: Request) -> Response:
        start = f"{request.method} {request.target} {request.host} "
        if not self._reads:
            self.requests.append(start)
            return Response(200)
        try:
            body = await request.body.read()
        except BodyError:
            self.requests.append(start + "!")
            raise
        self.requests.append(start + body.decode("latin-1"))
        return Response(200)


async def outcome(reads: list[bytes], seen: Seen) -> Outcome:
    """What came of these reads on one connection."""
    service = HttpService(seen.handle, LIMITS)
    connection, transport = service.connection(), Paused()
    connection.connection_made(transport)
    for read in reads:
        for _ in range(20):
            if not transport.paused:
                break
            await asyncio.sleep(0)
        if transport.closed:
            break
        connection.data_received(read)
        await asyncio.sleep(0)
    for _ in range(30):
        await asyncio.sleep(0)
    answers = ANSWER.split(bytes(transport.written))[1:]
    statuses = tuple(int(answer[:3]) for answer in answers if not answer.startswith(b"100"))
    ends = any(b"\r\nconnection: close\r\n" in answer for answer in answers)
    requests = tuple(seen.requests)
    assert not ends or b"\r\nconnection: close\r\n" in answers[-1], "something follows the last answer"
    connection.connection_lost(None)
    await service.close(0)
    return Outcome(statuses, requests, ends)


def split(data: bytes) -> list[bytes]:
    """Byte by byte; a case of many kilobytes in pieces of a prime length."""
    step = 1 if len(data) < 4096 else 997
    return [data[place : place + step] for place in range(0, len(data), step)]


async def whole(case: Case) -> None:
    data = case.data + NEXT
    assert await outcome([data], Seen()) == case.outcome
    assert await outcome([case.data, NEXT], Seen()) == case.outcome
    assert await outcome(split(data), Seen()) == case.outcome


async def after_a_head_that_is_remembered(case: Case) -> None:
    """``net.repeated`` compares a read with the last head: no case may pass for it, or for part of it."""
    expected = case.outcome
    expected = Outcome((200, 200, *expected.statuses), ("GET /first a ",) * 2 + expected.seen, expected.ends)
    assert await outcome([FIRST, FIRST, case.data + NEXT], Seen()) == expected
    assert await outcome([FIRST, FIRST, case.data, NEXT], Seen()) == expected
    assert await outcome([FIRST, FIRST, *split(case.data + NEXT)], Seen()) == expected


async def again(case: Case) -> None:
    """A case that may be remembered comes to the same the second time."""
    once = await outcome([case.data], Seen())
    if once.statuses and not once.ends:
        assert await outcome([case.data, case.data], Seen()) == Outcome(once.statuses * 2, once.seen * 2, ends=False)


async def unread(case: Case) -> None:
    """An unread body is thrown away or ends the connection (CL.0): it is never taken for the next request."""
    seen = Seen(reads=False)
    await outcome([case.data + NEXT], seen)
    heads = [" ".join(request.split(" ")[:3]) + " " for request in case.outcome.seen]
    assert seen.requests[: len(heads)] == heads[: len(seen.requests)]
    assert SEEN_NEXT in case.outcome.seen or SEEN_NEXT not in seen.requests


@pytest.mark.parametrize("check", [whole, after_a_head_that_is_remembered, again, unread])
def test_every_case_has_its_one_outcome(check: Callable[[Case], Awaitable[None]]) -> None:
    asyncio.run(_all(check))


async def _all(check: Callable[[Case], Awaitable[None]]) -> None:
    failed = []
    for case in CASES:
        try:
            await check(case)
        except AssertionError as error:
            failed.append(f"{case.name}: {error}")
    assert not failed, "\n".join(failed)


def test_the_table_is_as_large_as_is_said() -> None:
    assert len(CASES) >= 200
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
