"""What a core tells the place above for discovery, and asks of it: the addresses of its broker, and who signs its
certificate."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from littoral.core.link import Upstream
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

log = logging.getLogger(__name__)

MOST_ANSWER: Final = 256 * 1024
AUTHORITIES: Final = "/_littoral/core-authorities/"  # at the device port of the place above, with the core's thing


class Telling:
    """False: it is not told, and the log says why."""

    def __init__(self, thing: str, client: HttpClient, upstream: Upstream) -> None:
        self._thing = quote(thing, safe="")
        self._connectivity = f"/greengrass/things/{self._thing}/connectivityInfo"
        self._refused = ""  # of the last question for it
        self._client = client
        self._upstream = upstream

    async def authorities(self, pems: Sequence[str]) -> bool:
        """Nobody is there to be told where the place above is AWS: its way is in no public model."""
        if self._upstream.apart:
            return True
        return await self._ask("PUT", AUTHORITIES + self._thing, {"authorities": list(pems)}) is not None

    async def addresses(self, hosts: Sequence[str], port: int) -> bool:
        """By UpdateConnectivityInfo."""
        info = [{"Id": each, "HostAddress": each, "PortNumber": port, "Metadata": ""} for each in hosts]
        return await self._ask("PUT", self._connectivity, {"ConnectivityInfo": info}) is not None

    async def hosts(self) -> list[str] | None:
        """Where devices are told to find the core, by GetConnectivityInfo; None: there is no answer."""
        found = await self._ask("GET", self._connectivity)
        try:
            return None if found is None else [str(each["HostAddress"]) for each in found["ConnectivityInfo"]]
        except (KeyError, TypeError):
            log.warning("what the place above says of this core's addresses cannot be read")
            return None

    async def _ask(self, method: str, path: str, document: Any = None) -> Any:
        """The answer; None where there is none, which the log says, but once for the same refusal of a question."""
        above = self._upstream
        headers = Headers.of([("content-type", "application/json")] if document is not None else [])
        endpoint = above.by_certificate
        try:
            response = await self._client.request(
                method,
                endpoint.url + path,
                headers=headers,
                body=json.dumps(document).encode() if document is not None else None,
                tls=above.tls,
                server_name=endpoint.server_name,
            )
            async with response:
                said = await response.body.read(MOST_ANSWER)
            answer = json.loads(said or b"{}") if response.status < 400 else None
        except (RequestFailed, BodyError, OSError, ValueError) as problem:
            log.info("%s of %s is not done yet: %s", method, path, problem)
            return None
        if answer is None:
            refused = f"{method} of {path} is refused: {response.status} {said[:200].decode(errors='replace')}"
            if method != "GET" or refused != self._refused:
                log.warning("%s", refused)
            self._refused = refused
        return answer
