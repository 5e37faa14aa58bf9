"""Shadows as this place keeps them.

Theory: ``protocols/shadow.py`` decides; this file stores the decision durably, and only then tells the world of it,
on the shadow's topics and to in-process listeners. Operations on one shadow run one after another; those that came
while the disk was busy are decided together, and what they come to is stored once, before any of them is answered.

A topic message here is a notification: it is published after the state is durable, so that who misses it finds the
same by a get, and not made where nobody hears it. Everyone's update is told (MQTT, HTTPS, in process); rejections only
to who asked over MQTT.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from littoral.protocols import shadow as core
from littoral.protocols.shadow import Shadow, ShadowError
from littoral.store.contract import StorageFailed
from littoral.store.documents import Documents
from littoral.things.shadows.topics import CLASSIC, ShadowRequest, prefix

log = logging.getLogger(__name__)

Json = dict[str, Any]
Publish = Callable[[str, bytes], Awaitable[None]]
Changed = Callable[[str, str, Json | None], None]
KNOWN: Final = 1024 * 1024  # bytes of JSON of the states that memory keeps for the next update
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class _Change:
    """What one request makes of a shadow, and what is to be said of it, by the end of the topic."""

    shadow: Shadow
    accepted: Json
    size: int = 0  # bytes of its state
    told: Sequence[tuple[str, Json]] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that waits for its turn. ``decide`` raises ShadowError."""

    decide: Callable[[Shadow], _Change]
    answer: asyncio.Future[Json]


class Shadows:
    """``publish`` sends a message on a topic; ``heard`` says whether anybody would get it; ``clock`` gives Unix
    seconds."""

    def __init__(
        self,
        documents: Documents,
        publish: Publish,
        clock: Callable[[], float],
        heard: Callable[[str], bool] = lambda topic: True,
    ) -> None:
        self._documents = documents
        self._publish = publish
        self._clock = clock
        self._heard = heard
        self._waiting: dict[tuple[str, str], list[_Asked]] = {}  # of the shadows that are at work
        self._working: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[tuple[str, str], tuple[Shadow, int]] = OrderedDict()  # as on disk, with their sizes
        self._known_size = 0
        self._listeners: list[Changed] = []
        self.on_answered: Callable[[ShadowRequest, ShadowError | None], None] = lambda request, refused: None

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

        def decide(current: Shadow) -> _Change:
            updated = core.update(current, request, self._now())
            told = [("/update/accepted", updated.accepted), ("/update/documents", updated.documents)]
            if updated.delta is not None:
                told.insert(1, ("/update/delta", updated.delta))
            return _Change(updated.shadow, updated.accepted, updated.size, told)

        return await self._change(thing, name, decide)

    async def get_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        token = core.parse_token(payload)
        return core.get(await self._load(_key(thing, name)), _shown(thing, name), self._now(), token)

    async def delete_with(self, thing: str, name: str, payload: bytes = b"") -> Json:
        """Raises ShadowError 404."""
        token = core.parse_token(payload)

        def decide(current: Shadow) -> _Change:
            remains, accepted = core.delete(current, _shown(thing, name), self._now(), token)
            return _Change(remains, accepted, told=[("/delete/accepted", accepted)])

        return await self._change(thing, name, decide)

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
            self.on_answered(request, error)
            await self._tell(f"{topic}/rejected", error.document(self._now()))
        except StorageFailed:
            failure = ShadowError(500, "Internal service failure", core.parse_token(payload))
            self.on_answered(request, failure)
            await self._tell(f"{topic}/rejected", failure.document(self._now()))
            raise
        else:
            self.on_answered(request, None)

    # --------------------------------------------------------------------------------- one after another

    async def _change(self, thing: str, name: str, decide: Callable[[Shadow], _Change]) -> Json:
        """The accepted document, once it is durable and told. Raises ShadowError, StorageFailed."""
        asked = _Asked(decide, asyncio.get_running_loop().create_future())
        waiting = self._waiting.get((thing, name))
        if waiting is not None:
            waiting.append(asked)
        else:
            self._waiting[thing, name] = [asked]
            task = asyncio.create_task(self._work(thing, name))  # not the caller's, who may be cancelled
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return await asked.answer

    async def _work(self, thing: str, name: str) -> None:
        shadow = (thing, name)
        try:
            while together := self._waiting[shadow]:
                self._waiting[shadow] = []
                try:
                    await self._answer(thing, name, together)
                except Exception as problem:  # noqa: BLE001 - whoever asked is told
                    self._forget(shadow)
                    for asked in together:
                        if not asked.answer.done():
                            asked.answer.set_exception(problem)
        finally:
            del self._waiting[shadow]

    async def _answer(self, thing: str, name: str, together: list[_Asked]) -> None:
        """All on one state, one write. Raises StorageFailed."""
        current, outcomes, size = await self._current(thing, name), [], 0
        for asked in together:
            outcome: _Change | ShadowError
            try:
                outcome = asked.decide(current)
                current, size = outcome.shadow, outcome.size
            except ShadowError as refusal:
                outcome = refusal
            outcomes.append(outcome)
        if any(isinstance(outcome, _Change) for outcome in outcomes):
            await self._documents.put(_key(thing, name), current.to_json())
            self._know((thing, name), current, size)
        for asked, outcome in zip(together, outcomes, strict=True):
            if isinstance(outcome, _Change):
                await self._tell_change(thing, name, outcome)
            if asked.answer.done():  # the caller was cancelled
                continue
            if isinstance(outcome, _Change):
                asked.answer.set_result(outcome.accepted)
            else:
                asked.answer.set_exception(outcome)

    async def _tell_change(self, thing: str, name: str, change: _Change) -> None:
        topic = prefix(thing, name)
        for end, document in change.told:
            await self._tell(topic + end, document)
        if self._listeners:
            self._changed(thing, name, change.shadow.document(self._now()) if change.shadow.exists else None)

    async def _current(self, thing: str, name: str) -> Shadow:
        known = self._known.get((thing, name))
        if known is None:
            return await self._load(_key(thing, name))
        self._known.move_to_end((thing, name))
        return known[0]

    def _know(self, key: tuple[str, str], shadow: Shadow, size: int) -> None:
        self._forget(key)
        self._known[key] = shadow, size
        self._known_size += size
        while self._known_size > KNOWN:
            self._known_size -= self._known.popitem(last=False)[1][1]

    def _forget(self, key: tuple[str, str]) -> None:
        self._known_size -= self._known.pop(key, (None, 0))[1]

    # -------------------------------------------------------------------------------------------- internals

    def _now(self) -> int:
        return int(self._clock())

    async def _load(self, key: str) -> Shadow:
        document = await self._documents.get(key)
        return core.NONE if document is None else Shadow.from_json(document)

    async def _tell(self, topic: str, document: Json) -> None:
        if self._heard(topic):
            await self._publish(topic, _encode(document).encode())

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
