"""``/_littoral/core``: a page of a core for a browser on its device, read-only: link, spool, components, their logs.

Owns: who gets it. Logs may say what is nobody else's business, so besides the loopback address the host must be this
machine's own name: a page elsewhere whose name resolves to this address is refused.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import parse_qs

from littoral.core.operator import Operator
from littoral.core.refusal import Refused
from littoral.net.message import Headers, Request, Response
from littoral.site.console import of_this_machine, page

PATH: Final = "/_littoral/core"
_FILES: Final = {
    PATH: ("core.html", "text/html; charset=utf-8"),
    f"{PATH}/page.js": ("core.js", "text/javascript; charset=utf-8"),
    f"{PATH}/page.css": ("page.css", "text/css; charset=utf-8"),
}
_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


class CorePage:
    """The handler of everything under ``PATH``."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def handle(self, request: Request) -> Response:
        host = request.host.rpartition(":")[0] if not request.host.endswith("]") else request.host
        if not of_this_machine(request.peer.host) or (host or request.host) not in _NAMES:
            return _text(403, "this page is for browsers on this machine")
        if request.method == "GET" and request.raw_path == f"{PATH}/status.json":
            body = json.dumps(await self._operator.status()).encode()
            return Response(
                200, Headers.of([("content-type", "application/json"), ("cache-control", "no-store")]), body
            )
        if request.method == "GET" and request.raw_path == f"{PATH}/logs":
            try:
                return await self._operator.logs(parse_qs(request.query_string))
            except Refused as refused:
                return _text(refused.status, str(refused))
        return page(request, _FILES)


def _text(status: int, text: str) -> Response:
    return Response(status, Headers.of([("content-type", "text/plain")]), f"{text}\n".encode())
