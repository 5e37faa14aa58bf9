"""Changes of shadows: decided one after another, stored together, and only then told and answered.

::

    ask() ─▶ waiting, by shadow ─▶ a round: each shadow's state, one change after another, in memory
                  ▲                          │ one write for all shadows
                  └── next round ◀── told on the shadow's topics; whoever asked is answered

What comes while the disk is busy makes the next round. A write that fails fails all who are in it. An answer waits
until those durable sessions that are told of the change have it on disk; the next round does not.

A topic message here is a notification: it is published after the state is durable, so that who misses it finds the same
by a get, and not made where nobody hears it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from littoral.protocols import shadow as core
from littoral.protocols.shadow import Shadow, ShadowError, Updated
from littoral.store.documents import Documents
from littoral.things.shadows.topics import ShadowRequest, prefix

log = logging.getLogger(__name__)

Json = dict[str, Any]
Key = tuple[str, str]  # thing and name
Messages = list[tuple[str, bytes]]
Tell = Callable[[Messages], Awaitable[None] | None]
"""Publishes at once; what it returns is done when that is as durable as its subscribers' sessions want it."""
Changed = Callable[[str, str, Json | None], None]

KNOWN: Final = 4 * 1024 * 1024  # bytes of JSON of the shadows that memory keeps for the next change
ROUND: Final = 500  # shadows stored by one write: a few milliseconds of the loop
UPDATED: Final = (("/update/accepted", "accepted"), ("/update/delta", "delta"), ("/update/documents", "documents"))
DELETED: Final = (("/delete/accepted", "accepted"),)
NOT_TOLD: Final = "shadows changed, durably, and not everybody was told"
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Deleted:
    shadow: Shadow
    accepted: Json


Change = Updated | Deleted


@dataclass(slots=True)
class Asked:
    """A change that waits for its turn. ``decide`` raises ShadowError.

    Who asked by a message is answered on the topics; who called, by the accepted document, the result of ``answer``.
    """

    decide: Callable[[Shadow], Change]
    told: Sequence[tuple[str, str]]  # by the end of its topic, what of the change is told
    answer: asyncio.Future[Any]
    request: ShadowRequest | None = None
    token: str | None = None
    outcome: Change | Exception | None = None


