"""How a core is told what to run, and where it answers: its own deployments by the shadow, its groups' as jobs.

==============  ===========================================================  =====================================
``ShadowOrders``  the named shadow ``AWSManagedGreengrassV2Deployment``        ``reported``
``JobOrders``     jobs of the namespace ``aws-gg-deployment``, one at a time   the execution's status
``LocalOrders``   asked for on the device (``local/orders.py``)                kept, for who asks
==============  ===========================================================  =====================================

Each knows the one order that is due, and the last outcome, which it keeps and tells again at every connect until the
place above knows. Both are asked for at every connect and after every notice, so one that was lost costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from littoral.core import deploymenterrors as errors
from littoral.core.document import SHADOW, STACK, TYPES, Deployment, Status, parse_desired, parse_fleet
from littoral.core.link import Link, LinkDown
from littoral.core.recipe import BadComponent
from littoral.store.contract import StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

DESIRED, OUTCOME, JOB_OUTCOME = "desired", "outcome", "job-outcome"
NAMESPACE = "namespace-aws-gg-deployment"
UNREADABLE = errors.REJECTED, "DEPLOYMENT_DOCUMENT_PARSE_ERROR"
MOST_SAID = 1024  # characters of a job's status detail

Report = Callable[[str, Status | None, str, str | None, Sequence[str]], Awaitable[None]]
"""Writes arn, status, reason, detail and error stack into the shadow. Raises LinkDown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    order: str  # Order.key
    status: Status
    reason: str = ""
    detail: str | None = None
    stack: Sequence[str] = ()  # of AWS's error codes


@dataclass(frozen=True, slots=True)
class Order:
    deployment: Deployment
    key: str  # one order of one deployment: the same deployment may be ordered anew
    orders: Orders
    folder: Path | None = None  # of what came with it


class Orders(Protocol):
    """``start`` before the link does; ``due`` is None where there is nothing to do."""

    async def start(self, look: asyncio.Event) -> None: ...

    @property
    def due(self) -> Order | None: ...

    async def begun(self, order: Order) -> None:
        """Tell that it is in progress, if there is a link. Raises StoreError."""

    async def finished(self, outcome: Outcome) -> None:
        """Keep it and tell it, now or at the next connect."""


class _Kept:
    """The last outcome of one kind of orders."""

    def __init__(self, documents: Documents, key: str) -> None:
        self._documents = documents
        self._key = key
        self.last: Outcome | None = None

    async def load(self) -> None:
        found = await self._documents.get(self._key)
        if found is not None:
            found["order"] = found.pop("arn", found.get("order", ""))  # as an earlier version of Littoral kept it
            self.last = Outcome(**found)

    async def keep(self, outcome: Outcome) -> None:
        try:
            await self._documents.put(self._key, asdict(outcome))
        except StoreError as problem:
            log.warning("the outcome of %s is not kept: %s", outcome.order, problem)
        self.last = outcome

    def of(self, order: str) -> Outcome | None:
        return self.last if self.last is not None and self.last.order == order else None


