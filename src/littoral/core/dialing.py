"""Getting a connection to the place above: tries, one beside the other where one hangs. Knows no MQTT."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Endpoint(NamedTuple):
    url: str  # without a slash at its end
    server_name: str | None  # that TLS asks for; None: the URL's host


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the place above is. ``tls`` holds the core's certificate and trusts the authority of the place above.

    A region of Littoral answers everything at one port. AWS has MQTT there; ``data`` answers HTTPS by the certificate
    (Greengrass's data plane, publish, shadows), ``credentials`` is its credentials provider, ``apis`` (with
    ``{service}`` in it) its APIs: URLs without a slash at their end.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    data: str = ""
    credentials: str = ""
    apis: str = ""

    @property
    def apart(self) -> bool:
        """Whether it is spoken to by AWS's own protocols alone, each at its own address."""
        return bool(self.apis)

    @property
    def url(self) -> str:
        """Of the device port, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls is not None else 'http'}://{host}:{self.port}"

    @property
    def device_port(self) -> Endpoint:
        return Endpoint(self.url, self.server_name)

    @property
    def by_certificate(self) -> Endpoint:
        return Endpoint(self.data, None) if self.data else self.device_port

    @property
    def provider(self) -> Endpoint:
        """Of credentials."""
        return Endpoint(self.credentials, None) if self.credentials else self.device_port

    def api(self, service: str) -> Endpoint:
        return Endpoint(self.apis.format(service=service), None) if self.apis else self.device_port


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds. After the n-th try that failed the next waits anything from 0 to min(cap, first · 2ⁿ).

    A try that only hangs (its packets are dropped) is not waited for: the next begins beside it before ``cap`` is over.
    So a path that is back meets a fresh try within ``cap``, which with the handshakes is to stay below two seconds.
    """

    first: float = 0.1
    cap: float = 1.5
    connect_timeout: float = 4.0

    def wait(self, tries: int, chance: float) -> float:
        return float(chance * min(self.cap, self.first * 2 ** min(tries, 20)))

    def beside(self, chance: float) -> float:
        """From the begin of a try that hangs to the begin of the next."""
        return self.cap * (1 + chance) / 2


class Dialer:
    def __init__(self, upstream: Upstream, backoff: Backoff, chance: Callable[[], float] = random.random) -> None:
        self._upstream = upstream
        self._backoff = backoff
        self._chance = chance

    async def pause(self, tries: int) -> None:
        """Between a connection that ended, the n-th in vain, and the next."""
        await asyncio.sleep(self._backoff.wait(tries, self._chance()))

    async def connect(self) -> Streams:
        """The first of the tries that gets through. Raises what the last raised, once none is under way."""
        trying: set[asyncio.Task[Streams]] = set()
        due = time.monotonic()
        try:
            while True:
                if time.monotonic() >= due:
                    trying.add(asyncio.create_task(self._try()))
                    due = time.monotonic() + self._backoff.beside(self._chance())
                left = max(0.0, due - time.monotonic())
                done, _ = await asyncio.wait(trying, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    if each.exception() is None:
                        trying.discard(each)
                        return each.result()
                trying -= done
                if done and not trying:
                    return done.pop().result()  # raises
        finally:
            await _abandon(trying)

    async def _try(self) -> Streams:
        above = self._upstream
        name = above.server_name if above.tls is not None else None
        async with asyncio.timeout(self._backoff.connect_timeout):
            return await asyncio.open_connection(above.host, above.port, ssl=above.tls, server_hostname=name)


async def _abandon(trying: set[asyncio.Task[Streams]]) -> None:
    """Of tries that are not needed, those that got through meanwhile too."""
    for each in trying:
        each.cancel()
    for result in await asyncio.gather(*trying, return_exceptions=True):
        if not isinstance(result, BaseException):
            result[1].transport.abort()
