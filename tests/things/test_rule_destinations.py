"""Topic rule destinations in time: tokens, states, restarts; no network, the clock is moved by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.net.message import Headers
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.rules import Destinations, SigV4
from tests.things.conftest import Clock

URL = "https://hooks.example.test/in"
DAY = 86_400.0


class Web:
    """Who is asked; ``statuses`` are the answers before 200."""

    api = "http://place.test"

    def __init__(self) -> None:
        self.sent: asyncio.Queue[tuple[str, Headers, bytes]] = asyncio.Queue()
        self.statuses: list[int | Exception] = []

    async def post(self, url: str, headers: Headers, body: bytes) -> int:
        self.sent.put_nowait((url, headers, body))
        status = self.statuses.pop(0) if self.statuses else 200
        if isinstance(status, Exception):
            raise status
        return status

    def sign(self, url: str, headers: Headers, body: bytes, sigv4: SigV4) -> None:
        headers.set("authorization", f"{sigv4.region}/{sigv4.service}")

    async def message(self) -> Any:
        return json.loads((await asyncio.wait_for(self.sent.get(), 20))[2])


async def opened(store: EmbeddedStore, web: Web | None, clock: Clock) -> Destinations:
    documents = Documents(store.records("things"), "destination/")
    made = Destinations(documents, web, lambda name: f"arn:aws:iot:r:a:ruledestination/{name}", clock)
    await made.open()
    return made


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0)


def status(destinations: Destinations, arn: str) -> str:
    found = destinations.get(arn)
    assert found is not None
    return found.status


async def test_a_token_is_good_once_and_for_three_days(store: EmbeddedStore, clock: Clock) -> None:
    web = Web()
    destinations = await opened(store, web, clock)
    arn = (await destinations.create(URL)).arn
    token = (await web.message())["confirmationToken"]
    clock.now += 3 * DAY + 1
    assert status(destinations, arn) == "ERROR"
    assert not await destinations.confirm(token, enable=True)
    found = destinations.get(arn)
    assert found is not None and "three days" in found.reason
    assert await destinations.update(found, "IN_PROGRESS")
    fresh = (await web.message())["confirmationToken"]
    assert not await destinations.confirm(token, enable=True) and status(destinations, arn) == "IN_PROGRESS"
    assert await destinations.confirm(fresh, enable=True)
    assert not await destinations.confirm(fresh, enable=True) and not await destinations.confirm("", enable=True)
    clock.now += 30 * DAY
    assert status(destinations, arn) == "ENABLED"
    await destinations.close()


async def test_states_and_what_was_confirmed_outlive_a_restart(store: EmbeddedStore, clock: Clock) -> None:
    web = Web()
    first = await opened(store, web, clock)
    arn = (await first.create(URL)).arn
    message = await web.message()
    assert message["enableUrl"] == f"http://place.test/confirmdestination/{message['confirmationToken']}"
    await first.close()
    second = await opened(store, web, clock)
    assert await second.confirm(message["confirmationToken"], enable=False)
    for state, follows in (
        ("DISABLED", False),
        ("ENABLED", True),
        ("ENABLED", False),
        ("DISABLED", True),
        ("ENABLED", True),
    ):
        found = second.get(arn)
        assert found is not None and await second.update(found, state) is follows
    await second.ensure(URL)
    assert [found.url for _, found in second.all()] == [URL]
    await second.close()
    third = await opened(store, web, clock)
    assert await third.post(URL + "/a?b=c", [("x-a", "1")], b"{}", SigV4("r", "s")) == 200
    url, headers, body = await web.sent.get()
    assert (url, body, headers.get("x-a"), headers.get("authorization")) == (URL + "/a?b=c", b"{}", "1", "r/s")
    await third.delete(arn)
    with pytest.raises(ServiceError, match="none"):
        await third.post(URL, [], b"{}", None)
    assert web.sent.empty()
    await third.close()


@pytest.mark.parametrize("problem", [500, OSError("no route"), ValueError("bad")])
async def test_a_message_that_does_not_arrive_is_an_error_with_a_reason(
    store: EmbeddedStore, clock: Clock, problem: int | Exception
) -> None:
    web = Web()
    web.statuses = [problem]
    destinations = await opened(store, web, clock)
    arn = (await destinations.create(URL)).arn
    token = (await web.message())["confirmationToken"]
    await until(lambda: status(destinations, arn) == "ERROR")
    found = destinations.get(arn)
    assert found is not None and str(problem).partition("(")[0] in found.reason
    with pytest.raises(ServiceError, match="ERROR"):
        await destinations.post(URL, [], b"{}", None)
    assert await destinations.confirm(token, enable=True)  # it had arrived after all
    await destinations.close()


async def test_a_place_without_a_web_says_so(store: EmbeddedStore, clock: Clock) -> None:
    destinations = await opened(store, None, clock)
    arn = (await destinations.create(URL)).arn
    await until(lambda: status(destinations, arn) == "ERROR")
    found = destinations.get(arn)
    assert found is not None and "sends no requests" in found.reason
    await destinations.close()
