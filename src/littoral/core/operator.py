"""What an operator of the device sees of its core and may do to it, link or no link.

::

    Unix socket of the core's own user          loopback, read only
    GET  /status                                 GET status.json   (the page of site/console)
    GET  /logs?component=NAME&lines=N            GET logs
    POST /components/NAME/restart | stop
    POST /deployments, /deployments/ID/cancel
    GET, POST /rejected…                         (retrying)

Owns: the form of the status, who may read which log. Whoever may open the socket is the core's user or root;
whoever can read the token is none of its components. Refuses to know: terminals and browsers (``cli``, ``site``).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from littoral.core.deployments import CoreDeployments
from littoral.core.link import Link
from littoral.core.local.orders import NoSuchDeployment
from littoral.core.public import PUBLIC
from littoral.core.recipe import BadComponent
from littoral.core.refusal import Refused
from littoral.core.retrying import PATH, Retrying
from littoral.core.spool import Spool
from littoral.net.message import BodyError, Headers, Request, Response
from littoral.store.contract import StoreError

SOCKET = "operator.socket"  # in the data folder: where it is, as a link
TOKEN = "operator.token"  # noqa: S105 - a file beside it: components may reach the socket, and cannot read this
MOST_LINES, MOST_BYTES = 10_000, 4 * 1024 * 1024
MOST_ASKED = 1024 * 1024  # bytes of a local deployment's request
_CANCEL = re.compile(r"/deployments/([^/]+)/cancel")
_ACTION = re.compile(r"/components/([^/]+)/(restart|stop)")


class Operator:
    """``handle`` is for the socket, ``status`` and ``log`` for whoever else may look. ``last_words`` gives what a
    function said; None for what is no function."""

    def __init__(
        self,
        thing: str,
        folder: Path,
        link: Link,
        spool: Spool,
        deployments: CoreDeployments,
        last_words: Callable[[str, int], Awaitable[Sequence[str] | None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._thing = thing
        self._logs = folder / "logs"
        self._link = link
        self._spool = spool
        self.retrying = Retrying(spool, link.draining)
        self._deployments = deployments
        self._last_words = last_words
        self._monotonic = monotonic
        self._began = monotonic()
        self.token = secrets.token_urlsafe(32)

    async def status(self) -> dict[str, Any]:
        """All that the core knows of itself, as JSON."""
        await self._spool.look()
        now = self._monotonic()
        return {
            "name": self._thing,
            "pid": os.getpid(),
            "seconds": round(now - self._began),  # since its start
            "link": self._link.stats.told(now),
            "spool": {
                "pending": await self._spool.pending(),
                "dropped": self._spool.dropped,
                "rejected": self._spool.rejected,
                **self.retrying.summary(),
            },
            "deployment": self._deployments.status,
            "components": self._deployments.listed(),
        }

    async def log(self, component: str, lines: int) -> str:
        """The last lines that a program or a function said. Raises Refused."""
        if not 1 <= lines <= MOST_LINES:
            raise Refused(400, f"lines must be from 1 to {MOST_LINES}")
        if component not in {file.name.removesuffix(".log") for file in self._logs.glob("*.log")}:
            self._known(component)  # what is gone, or was rolled back, may have left words
        if component in PUBLIC:
            raise Refused(409, f"{component} is played by the core itself: what it says is in the core's own log")
        try:
            said = await self._last_words(component, lines)
        except StoreError as problem:
            raise Refused(503, str(problem)) from problem
        if said is not None:
            return "".join(f"{line}\n" for line in said)
        file = self._logs / f"{component}.log"
        try:
            with file.open("rb") as words:
                words.seek(max(0, file.stat().st_size - MOST_BYTES))
                found = words.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        return "".join(f"{line}\n" for line in found[-lines:])

    async def restart(self, component: str) -> None:
        """Raises Refused."""
        self._known(component)
        await _may(self._deployments.restart(component))

    async def stop(self, component: str) -> None:
        """Until it is restarted, or the core is. Raises Refused."""
        self._known(component)
        await _may(self._deployments.stop(component))

    async def deploy(self, request: Request) -> str:
        """The id of a local deployment, asked for as a component asks by the IPC. Raises Refused."""
        try:
            document = json.loads(await request.body.read(MOST_ASKED))
            if not isinstance(document, dict):
                raise Refused(400, "a local deployment is an object")
            return await self._deployments.local.create(document)
        except (ValueError, BodyError) as problem:  # BadComponent is one
            raise Refused(400, str(problem)) from problem
        except StoreError as problem:
            raise Refused(503, str(problem)) from problem

    async def cancel(self, deployment: str) -> None:
        """Raises Refused."""
        try:
            await self._deployments.local.cancel(deployment)
        except NoSuchDeployment as missing:
            raise Refused(404, f"there is no local deployment {deployment!r}") from missing
        except BadComponent as problem:
            raise Refused(409, str(problem)) from problem
        except StoreError as problem:
            raise Refused(503, str(problem)) from problem

    async def handle(self, request: Request) -> Response:
        if not secrets.compare_digest((request.headers.get("authorization") or "").encode(), self.token.encode()):
            return _json({"message": f"the {TOKEN} of the data folder is needed"}, 401)
        try:
            return await self._answer(request)
        except Refused as refused:
            return _json({"message": str(refused)}, refused.status)

    async def _answer(self, request: Request) -> Response:
        path, query = request.raw_path, parse_qs(request.query_string)
        if request.method == "GET" and path == "/status":
            return _json(await self.status())
        if request.method == "GET" and path == "/logs":
            return await self.logs(query)
        if request.method == "POST" and path == "/deployments":
            return _json({"deploymentId": await self.deploy(request)})
        if request.method == "POST" and (canceled := _CANCEL.fullmatch(path)) is not None:
            await self.cancel(unquote(canceled[1]))
            return _json({})
        if (asked := PATH.fullmatch(path)) is not None:
            return await self._set_aside(request.method, asked[1] or "", query.get("topic", ["#"])[0])
        found = _ACTION.fullmatch(path)
        if found is None or request.method != "POST":
            raise Refused(404, f"{request.method} {path} is not here")
        act: Callable[[str], Awaitable[None]] = self.restart if found[2] == "restart" else self.stop
        await act(unquote(found[1]))
        return _json({})

    async def _set_aside(self, method: str, what: str, filter: str) -> Response:
        """Raises Refused."""
        if method == "POST" and what in ("retry", "drop"):
            act = self.retrying.retry if what == "retry" else self.retrying.drop
            return _json({"messages": await act(filter)})
        if method == "GET" and not what:
            return _json(self.retrying.listed())
        if method == "GET" and what.isdecimal():
            payload = await self.retrying.payload(int(what))
            return Response(200, Headers.of([("content-type", "application/octet-stream")]), payload)
        raise Refused(404, f"{method} /rejected/{what} is not here")

    async def logs(self, query: dict[str, list[str]]) -> Response:
        """The answer to a question about a log. Raises Refused."""
        given = query.get("lines", ["100"])[0]
        if not given.isdecimal():
            raise Refused(400, "lines must be a number")
        text = await self.log(query.get("component", [""])[0], int(given[:9]))
        return Response(200, Headers.of([("content-type", "text/plain; charset=utf-8")]), text.encode())

    def _known(self, component: str) -> None:
        """Raises Refused: a name is a file's name, so only those that there are are looked at."""
        if component not in {each["name"] for each in self._deployments.listed()}:
            raise Refused(404, f"there is no component {component!r}")


async def _may(doing: Awaitable[None]) -> None:
    """Raises Refused."""
    try:
        await doing
    except BadComponent as problem:
        raise Refused(409, str(problem)) from problem


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, Headers.of([("content-type", "application/json")]), json.dumps(value).encode() + b"\n")
