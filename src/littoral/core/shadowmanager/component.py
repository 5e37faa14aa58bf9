"""Which shadows are to be looked at, and when: at every change on either side, at every connect, or now and then.

The way of one change: it is noted by its shadow's name; a worker reads this side, and the one above only where that may
have moved on since both were last the same (else it is the base that is kept); ``protocols/shadowsync`` makes the plan;
the plan is kept, written above, written here, and what both are now is kept. With the link down nothing is asked; all
is looked at when it is back. A shadow is in the hands of one worker at a time.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from littoral.core.ipc.ports import LocalShadows
from littoral.core.link import Link
from littoral.core.ports import Subscription
from littoral.core.shadowmanager.above import Away, Moved, Refused, ShadowsAbove, side_of
from littoral.core.shadowmanager.pace import Pace
from littoral.core.shadowmanager.settings import Key, Settings, settings_of
from littoral.protocols.shadow import ShadowError
from littoral.protocols.shadowsync import Record, Side, Write, finished, plan
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

WORKERS: Final = 4  # shadows under way at once
AGAIN: Final = 1.0  # seconds until what the link or the disk kept from being done is tried again
REFUSED: Final = 30.0  # seconds until what the place above refused is tried again
EACH: Final = 16  # things that are subscribed to one by one; AWS allows 50 subscriptions to a client

_TOPIC = re.compile(r"\$aws/things/([^/]+)/shadow(?:/name/([^/]+))?/(update|delete)/accepted")


class ShadowManager:
    def __init__(
        self, core: str, records: Records, shadows: LocalShadows, above: ShadowsAbove, link: Link, pace: Pace
    ) -> None:
        self._core = core
        self._documents = Documents(records, "shadowsync/")
        self._shadows = shadows
        self._above = above
        self._link = link
        self._pace = pace
        self._settings: Settings | None = None
        self._records: dict[Key, Record] = {}
        self._known: set[Key] = set()  # whose shadow above is the base, as far as anybody told
        self._own: dict[Key, int] = {}  # the version above that our last write makes
        self._waiting: dict[Key, None] = {}  # in the order of their coming
        self._busy: set[Key] = set()
        self._stir = asyncio.Event()
        self._next_write = 0.0  # above, on the monotonic clock
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: list[Subscription] = []
        shadows.on_shadow_changed(self._changed_here)
        link.on_connected(self._connected)

    # ------------------------------------------------------------------------------------------- as configured

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = None if configuration is None else settings_of(configuration, self._core)
        if settings == self._settings:
            return
        await self.close()
        wanted = settings or Settings()
        self._shadows.limit = wanted.limit
        self._pace.most = (wanted.local, wanted.local_of_thing) if settings else None
        await self._load(wanted)
        self._settings = settings
        if settings is None or not wanted.shadows:
            return
        self._subscriptions = [self._link.subscribe(each, self._heard) for each in _filters(wanted.shadows)]
        self._tasks = [asyncio.create_task(self._work(wanted)) for _ in range(WORKERS)]
        if wanted.delay is not None:
            self._tasks.append(asyncio.create_task(self._now_and_then(wanted.delay)))
        self._look_at_all()

    async def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._subscriptions, self._tasks, self._settings = [], [], None
        for kept in (self._busy, self._waiting, self._own):
            kept.clear()

    async def _load(self, settings: Settings) -> None:
        """What is not synchronised any more begins anew when it is again."""
        self._records.clear()
        self._known.clear()
        after = ""
        while page := await self._documents.scan(after=after):
            for name, document in page:
                thing, _, shadow = name.partition("/")
                if (thing, shadow) in settings.shadows:
                    self._records[thing, shadow] = Record.from_json(document)
                else:
                    await self._documents.delete(name)
            after = page[-1][0]

    # ------------------------------------------------------------------------------------------- what is noted

    def _changed_here(self, thing: str, name: str, _document: object) -> None:
        if self._settings is not None and self._settings.direction != "cloudToDevice":
            self._note((thing, name))

    def _heard(self, topic: str, payload: bytes, _qos: int) -> None:
        found = _TOPIC.fullmatch(topic)
        key = (found[1], found[2] or "") if found is not None else ("", "")
        if found is None or self._settings is None or key not in self._settings.shadows:
            return
        if self._settings.direction == "deviceToCloud":
            return
        try:
            version = json.loads(payload)["version"]
        except (ValueError, KeyError, TypeError):
            version = None
        if found[3] == "update" and version is not None and version == self._own.get(key):
            return
        self._known.discard(key)
        self._note(key)

    async def _connected(self) -> None:
        self._known.clear()
        self._look_at_all()

    def _look_at_all(self) -> None:
        for key in self._settings.shadows if self._settings is not None else ():
            self._note(key)
        self._stir.set()

    def _note(self, key: Key) -> None:
        if self._settings is not None and key in self._settings.shadows:
            self._waiting[key] = None
            if self._settings.delay is None:
                self._stir.set()

    async def _now_and_then(self, delay: float) -> None:
        while True:
            await asyncio.sleep(delay)
            self._stir.set()

    # ------------------------------------------------------------------------------------------- one shadow

    async def _work(self, settings: Settings) -> None:
        while True:
            await self._link.connected()
            key = next((each for each in self._waiting if each not in self._busy), None)
            if key is None or not self._stir.is_set():
                self._stir.clear()
                await self._stir.wait()
                continue
            del self._waiting[key]
            self._busy.add(key)
            try:
                again = await self._tried(key, settings)
            finally:
                self._busy.discard(key)
                if key in self._waiting and settings.delay is None:
                    self._stir.set()
            if again is not None:
                asyncio.get_running_loop().call_later(again, self._once_more, key)

    def _once_more(self, key: Key) -> None:
        self._note(key)
        self._stir.set()

    async def _tried(self, key: Key, settings: Settings) -> float | None:
        """Seconds until it is to be tried again."""
        shown = "/".join(filter(None, key))
        try:
            await self._reconcile(key, settings)
            return None
        except Moved:
            problem, again = "it changed meanwhile", 0.0
        except (Away, StoreError) as trouble:
            problem, again = str(trouble), AGAIN
        except Refused as refusal:
            problem, again = str(refusal), REFUSED
        except ShadowError as refusal:
            problem, again = f"refused here: {refusal}", 0.0 if refusal.code == 409 else REFUSED
        except Exception:
            log.exception("shadow %s is not synchronised by our own fault", shown)
            problem, again = "internal error", REFUSED
        self._known.discard(key)
        log.log(logging.WARNING if again == REFUSED else logging.INFO, "shadow %s: %s", shown, problem)
        return again

    async def _reconcile(self, key: Key, settings: Settings) -> None:
        record, rule = self._record(key), settings.shadows[key]
        here = await self._here(key)
        assumed = key in self._known and record.pending is None
        above = Side(record.base, record.above) if assumed else await self._read_above(key)
        made = plan(record, here, above, rule, settings.direction)
        if assumed and made.above is not None and made.above.patch is None:  # a deletion knows no version
            above = await self._read_above(key)
            made = plan(record, here, above, rule, settings.direction)
        versions = [here.version, above.version]
        if made.above is not None or made.here is not None:
            await self._keep(key, replace(record, pending=made.pending))
            if made.above is not None:
                await self._may_write(settings.outbound)
                self._own[key] = made.above.version + 1
                versions[1] = await self._above.write(*key, made.above)
            if made.here is not None:
                versions[0] = await self._write_here(key, made.here)
        done = finished(made, *versions)
        if done != record:
            await self._keep(key, done)

    def _record(self, key: Key) -> Record:
        return self._records.get(key, Record())

    async def _keep(self, key: Key, record: Record) -> None:
        await self._documents.put("/".join(key), record.to_json())
        self._records[key] = record

    async def _read_above(self, key: Key) -> Side:
        self._known.add(key)  # until somebody tells of a change, which may be while we read
        return await self._above.read(*key)

    async def _may_write(self, rate: int) -> None:
        now = time.monotonic()
        self._next_write = max(now, self._next_write) + 1 / rate
        await asyncio.sleep(self._next_write - 1 / rate - now)

    async def _here(self, key: Key) -> Side:
        try:
            return side_of(await self._shadows.get_with(*key))
        except ShadowError as refusal:
            if refusal.code != 404:
                raise
            return Side()

    async def _write_here(self, key: Key, write: Write) -> int:
        if write.patch is None:
            await self._shadows.delete_with(*key)
            return 0
        request = {"state": write.patch, **({"version": write.version} if write.version else {})}
        return int((await self._shadows.update_with(*key, json.dumps(request).encode()))["version"])


def _filters(shadows: Mapping[Key, object]) -> list[str]:
    things = sorted({thing for thing, _ in shadows})
    if len(things) > EACH:
        return [f"$aws/things/+/shadow{rest}" for rest in ("/+/accepted", "/name/+/+/accepted")]
    classic = [f"$aws/things/{each}/shadow/+/accepted" for each in things if (each, "") in shadows]
    named = sorted({thing for thing, name in shadows if name})
    return classic + [f"$aws/things/{each}/shadow/name/+/+/accepted" for each in named]