class Changes:
    def __init__(
        self, documents: Documents, tell: Tell, clock: Callable[[], float], heard: Callable[[str], bool]
    ) -> None:
        self._documents = documents
        self._publish = tell
        self._clock = clock
        self._heard = heard
        self._waiting: dict[Key, list[Asked]] = {}
        self._working: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[Key, tuple[Shadow, int]] = OrderedDict()  # as on disk, with their sizes there
        self._known_size = 0
        self.listeners: list[Changed] = []
        self.on_answered: Callable[[ShadowRequest, ShadowError | None], None] = lambda request, refused: None

    def ask(
        self,
        key: Key,
        decide: Callable[[Shadow], Change],
        told: Sequence[tuple[str, str]],
        request: ShadowRequest | None = None,
        token: str | None = None,
    ) -> asyncio.Future[Any]:
        """Done once it is durable and told; who called gets the accepted document. Raises ShadowError to a caller,
        StorageFailed."""
        asked = Asked(decide, told, asyncio.get_running_loop().create_future(), request, token)
        self._waiting.setdefault(key, []).append(asked)
        if self._working is None:
            self._working = asyncio.create_task(self._work())  # not the caller's, who may be cancelled
        return asked.answer

    async def current(self, key: Key) -> Shadow:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known[0]
        document = await self._documents.get("/".join(key))
        return core.NONE if document is None else Shadow.from_json(document)

    def tell(self, topic: str, document: Json) -> Awaitable[None] | None:
        return self._publish([(topic, _encode(document).encode())]) if self._heard(topic) else None

    def reject(self, request: ShadowRequest, error: ShadowError) -> Awaitable[None] | None:
        self.on_answered(request, error)
        return self.tell(*self._rejected(request, error))

    # ------------------------------------------------------------------------------------------- a round

    async def _work(self) -> None:
        try:
            while self._waiting:
                together = {key: self._waiting.pop(key) for key in list(islice(self._waiting, ROUND))}
                everyone = [asked for each in together.values() for asked in each]
                try:
                    await self._store(together)
                except Exception as problem:  # noqa: BLE001 - whoever asked is told
                    self._fail(together, problem)
                self._tell(together, everyone)
        finally:
            self._working = None

    async def _store(self, together: dict[Key, list[Asked]]) -> None:
        """All changes of a shadow on one state, all states by one write. Raises StorageFailed."""
        changed: dict[str, tuple[Key, Shadow]] = {}
        for key, each in together.items():
            before = after = await self.current(key)
            for asked in each:
                try:
                    asked.outcome = asked.decide(after)
                    after = asked.outcome.shadow
                except ShadowError as refusal:
                    asked.outcome = refusal
            if after is not before:
                changed["/".join(key)] = key, after
        if not changed:
            return
        sizes = await self._documents.put_all({name: shadow.to_json() for name, (_, shadow) in changed.items()})
        for (key, shadow), size in zip(changed.values(), sizes, strict=True):
            self._know(key, shadow, size)

    def _fail(self, together: dict[Key, list[Asked]], problem: Exception) -> None:
        for key, each in together.items():
            if any(not isinstance(asked.outcome, ShadowError) for asked in each):
                self._known_size -= self._known.pop(key, (None, 0))[1]
                for asked in each:
                    asked.outcome = problem

    def _know(self, key: Key, shadow: Shadow, size: int) -> None:
        self._known_size += size - self._known.pop(key, (None, 0))[1]
        self._known[key] = shadow, size
        while self._known_size > KNOWN:
            self._known_size -= self._known.popitem(last=False)[1][1]

    # --------------------------------------------------------------------------------------------- after it

    def _tell(self, together: dict[Key, list[Asked]], everyone: list[Asked]) -> None:
        messages: Messages = []
        for key, each in together.items():
            topic = prefix(*key)
            for asked in each:
                self._describe(topic, asked, messages)
            if self.listeners:
                self._tell_listeners(key, each)
        try:
            telling = self._publish(messages) if messages else None
        except Exception:
            log.exception(NOT_TOLD)
            telling = None
        if telling is None:
            self._answer(everyone)
        else:
            task = asyncio.create_task(self._answer_after(telling, everyone))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    def _describe(self, topic: str, asked: Asked, messages: Messages) -> None:
        """What is told of it."""
        outcome, request = asked.outcome, asked.request
        if isinstance(outcome, Updated | Deleted):
            for end, part in asked.told:
                if self._heard(topic + end) and (document := getattr(outcome, part)) is not None:
                    messages.append((topic + end, _encode(document).encode()))
        elif request is not None:
            where, document = self._rejected(request, _refusal(asked))
            if self._heard(where):
                messages.append((where, _encode(document).encode()))

    def _rejected(self, request: ShadowRequest, error: ShadowError) -> tuple[str, Json]:
        where = f"{prefix(request.thing, request.name)}/{request.operation}/rejected"
        return where, error.document(int(self._clock()))

    def _tell_listeners(self, key: Key, each: list[Asked]) -> None:
        """Of the last of them."""
        changes = [asked.outcome for asked in each if isinstance(asked.outcome, Updated | Deleted)]
        if not changes:
            return
        shadow = changes[-1].shadow
        document = shadow.document(int(self._clock())) if shadow.exists else None
        for listener in self.listeners:
            try:
                listener(*key, document)
            except Exception:
                log.exception("a listener of shadow %s of %s failed", key[1] or "(classic)", key[0])

    async def _answer_after(self, telling: Awaitable[None], everyone: list[Asked]) -> None:
        try:
            await telling
        except Exception:
            log.exception(NOT_TOLD)
        self._answer(everyone)

    def _answer(self, everyone: list[Asked]) -> None:
        for asked in everyone:
            outcome, request, answer = asked.outcome, asked.request, asked.answer
            if request is not None:
                self.on_answered(request, _refusal(asked) if isinstance(outcome, Exception) else None)
            if answer.done():  # the caller was cancelled
                continue
            if isinstance(outcome, Updated | Deleted):
                answer.set_result(outcome.accepted if request is None else None)
            elif request is not None and isinstance(outcome, ShadowError):
                answer.set_result(None)  # the message is acknowledged: it was answered
            else:
                assert outcome is not None
                answer.set_exception(outcome)


def _refusal(asked: Asked) -> ShadowError:
    """As the device is told: who asked with QoS 0 gets no acknowledgement to miss."""
    if isinstance(asked.outcome, ShadowError):
        return asked.outcome
    return ShadowError(500, "Internal service failure", asked.token)
