"""Shadows of the place above, over HTTPS with the core's certificate, as the model of ``iot-data`` says."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from littoral.core.answers import message_of
from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.protocols.shadow import SECTIONS
from littoral.protocols.shadowsync import Side, Write

MOST_ANSWER = 1024 * 1024


class Away(Exception):
    """No answer, or one of trouble above; what was asked for may have been done."""


class Moved(Exception):
    """The shadow is not of that version any more; nothing was done."""


class Refused(Exception):
    """The place above says no."""


class ShadowsAbove:
    """All raise Away and Refused."""

    def __init__(self, client: HttpClient, upstream: Upstream) -> None:
        self._client = client
        self._upstream = upstream

    async def read(self, thing: str, name: str) -> Side:
        status, answer = await self._ask("GET", thing, name)
        return Side() if status == 404 else side_of(answer)

    async def write(self, thing: str, name: str, write: Write) -> int:
        """The version that it has now, 0 where it is deleted. Raises Moved."""
        if write.patch is None:
            await self._ask("DELETE", thing, name)
            return 0
        request = {"state": write.patch, **({"version": write.version} if write.version else {})}
        status, answer = await self._ask("POST", thing, name, json.dumps(request).encode())
        if status != 200:
            raise Moved
        return int(answer["version"])

    async def _ask(self, method: str, thing: str, name: str, body: bytes | None = None) -> tuple[int, Any]:
        """With 200, 404 and 409 only."""
        above = self._upstream
        base, server_name = above.by_certificate
        url = f"{base}/things/{quote(thing, safe='')}/shadow" + (f"?name={quote(name, safe='')}" if name else "")
        headers = Headers.of([("content-type", "application/json")] if body is not None else [])
        try:
            response = await self._client.request(
                method, url, headers=headers, body=body, tls=above.tls, server_name=server_name
            )
            async with response:
                said = await response.body.read(MOST_ANSWER)
            if response.status >= 500 or response.status == 429:
                raise Away(f"the place above answered {response.status}")
            if response.status not in (200, 404, 409):
                raise Refused(message_of(said, response.status))
            return response.status, json.loads(said or b"{}")
        except (RequestFailed, BodyError, OSError, ValueError) as problem:
            raise Away(str(problem) or type(problem).__name__) from problem


def side_of(document: Any) -> Side:
    """Of a shadow's document, as a get shows it."""
    state = document["state"]
    return Side({name: state[name] for name in SECTIONS if state.get(name)}, document["version"])
