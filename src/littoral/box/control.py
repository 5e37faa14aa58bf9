"""What whoever stands before a box asks it, over a Unix socket of its own user.

::

    GET  /status                       locked or not, or erased, and of which job
    POST /unlock {manifest, code}      hands the key over, into memory
    POST /lock                         ends everything; the process begins anew, locked
    GET  /credentials, /certificate    of an unlocked box
    GET, POST /scrub                   of an unlocked box: how far the scrub of its objects is; POST begins a pass

Owns: the state, and what is refused in which. Refuses to know what an unlocked box serves: ``Opening`` is handed in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from littoral.box import memory
from littoral.box.manifest import Manifest
from littoral.box.volume import NotOpened, Volume
from littoral.net.message import BodyError, Request, Response, json_response
from littoral.store.contract import StoreError
from littoral.store.key import StoreKey

log = logging.getLogger("littoral.box")
SOCKET = "control.socket"  # in the data folder: where it is, as a link
LARGEST = 2 * 1024 * 1024  # bytes of a request
LOCKED, OPENING, UNLOCKED, LOCKING = "LOCKED", "UNLOCKING", "UNLOCKED", "LOCKING"  # as describe-device says
ERASED = "ERASED"  # under the process, which has nothing to open any more


@dataclass(frozen=True, slots=True)
class Opened:
    """What an unlocked box serves: its addresses by name, and its scrub, which is told whether to begin a pass."""

    listeners: dict[str, str]
    scrub: Callable[[bool], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Opening:
    """Starts what an unlocked box serves; ``end`` begins the process anew."""

    begin: Callable[[Manifest, StoreKey], Awaitable[Opened]]
    end: Callable[[], None]


class Control:
    def __init__(
        self, volume: Volume, opening: Opening, *, memory_locked: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._volume = volume
        self._opening = opening
        self._memory_locked = memory_locked
        self._clock = clock
        self._state = LOCKED
        self._manifest: Manifest | None = None
        self._opened: Opened | None = None

    async def handle(self, request: Request) -> Response:
        try:
            return json_response(200, await self._answer(request))
        except NotOpened as refused:
            return json_response(409, {"message": str(refused)})
        except (StoreError, OSError) as problem:
            return json_response(503, {"message": f"the box could not be opened: {problem}"})
        except Exception as problem:
            log.exception("%s %s failed", request.method, request.raw_path)
            message = f"the box failed on this: {type(problem).__name__}: {problem}; its log has more"
            return json_response(500, {"message": message})

    async def _answer(self, request: Request) -> dict[str, Any]:
        match (request.method, request.raw_path):
            case ("GET", "/status"):
                return self.status()
            case ("POST", "/unlock"):
                return await self._unlock(await _read(request))
            case ("POST", "/lock"):
                return self._lock()
            case ("GET", "/credentials"):
                held = self._held()
                return {"accessKeyId": held.access_key, "secretAccessKey": held.secret_key, "region": held.region}
            case ("GET", "/certificate"):
                return {"certificate": self._held().authority_certificate}
            case ("GET" | "POST" as method, "/scrub"):
                return self._scrub(now=method == "POST")
            case _:
                raise NotOpened(f"{request.method} {request.raw_path} is not here")

    def status(self) -> dict[str, Any]:
        space = shutil.disk_usage(self._volume.folder)
        found = {
            "state": self._told(),
            "job": self._volume.job,
            "pid": os.getpid(),
            "listeners": {} if self._opened is None else self._opened.listeners,
            "totalSpace": space.total,
            "freeSpace": space.free,
            "memoryLocked": self._memory_locked,
            "openSwap": memory.open_swap(),
        }
        if self._manifest is not None:
            found |= {"type": self._manifest.kind, "expires": self._manifest.expires}
        return found

    def _told(self) -> str:
        """The state, as people are told it."""
        return ERASED if self._state == LOCKED and self._volume.erased else self._state

    async def _unlock(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Raises NotOpened, StoreError, OSError: the box is locked then."""
        if self._state != LOCKED:
            raise NotOpened(f"the box is {self._state.lower()}")
        if (swap := memory.open_swap()) and asked.get("allowSwap") is not True:
            raise NotOpened(
                f"this machine swaps to {', '.join(swap)}, which is not encrypted: what a box holds in memory would"
                " come to lie there. Turn it off (swapoff), or unlock with --allow-swap"
            )
        self._state = OPENING
        try:
            manifest, key = await asyncio.to_thread(
                self._volume.opened, _text(asked, "manifest").encode(), _text(asked, "code"), self._clock()
            )
            self._opened = await self._opening.begin(manifest, key)
        except BaseException:
            self._state = LOCKED
            raise
        self._manifest, self._state = manifest, UNLOCKED
        return self.status()

    def _lock(self) -> dict[str, Any]:
        """Raises NotOpened."""
        if self._state == OPENING:
            raise NotOpened("the box is being unlocked")
        if self._state == UNLOCKED:
            self._state = LOCKING
            self._opening.end()
        return self.status()

    def _scrub(self, *, now: bool) -> dict[str, Any]:
        """Raises NotOpened."""
        if self._opened is None or self._state != UNLOCKED:
            raise NotOpened(f"the box is {self._told().lower()}")
        return self._opened.scrub(now)

    def _held(self) -> Manifest:
        if self._manifest is None or self._state != UNLOCKED:
            raise NotOpened(f"the box is {self._told().lower()}")
        return self._manifest


async def _read(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body.read(LARGEST))
    except (ValueError, BodyError) as problem:
        raise NotOpened(f"the request cannot be read: {problem}") from problem
    if not isinstance(found, dict):
        raise NotOpened("the request is no object")
    return found


def _text(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str):
        raise NotOpened(f"{name} is missing")
    return found
