"""Shadows as this place keeps them.

Theory: ``protocols/shadow.py`` decides; this file stores the decision durably, and only then tells the world of it,
on the shadow's topics and to in-process listeners. Operations on one shadow run one after another.

A topic message here is a notification: it is published after the state is durable, so that who misses it finds the
same by a get. Everyone's update is told (MQTT, HTTPS, in process); rejections only to who asked over MQTT.
"""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from littoral.protocols import shadow as core
from littoral.protocols.shadow import Shadow, ShadowError
from littoral.store.contract import StorageFailed
from littoral.store.documents import Documents
from littoral.things.shadows.topics import CLASSIC, ShadowRequest, prefix

log = logging.getLogger(__name__)

Json = dict[str, Any]
Publish = Callable[[str, bytes], Awaitable[None]]
Changed = Callable[[str, str, Json | None], None]


class Shadows:
    """``publish`` sends a message on a topic; ``clock`` gives Unix seconds."""

    def __init__(self, documents: Documents, publish: Publish, clock: Callable[[], float]) -> None:
        self._documents = documents
        self._publish = publish
        self._clock = clock
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._listeners: list[Changed] = []

    def on_shadow_changed(self, listener: Changed) -> None:
        """``listener(thing, name, document)`` after each durable change; the document is None for a deletion.

        Name "" is the classic shadow.
        """
        self._listeners.append(listener)

    # ------------------------------------------------------------------------------------------ in process

    async def update(self, thing: str, name: str, state: Mapping[str, Any], *, version: int | None = None) -> Json:
        """Merge ``{"desired": …, "reported": …}``; returns the accepted document. Raises ShadowError."""
        request: Json = {"state": dict(state)}
        if version is not None:
            request["version"] = version
        return await self.update_with(thing, name, json.dumps(request).encode())

    async def get(self, thing: str, name: str = CLASSIC) -> Json | None:
        """The whole document, delta included; None when there is no such shadow."""
        found = await self._load(_key(thing, name))
        return found.document(self._now()) if found.exists else None

    async def every(self) -> AsyncIterator[tuple[str, str, Json]]:
        """Thing, name and document of all shadows there are, in the order of their keys."""
        after = ""
        while page := await self._documents.scan(after=after):
            for key, document in page:
                shadow = Shadow.from_json(document)
                thing, _, name = key.partition("/")
                if shadow.exists:
                    yield thing, name, shadow.document(self._now())
            after = page[-1][0]

    # ------------------------------------------------------------------------------------------- operations

    async def update_with(self, thing: str, name: str, payload: bytes) -> Json:
        """The accepted document of an update as it comes from a client. Raises ShadowError."""
        request = core.parse_update(payload)
        key = _key(thing, name)
        async with self._lock(key):
            updated = core.update(await self._load(key), request, self._now())
            await self._store(key, updated.shadow)
            # Still under the lock, so that the messages of two updates keep their order.
            await self._tell(prefix(thing, name) + "/update/accepted", updated.accepted)
            if updated.delta is not None:
                await self._tell(prefix(thing, name) + "/update/delta", updated.delta)
            await self._tell(prefix(thing, name) + "/update/documents", updated.documents)
        self._changed(thing, name, updated.shadow.document(self._now()))
        return updated.accepted

    async def get_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        token = core.parse_token(payload)
        return core.get(await self._load(_key(thing, name)), _shown(thing, name), self._now(), token)

    async def delete_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        token = core.parse_token(payload)
        key = _key(thing, name)
        async with self._lock(key):
            remains, accepted = core.delete(await self._load(key), _shown(thing, name), self._now(), token)
            await self._store(key, remains)
            await self._tell(prefix(thing, name) + "/delete/accepted", accepted)
        self._changed(thing, name, None)
        return accepted

    async def names(self, thing: str, after: str = "", limit: int = 25) -> Sequence[str]:
        """Named shadows of a thing, in order, more than ``limit`` by one when there are more."""
        found: list[str] = []
        start = after
        while len(found) <= limit:
            page = await self._documents.scan(f"{thing}/", after=f"{thing}/{start}", limit=100)
            if not page:
                break
            for key, document in page:
                start = key[len(thing) + 1 :]
                if start and Shadow.from_json(document).exists:
                    found.append(start)
        return found[: limit + 1]

    # ------------------------------------------------------------------------------------------------- MQTT

    async def answer(self, request: ShadowRequest, payload: bytes) -> None:
        """Do what a message on a reserved topic asks, and publish what came of it. Raises StorageFailed, and says so
        on the topic too: who asked with QoS 0 gets no acknowledgement to miss."""
        topic = f"{prefix(request.thing, request.name)}/{request.operation}"
        try:
            if request.operation == "update":
                await self.update_with(request.thing, request.name, payload)
            elif request.operation == "delete":
                await self.delete_with(request.thing, request.name, payload)
            else:
                await self._tell(f"{topic}/accepted", await self.get_with(request.thing, request.name, payload))
        except ShadowError as error:
            await self._tell(f"{topic}/rejected", error.document(self._now()))
        except StorageFailed:
            failure = ShadowError(500, "Internal service failure", core.parse_token(payload))
            await self._tell(f"{topic}/rejected", failure.document(self._now()))
            raise

    # -------------------------------------------------------------------------------------------- internals

    def _now(self) -> int:
        return int(self._clock())

    def _lock(self, key: str) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = lock = asyncio.Lock()
        return lock

    async def _load(self, key: str) -> Shadow:
        document = await self._documents.get(key)
        return core.NONE if document is None else Shadow.from_json(document)

    async def _store(self, key: str, shadow: Shadow) -> None:
        await self._documents.put(key, shadow.to_json())

    async def _tell(self, topic: str, document: Json) -> None:
        await self._publish(topic, json.dumps(document, separators=(",", ":")).encode())

    def _changed(self, thing: str, name: str, document: Json | None) -> None:
        for listener in self._listeners:
            try:
                listener(thing, name, document)
            except Exception:
                log.exception("a listener of shadow %s of %s failed", name or "(classic)", thing)


def _key(thing: str, name: str) -> str:
    return f"{thing}/{name}"


def _shown(thing: str, name: str) -> str:
    return f"{thing}~{name}" if name else thing
