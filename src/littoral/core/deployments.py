"""A core follows its orders: one deployment at a time, the core's own, those of its groups, and those made on it.

Orders are kept or asked for again (``orders``), carried out whole or not at all (``applying``). At the start the active
deployment runs from here alone, link or no link. What cannot be fetched, or has no room on the disk, is tried again;
a deployment that fails leaves the one before it running.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from littoral import __version__
from littoral.core import deploymenterrors as errors
from littoral.core.applying import Applying, Failed
from littoral.core.document import SHADOW, Status, reported, status_details
from littoral.core.fleetstatus.message import Component, Trigger
from littoral.core.fleetstatus.service import FleetStatusService
from littoral.core.ipc.ports import Details
from littoral.core.link import Link
from littoral.core.local.brought import Brought
from littoral.core.local.orders import LocalOrders
from littoral.core.nucleus.bootstrap import RestartNeeded
from littoral.core.nucleus.nucleus import Nucleus
from littoral.core.orders import JobOrders, Order, Orders, Outcome, ShadowOrders
from littoral.core.public import PUBLIC
from littoral.core.recipe import BadComponent
from littoral.core.source import Unreachable
from littoral.store.contract import StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

RETRY = 5.0  # seconds until what could not be fetched is tried again, or the next connect


class CoreDeployments:
    """``start`` after the broker and the functions have started and before the link does."""

    def __init__(
        self,
        thing: str,
        folder: Path,
        documents: Documents,
        link: Link,
        applying: Applying,
        nucleus: Nucleus,
        fleet: FleetStatusService,
        restart: Callable[[], None],
    ) -> None:
        """``folder`` is for what comes with local deployments; ``restart`` ends this core, to be started again."""
        self._restart = restart
        self.thing = thing
        self._link = link
        self._applying = applying
        self._nucleus = nucleus
        self._fleet = fleet
        fleet.components = self._health
        self._shadow = ShadowOrders(thing, documents, link, self._report)
        self._jobs = JobOrders(thing, documents, link)
        self.local = LocalOrders(folder, documents, self._standing)
        self._triggers: dict[int, Trigger] = {
            id(self._shadow): "THING_DEPLOYMENT",
            id(self._jobs): "THING_GROUP_DEPLOYMENT",
            id(self.local): "LOCAL_DEPLOYMENT",
        }
        self._orders: tuple[Orders, ...] = (self.local, self._shadow, self._jobs)  # one from above may wait for long
        self._look = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run what is active. Needs no link."""
        await self._applying.load()
        await self._applying.connect_active()
        self._starting = asyncio.create_task(self._applying.run_active())
        for orders in self._orders:
            await orders.start(self._look)
        self._follower = asyncio.create_task(self._follow())
        self._watcher = asyncio.create_task(self._watch())
        self._look.set()

    async def close(self) -> None:
        for task in (self._follower, self._starting, self._watcher):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._applying.close()

    @property
    def status(self) -> dict[str, Any]:
        return {
            **self._shadow.status,
            "active": self._applying.active.arn,
            "group": self._jobs.status,
            "local": [each.shown for each in self.local.listed()],
        }

    def _standing(self, target: str) -> Mapping[str, Mapping[str, Any]]:
        """The components that the active deployment to that target has."""
        found: Mapping[str, Mapping[str, Any]] = self._applying.active.targets.get(target, {}).get("components", {})
        return found

    def listed(self) -> list[dict[str, Any]]:
        """What is active: name, version and state of each component, and whether a deployment names it (``root``)."""
        states = {each.name: each.state for each in self._nucleus.listed()}
        states |= dict.fromkeys(self._applying.broken | self._applying.failing(), "BROKEN")
        return [
            {
                "name": name,
                "version": each["version"],
                "state": states.get(name, "RUNNING"),
                "root": each["root"],
                "local": each.get("local", False),
            }
            for name, each in self._applying.active.components.items()
        ]

    def details(self) -> list[Details]:
        """Of all components, as the IPC shows them: a program that a deployment has begun is one before its end."""
        active = {each["name"]: Details(each["name"], each["version"], each["state"]) for each in self.listed()}
        for each in self._nucleus.listed():
            if each.name not in active or active[each.name].version != each.version:
                active[each.name] = each
        return list(active.values())

    async def restart(self, name: str) -> None:
        """A program, or a long-lived function. Raises BadComponent."""
        if self._program(name):
            await self._nucleus.restart(name)
        elif name in PUBLIC:
            raise BadComponent(f"{name} is played by the core itself: it is not restarted alone")
        else:
            await self._applying.restart(name)

    async def stop(self, name: str) -> None:
        """A program, until it is restarted, or the core is. Raises BadComponent."""
        self._only_program(name, "stopped")
        await self._nucleus.stop(name)

    def pause(self, name: str) -> None:
        """Raises BadComponent."""
        self._only_program(name, "paused")
        self._nucleus.pause(name)

    def resume(self, name: str) -> None:
        """Raises BadComponent."""
        self._only_program(name, "resumed")
        self._nucleus.resume(name)

    def _program(self, name: str) -> bool:
        return any(each.name == name for each in self._nucleus.listed())

    def _only_program(self, name: str, what: str) -> None:
        """Raises BadComponent."""
        if not self._program(name):
            raise BadComponent(f"{name} is not a program: only programs are {what}")

    async def _report(
        self, arn: str, status: Status | None, reason: str, detail: str | None, stack: Sequence[str]
    ) -> None:
        part = reported(arn, status, __version__, reason, detail, stack)
        topic = f"$aws/things/{self.thing}/shadow/name/{SHADOW}/update"
        await self._link.publish(topic, json.dumps({"state": {"reported": part}}).encode())

    def _health(self) -> list[Component]:
        arns = self._applying.active.arns()
        made = []
        for each in self.listed():
            name = each["name"]
            made.append(Component(name, each["version"], each["state"], each["root"], tuple(arns[name])))
            if (trouble := self._applying.trouble(name)) is not None:
                codes = (trouble.code,) if trouble.code else ()
                made[-1] = replace(made[-1], codes=codes, reason=trouble.reason)
        return made

    async def _watch(self) -> None:
        """A component that breaks, or is whole again, is told soon: the core is UNHEALTHY, or HEALTHY again."""
        while True:
            await self._nucleus.changed()
            self._fleet.changed()

    async def _follow(self) -> None:
        while True:
            await self._look.wait()
            self._look.clear()
            order = next((each.due for each in self._orders if each.due is not None), None)
            if order is None:
                continue
            try:
                outcome = await self._carried_out(order)
            except RestartNeeded:
                log.warning("deployment %s goes on after a restart of this core", order.deployment.arn)
                self._restart()
                return
            if outcome is None:
                asyncio.get_running_loop().call_later(RETRY, self._look.set)
            else:
                log.info("deployment %s: %s %s", order.deployment.arn, outcome.status, outcome.reason)
                await self._fleet.deployed(self._triggers[id(order.orders)], _information(order, outcome))
                await order.orders.finished(outcome)
                self._look.set()

    async def _carried_out(self, order: Order) -> Outcome | None:
        """None where it is to be tried again. Raises RestartNeeded."""
        arn = order.deployment.arn
        try:
            await order.orders.begun(order)
            brought = None
            if order.folder is not None:
                brought = await asyncio.to_thread(Brought.of, order.folder)
            await self._applying.apply(order.deployment, order.key, brought)
        except Unreachable as problem:
            log.info("deployment %s waits: %s", arn, problem)
            return None
        except StoreError as problem:
            log.warning("deployment %s waits for the disk: %s", arn, problem)
            return None
        except RestartNeeded:
            raise
        except Failed as problem:
            return Outcome(order.key, "FAILED", str(problem), problem.detail, problem.stack)
        except Exception as problem:
            log.exception("deployment %s failed by our own fault", arn)
            why = f"internal error: {problem!r}"
            return Outcome(order.key, "FAILED", why, "FAILED_UNABLE_TO_ROLLBACK", (errors.FAILURE,))
        return Outcome(order.key, "SUCCEEDED", "", "SUCCESSFUL")


def _information(order: Order, outcome: Outcome) -> dict[str, Any]:
    """Of a deployment that has ended, as the fleet status tells it."""
    return {
        "status": outcome.status,
        "statusDetails": status_details(outcome.reason, outcome.detail, outcome.stack),
        "fleetConfigurationArnForStatus": order.deployment.arn,
        "deploymentId": order.deployment.deployment_id,
        "unchangedRootComponents": [],
    }
