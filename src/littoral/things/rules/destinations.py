"""Topic rule destinations: endpoints that their owners have confirmed, and requests to them.

The way of a confirmation (AWS: "Working with topic rule destinations"): a destination is made IN_PROGRESS and its URL
gets a POST with a token; who gives the token back proves that the URL is theirs. Opening the message's ``enableUrl``
enables it, ConfirmTopicRuleDestination leaves it DISABLED, to be enabled. A token is good for three days.

Owns: the states, and what a request of the ``http`` action is. An action may post where a destination is ENABLED.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Protocol

from littoral.aws.service import ServiceError
from littoral.net.message import Headers
from littoral.store.documents import Documents
from littoral.things.rules.actions import SigV4
from littoral.things.rules.endpoint import covers
from littoral.things.table import Table

log = logging.getLogger(__name__)

TOKEN_SECONDS: Final = 3 * 86_400
TIMEOUT: Final = 5.0  # seconds for a whole request
ENABLED, DISABLED, IN_PROGRESS, ERROR = "ENABLED", "DISABLED", "IN_PROGRESS", "ERROR"


class Web(Protocol):
    """What destinations need of the place: its client, its key, and the address of its API."""

    async def post(self, url: str, headers: Headers, body: bytes) -> int:
        """The status of the answer. Raises the client's errors, ValueError."""

    def sign(self, url: str, headers: Headers, body: bytes, sigv4: SigV4) -> None:
        """Sign a POST with the place's key."""

    @property
    def api(self) -> str:
        """``http://127.0.0.1:4566``"""


@dataclass(frozen=True, slots=True)
class Destination:
    arn: str
    url: str  # the confirmation URL
    status: str
    created: float
    updated: float
    reason: str = ""
    token: str = ""
    expires: float = 0.0  # of the token

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Destination:
        return cls(**found)


class Destinations:
    """``WebSink`` of the rule engine."""

    def __init__(
        self, documents: Documents, web: Web | None, arn: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        self._table: Table[Destination] = Table(documents, Destination.to_json, Destination.from_json)
        self._web = web
        self._arn = arn
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await self._table.load()

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    # --------------------------------------------------------------------------------------------- states

    def all(self, after: str = "") -> list[tuple[str, Destination]]:
        """By ARN, in order."""
        return [(arn, self._shown(found)) for arn, found in self._table.items(after)]

    def get(self, arn: str) -> Destination | None:
        found = self._table.get(arn)
        return None if found is None else self._shown(found)

    def of_url(self, url: str) -> Destination | None:
        return next((found for found in self._table.values() if found.url == url), None)

    def _shown(self, found: Destination) -> Destination:
        if found.status == IN_PROGRESS and self._clock() > found.expires:
            return replace(found, status=ERROR, reason="The destination was not confirmed within three days")
        return found

    async def create(self, url: str) -> Destination:
        """Durable on return; the confirmation message is on its way."""
        now = self._clock()
        made = Destination(self._arn(f"http/{uuid.uuid4()}"), url, IN_PROGRESS, now, now)
        return await self._ask(made)

    async def ensure(self, url: str) -> None:
        """The destination that goes with a rule: made when there is none."""
        if self.of_url(url) is None:
            await self.create(url)

    async def _ask(self, destination: Destination) -> Destination:
        now = self._clock()
        asked = replace(
            destination,
            status=IN_PROGRESS,
            updated=now,
            reason="",
            token=secrets.token_hex(64),  # no "-" in front: it is an argument of the AWS CLI
            expires=now + TOKEN_SECONDS,
        )
        await self._table.put(asked.arn, asked)
        task = asyncio.create_task(self._send(asked))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return asked

    async def _send(self, asked: Destination) -> None:
        """A message that does not arrive leaves the destination in ERROR; UpdateTopicRuleDestination begins anew."""
        try:
            problem = await self._confirmation(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, the destination says so
            problem = f"{type(error).__name__}: {error}"
        if problem and self._table.get(asked.arn) == asked:
            log.warning("destination %s: the confirmation message failed: %s", asked.url, problem)
            reason = f"The confirmation message could not be delivered: {problem}"
            await self._table.put(asked.arn, replace(asked, status=ERROR, reason=reason[:500]))

    async def _confirmation(self, asked: Destination) -> str:
        """The problem, if there is one."""
        if self._web is None:
            return "this place sends no requests for rules"
        message = {
            "arn": asked.arn,
            "confirmationToken": asked.token,
            "enableUrl": f"{self._web.api}/confirmdestination/{asked.token}",
            "messageType": "DestinationConfirmation",
        }
        headers = Headers.of(
            [
                ("content-type", "application/json"),
                ("x-amz-rules-engine-message-type", "DestinationConfirmation"),
                ("x-amz-rules-engine-destination-arn", asked.arn),
            ]
        )
        url = f"{asked.url.rstrip('/')}/?confirmationToken={asked.token}"
        status = await self._posted(url, headers, json.dumps(message).encode())
        return "" if 200 <= status < 300 else f"the endpoint answered {status}"

    async def confirm(self, token: str, *, enable: bool) -> bool:
        """False for a token that is not, or no longer, good."""
        for found in self._table.values():
            good = found.token and hmac.compare_digest(found.token.encode(), token.encode())
            if good and self._clock() <= found.expires:
                status = ENABLED if enable else DISABLED
                await self._put(replace(found, status=status, reason="", token=""))
                return True
        return False

    async def update(self, destination: Destination, status: str) -> bool:
        """False where that state cannot follow. IN_PROGRESS sends a new confirmation message."""
        if status == IN_PROGRESS:
            await self._ask(destination)
        elif (destination.status, status) in ((DISABLED, ENABLED), (ENABLED, DISABLED)):
            await self._put(replace(destination, status=status))
        else:
            return False
        return True

    async def _put(self, destination: Destination) -> None:
        await self._table.put(destination.arn, replace(destination, updated=self._clock()))

    async def delete(self, arn: str) -> None:
        await self._table.delete(arn)

    # ------------------------------------------------------------------------------------------- requests

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes, sigv4: SigV4 | None) -> int:
        """See ``WebSink``."""
        covering = [found for found in self._table.values() if covers(found.url, url)]
        if not any(found.status == ENABLED for found in covering):
            states = ", ".join(sorted({self._shown(found).status for found in covering})) or "none"
            message = f"No destination for {url[:300]} is enabled ({states})"
            raise ServiceError("InvalidRequestException", message, status=400)
        assert self._web is not None  # none is enabled without
        sent = Headers.of(list(headers))
        if sigv4 is not None:
            self._web.sign(url, sent, body, sigv4)
        return await self._posted(url, sent, body)

    async def _posted(self, url: str, headers: Headers, body: bytes) -> int:
        assert self._web is not None
        async with asyncio.timeout(TIMEOUT):
            return await self._web.post(url, headers, body)