class ShadowOrders:
    def __init__(self, thing: str, documents: Documents, link: Link, report: Report) -> None:
        self._thing = thing
        self._documents = documents
        self._link = link
        self._report = report
        self._prefix = f"$aws/things/{thing}/shadow/name/{SHADOW}"
        self._desired: Deployment | None = None
        self._outcome = _Kept(documents, OUTCOME)
        self._look = asyncio.Event()

    async def start(self, look: asyncio.Event) -> None:
        self._look = look
        desired = await self._documents.get(DESIRED)
        self._desired = Deployment(**desired) if desired else None
        await self._outcome.load()
        self._link.subscribe(f"{self._prefix}/get/accepted", self._shadow)
        self._link.subscribe(f"{self._prefix}/update/delta", self._changed)
        self._link.on_connected(self._connected)

    @property
    def due(self) -> Order | None:
        wanted = self._desired
        if wanted is None or wanted.canceled or self._outcome.of(wanted.arn):
            return None
        return Order(wanted, wanted.arn, self)

    @property
    def status(self) -> dict[str, Any]:
        last = self._outcome.last
        shown = {"arn": last.order, "status": last.status, "reason": last.reason} if last is not None else {}
        return {"desired": self._desired.arn if self._desired else "", "outcome": shown}

    async def begun(self, order: Order) -> None:
        await self.told()

    async def finished(self, outcome: Outcome) -> None:
        await self._outcome.keep(outcome)
        await self.told()

    async def told(self) -> None:
        """How things stand; if there is no link, at the next connect."""
        try:
            await self._tell()
        except LinkDown as problem:
            log.info("how %s stands is not told yet: %s", self._thing, problem)

    async def _tell(self) -> None:
        due, last = self.due, self._outcome.last
        if due is not None:
            await self._report(due.key, "IN_PROGRESS", "", None, ())
        elif last is not None:
            await self._report(last.order, last.status, last.reason, last.detail, last.stack)
        else:
            await self._report("", None, "", None, ())

    async def _connected(self) -> None:
        """Say how things stand and ask what is wanted: whoever waits for a fetch tries now."""
        await self.told()
        await self._ask()
        self._look.set()

    async def _ask(self) -> None:
        await self._link.publish(f"{self._prefix}/get", b"")

    async def _changed(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            await self._ask()
        except LinkDown as problem:
            log.info("the deployment of %s is asked for at the next connect: %s", self._thing, problem)

    async def _shadow(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            state = json.loads(payload)["state"]
            wanted = parse_desired(state.get("desired") or {})
        except (ValueError, KeyError, TypeError, AttributeError, BadComponent) as problem:
            log.warning("the deployment shadow of %s cannot be read: %s", self._thing, problem)
            return
        if wanted is None or wanted == self._desired:
            return
        await self._documents.put(DESIRED, asdict(wanted))
        self._desired = wanted
        self._look.set()


class JobOrders:
    def __init__(self, thing: str, documents: Documents, link: Link) -> None:
        self._thing = thing
        self._link = link
        self._prefix = f"$aws/things/{thing}/jobs"
        self._next: tuple[str, str, Mapping[str, Any]] | None = None  # job, key, its document
        self._outcome = _Kept(documents, JOB_OUTCOME)
        self._look = asyncio.Event()

    async def start(self, look: asyncio.Event) -> None:
        self._look = look
        await self._outcome.load()
        self._link.subscribe(f"{self._prefix}/$next/{NAMESPACE}/get/accepted", self._told_next)
        self._link.subscribe(f"{self._prefix}/notify-{NAMESPACE}", self._changed)
        self._link.on_connected(self._ask)

    @property
    def status(self) -> dict[str, Any]:
        """How the last deployment to one of its groups ended."""
        last = self._outcome.last
        if last is None:
            return {}
        return {"id": last.order.rpartition("#")[0], "status": last.status, "reason": last.reason}

    @property
    def due(self) -> Order | None:
        if self._next is None or self._outcome.of(self._next[1]):
            return None
        _, key, document = self._next
        return Order(parse_fleet(document), key, self)

    async def begun(self, order: Order) -> None:
        await self._tell(order.key, "IN_PROGRESS", {})

    async def finished(self, outcome: Outcome) -> None:
        await self._outcome.keep(outcome)
        await self._tell_outcome(outcome)

    async def _tell_outcome(self, outcome: Outcome) -> None:
        details = {
            "detailed-deployment-status": outcome.detail or "",
            "deployment-failure-cause": outcome.reason,
            STACK: errors.written(outcome.stack),
            TYPES: errors.written(errors.types_of(outcome.stack)),
        }
        said = {name: _printable(each) for name, each in details.items() if each}
        await self._tell(outcome.order, outcome.status, said)

    async def _tell(self, key: str, status: Status, details: Mapping[str, str]) -> None:
        job = key.rpartition("#")[0]
        message = json.dumps({"status": status, "statusDetails": details}).encode()
        try:
            await self._link.publish(f"{self._prefix}/{job}/{NAMESPACE}/update", message)
        except LinkDown as problem:
            log.info("job %s: %s is not told yet: %s", job, status, problem)

    async def _ask(self) -> None:
        await self._link.publish(f"{self._prefix}/$next/{NAMESPACE}/get", b"")

    async def _changed(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            await self._ask()
        except LinkDown as problem:
            log.info("the next job of %s is asked for at the next connect: %s", self._thing, problem)

    async def _told_next(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            execution = json.loads(payload).get("execution") or {}
            if not execution:
                self._next = None
                return
            job, key = str(execution["jobId"]), f"{execution['jobId']}#{int(execution['executionNumber'])}"
            document = execution["jobDocument"]
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            log.warning("the next job of %s cannot be read: %r", self._thing, problem)
            return
        try:
            parse_fleet(document)
        except BadComponent as problem:
            await self.finished(Outcome(key, "REJECTED", str(problem), "REJECTED", UNREADABLE))
            return
        known = self._outcome.of(key)
        if known is not None:  # it did not get through
            await self._tell_outcome(known)
        self._next = (job, key, document)
        self._look.set()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)[:MOST_SAID]
