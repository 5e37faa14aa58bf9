"""Shadows as this place keeps them, for who calls and for who sends a message.

``protocols/shadow.py`` decides, ``changing`` stores the decision durably and tells the world of it. Everyone's update
is told (MQTT, HTTPS, in process); rejections only to who asked over MQTT.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from littoral.protocols import shadow as core
from littoral.protocols.shadow import Shadow, ShadowError
from littoral.store.contract import StorageFailed
from littoral.store.documents import Documents
from littoral.things.shadows.changing import DELETED, UPDATED, Change, Changed, Changes, Deleted, Tell
from littoral.things.shadows.topics import CLASSIC, ShadowRequest, prefix

Json = dict[str, Any]


class Shadows:
    """``tell`` sends messages on topics; ``heard`` says whether anybody would get one; ``clock`` gives Unix seconds."""

    def __init__(
        self,
        documents: Documents,
        tell: Tell,
        clock: Callable[[], float],
        heard: Callable[[str], bool] = lambda topic: True,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._changes = Changes(documents, tell, clock, heard)
        self.limit = core.MAX_DOCUMENT  # bytes of a state

    def on_shadow_changed(self, listener: Changed) -> None:
        """``listener(thing, name, document)`` after it changed durably, of changes that were stored together the last;
        the document is None for a deletion. Name "" is the classic shadow.
        """
        self._changes.listeners.append(listener)

    def on_answered(self, listener: Callable[[ShadowRequest, ShadowError | None], None]) -> None:
        """``listener(request, refused)`` for each request that came as a message."""
        self._changes.on_answered = listener

    # ------------------------------------------------------------------------------------------ in process

    async def update(self, thing: str, name: str, state: Mapping[str, Any], *, version: int | None = None) -> Json:
        """Merge ``{"desired": …, "reported": …}``; returns the accepted document. Raises ShadowError."""
        request: Json = {"state": dict(state)}
        if version is not None:
            request["version"] = version
        return await self.update_with(thing, name, json.dumps(request).encode())

    async def get(self, thing: str, name: str = CLASSIC) -> Json | None:
        """The whole document, delta included; None when there is no such shadow."""
        found = await self._changes.current((thing, name))
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
        accepted: Json = await self._changes.ask(
            (thing, name), self._update(core.parse_update(payload, self.limit)), UPDATED
        )
        return accepted

    async def get_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        token = core.parse_token(payload)
        return core.get(await self._changes.current((thing, name)), _shown(thing, name), self._now(), token)

    async def delete_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        decide = self._delete(thing, name, core.parse_token(payload))
        accepted: Json = await self._changes.ask((thing, name), decide, DELETED)
        return accepted

    def _update(self, request: core.Request) -> Callable[[Shadow], Change]:
        return lambda current: core.update(current, request, self._now(), self.limit)

    def _delete(self, thing: str, name: str, token: str | None) -> Callable[[Shadow], Change]:
        return lambda current: Deleted(*core.delete(current, _shown(thing, name), self._now(), token))

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

    async def told(self, thing: str, name: str, end: str, document: Mapping[str, Any]) -> None:
        """Publish that on a topic of the shadow (``end``: ``get/accepted``) if anybody hears it: what an operation in
        process came to that changed nothing. Raises StorageFailed."""
        telling = self._changes.tell(f"{prefix(thing, name)}/{end}", dict(document))
        if telling is not None:
            await telling

    # ------------------------------------------------------------------------------------------------- MQTT

    def answer(self, request: ShadowRequest, payload: bytes) -> Awaitable[None] | None:
        """Do what a message on a reserved topic asks; what came of it is published. What is returned is done when the
        message may be acknowledged, and raises StorageFailed, which the topic is told of, too."""
        key = request.thing, request.name
        try:
            if request.operation == "update":
                asked = core.parse_update(payload, self.limit)
                return self._changes.ask(key, self._update(asked), UPDATED, request, asked.client_token)
            token = core.parse_token(payload)
            if request.operation == "delete":
                return self._changes.ask(key, self._delete(*key, token), DELETED, request, token)
            return self._answer_get(request, token)
        except ShadowError as error:
            return self._changes.reject(request, error)

    async def _answer_get(self, request: ShadowRequest, token: str | None) -> None:
        thing, name = request.thing, request.name
        try:
            found = core.get(await self._changes.current((thing, name)), _shown(thing, name), self._now(), token)
        except ShadowError as error:
            telling = self._changes.reject(request, error)
        except StorageFailed:
            telling = self._changes.reject(request, ShadowError(500, "Internal service failure", token))
            if telling is not None:
                await telling
            raise
        else:
            telling = self._changes.tell(f"{prefix(thing, name)}/get/accepted", found)
            self._changes.on_answered(request, None)
        if telling is not None:
            await telling

    def _now(self) -> int:
        return int(self._clock())


def _shown(thing: str, name: str) -> str:
    return f"{thing}~{name}" if name else thing
