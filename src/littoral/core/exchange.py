"""The core's temporary credentials: for its certificate, from the place above, in the name of a role alias.

Asked for when they are wanted, kept in memory until five minutes before they end. Source: "Authorizing direct calls to
AWS services using AWS IoT Core credential provider". No credential reaches a log or the disk.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from littoral.core.answers import message_of
from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

ALIAS: Final = "GreengrassV2TokenExchangeRoleAlias"  # what AWS's installer calls it
EARLY = 300.0  # seconds before their end from which new ones are asked for
REFUSED_FOR = 10.0  # seconds that a refusal is taken as said, so that nobody knocks in a loop


class NotExchanged(Exception):
    """There are no credentials now. ``refused``: the place above says no; else it cannot be reached or is not well."""

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key: str
    secret: str
    token: str
    expiration: str  # as AWS writes it: 2026-11-28T12:00:00Z
    expires: float  # Unix seconds

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"


class TokenExchange:
    def __init__(
        self, client: HttpClient, upstream: Upstream, thing: str, alias: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._thing = thing
        self.alias = alias
        self._clock = clock
        self._held: Credentials | None = None
        self._refusal: tuple[float, NotExchanged] | None = None
        self._lock = asyncio.Lock()

    def use(self, alias: str) -> None:
        """Another role alias from now on."""
        if alias != self.alias:
            self.alias, self._held, self._refusal = alias, None, None

    def forget(self) -> None:
        """What is held was refused: the next ask for new ones."""
        self._held = None

    async def credentials(self) -> Credentials:
        """Raises NotExchanged."""
        async with self._lock:
            now = self._clock()
            if self._held is not None and self._held.expires - EARLY > now:
                return self._held
            if self._refusal is not None and self._refusal[0] > now:
                raise self._refusal[1]
            try:
                self._held = await self._ask()
            except NotExchanged as problem:
                if problem.refused:
                    self._refusal = now + REFUSED_FOR, problem
                raise
            return self._held

    async def _ask(self) -> Credentials:
        above = self._upstream
        if above.apart and not above.credentials:
            raise NotExchanged("no credentials endpoint of the place above is set", refused=True)
        base, server_name = above.provider
        url = f"{base}/role-aliases/{quote(self.alias, safe='')}/credentials"
        headers = Headers.of([("x-amzn-iot-thingname", self._thing)])
        try:
            response = await self._client.request("GET", url, headers=headers, tls=above.tls, server_name=server_name)
            async with response:
                body = await response.body.read(64 * 1024)
        except (RequestFailed, BodyError, OSError) as problem:
            raise NotExchanged(f"the place above cannot be reached: {problem}", refused=False) from problem
        if response.status != 200:
            said = f"no credentials for role alias {self.alias}: {message_of(body, response.status)}"
            raise NotExchanged(said, refused=response.status < 500)
        try:
            found = json.loads(body)["credentials"]
            expires = datetime.datetime.fromisoformat(found["expiration"]).timestamp()
            return Credentials(
                found["accessKeyId"], found["secretAccessKey"], found["sessionToken"], found["expiration"], expires
            )
        except (ValueError, KeyError, TypeError) as problem:
            raise NotExchanged("the credentials from above cannot be read", refused=False) from problem
