"""A core follows its desired state.

::

    shadow (desired) ──▶ kept here ──▶ recipes, artifacts ──▶ functions installed ──▶ kept as active ──▶ connected
                                                                                             │
    shadow (reported) ◀── SUCCEEDED or FAILED with a reason ◀────────────────────────────────┘

What is desired is kept before anything is done, what is active before anything is connected. At the start the active
deployment runs from here alone, link or no link. A deployment that fails leaves the one before it running.
The shadow is asked for at every connect and after every delta, so a notice that was lost costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from littoral import __version__
from littoral.aws.service import ServiceError
from littoral.core.bridge import BRIDGE, TopicMapping, mappings
from littoral.core.document import SHADOW, Deployment, Status, parse_desired, reported
from littoral.core.link import Link, LinkDown
from littoral.core.nucleus.nucleus import Nucleus, Wanted
from littoral.core.nucleus.recipe import generic_of
from littoral.core.packages import Packages
from littoral.core.ports import Functions
from littoral.core.public import PUBLIC, Played
from littoral.core.recipe import ARTIFACT, LAMBDA, LAYER, BadComponent, LambdaComponent, component_of, parse_merge
from littoral.core.routes import Routes
from littoral.core.source import Declined, Source, Unreachable
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

DESIRED, ACTIVE, OUTCOME = "desired", "active", "outcome"
RETRY = 5.0  # seconds until what could not be fetched is tried again, or the next connect
PLATFORM = {"os": platform.system().lower(), "architecture": platform.machine()}
FAILED = (BadComponent, Declined, ServiceError)


class CoreDeployments:
    """``start`` after the broker and the functions have started and before the link does."""

    def __init__(
        self,
        thing: str,
        records: Records,
        link: Link,
        source: Source,
        functions: Functions,
        routes: Routes,
        nucleus: Nucleus,
        packages: Packages,
        played: Mapping[str, Played],
    ) -> None:
        self.thing = thing
        self._documents = Documents(records, "deployment/")
        self._link = link
        self._source = source
        self._functions = functions
        self._routes = routes
        self._nucleus = nucleus
        self._packages = packages
        self._played = played
        self._prefix = f"$aws/things/{thing}/shadow/name/{SHADOW}"
        self._desired: Deployment | None = None
        self._active: dict[str, Any] = {"arn": "", "components": {}, "recipes": {}}
        self._outcome: dict[str, str] = {}  # arn, status, reason of the last that was finished
        self._broken: set[str] = set()  # components that are active and cannot run
        self._look = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run what is active. Needs no link."""
        desired = await self._documents.get(DESIRED)
        self._desired = Deployment(**desired) if desired else None
        self._active = await self._documents.get(ACTIVE) or self._active
        self._outcome = await self._documents.get(OUTCOME) or {}
        await self._connect_active()
        self._starting = asyncio.create_task(self._run_active())
        self._link.subscribe(f"{self._prefix}/get/accepted", self._shadow)
        self._link.subscribe(f"{self._prefix}/update/delta", self._changed)
        self._link.on_connected(self._connected)
        self._follower = asyncio.create_task(self._follow())
        self._look.set()

    async def close(self) -> None:
        for task in (self._follower, self._starting):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._routes.close()
        await self._nucleus.close()
        for played in self._played.values():
            await played.close()

    @property
    def status(self) -> dict[str, Any]:
        return {
            "desired": self._desired.arn if self._desired else "",
            "active": self._active["arn"],
            "outcome": self._outcome,
        }

    def listed(self) -> list[dict[str, str]]:
        """What is active: name, version and state of each component."""
        states = {each.name: each.state for each in self._nucleus.listed()}
        states |= dict.fromkeys(self._broken, "BROKEN")
        return [
            {"name": name, "version": each["version"], "state": states.get(name, "RUNNING")}
            for name, each in self._active["components"].items()
        ]

    # ------------------------------------------------------------------------------------- the shadow

    async def _connected(self) -> None:
        """Say how things stand and ask what is wanted: whoever waits for a fetch tries now."""
        await self._report(*self._standing())
        await self._ask()
        self._look.set()

    async def _ask(self) -> None:
        await self._link.publish(f"{self._prefix}/get", b"")

    async def _changed(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            await self._ask()
        except LinkDown as problem:
            log.info("the deployment of %s is asked for at the next connect: %s", self.thing, problem)

    async def _shadow(self, topic: str, payload: bytes, qos: int) -> None:
        try:
            state = json.loads(payload)["state"]
            wanted = parse_desired(state.get("desired") or {})
        except (ValueError, KeyError, TypeError, AttributeError, BadComponent) as problem:
            log.warning("the deployment shadow of %s cannot be read: %s", self.thing, problem)
            return
        if wanted is None or wanted == self._desired:
            return
        await self._documents.put(DESIRED, asdict(wanted))
        self._desired = wanted
        self._look.set()

    async def _report(self, arn: str, status: Status | None, reason: str) -> None:
        part = reported(arn, status, __version__, self.listed(), PLATFORM, reason)
        await self._link.publish(f"{self._prefix}/update", json.dumps({"state": {"reported": part}}).encode())

    def _standing(self) -> tuple[str, Status | None, str]:
        outcome = self._outcome
        if self._desired is None or self._finished(self._desired):
            status: Any = outcome.get("status")
            return outcome.get("arn", ""), status, outcome.get("reason", "")
        return self._desired.arn, "IN_PROGRESS", ""

    # --------------------------------------------------------------------------------------- following

    def _finished(self, wanted: Deployment) -> bool:
        return wanted.canceled or wanted.arn == self._outcome.get("arn")

    async def _follow(self) -> None:
        while True:
            await self._look.wait()
            self._look.clear()
            wanted = self._desired
            if wanted is None or self._finished(wanted):
                continue
            try:
                await self._tell(wanted.arn, "IN_PROGRESS", "")
                await self._apply(wanted)
            except Unreachable as problem:
                log.info("deployment %s waits: %s", wanted.arn, problem)
                asyncio.get_running_loop().call_later(RETRY, self._look.set)
            except FAILED as problem:
                await self._finish(wanted, "FAILED", str(problem))
            except StoreError as problem:
                log.warning("deployment %s waits for the disk: %s", wanted.arn, problem)
                asyncio.get_running_loop().call_later(RETRY, self._look.set)
            except Exception as problem:
                log.exception("deployment %s failed by our own fault", wanted.arn)
                await self._finish(wanted, "FAILED", f"internal error: {problem!r}")

    async def _finish(self, wanted: Deployment, status: Status, reason: str) -> None:
        outcome = {"arn": wanted.arn, "status": status, "reason": reason}
        try:
            await self._documents.put(OUTCOME, outcome)
        except StoreError as problem:
            log.warning("the outcome of %s is not kept: %s", wanted.arn, problem)
        self._outcome = outcome
        log.info("deployment %s: %s %s", wanted.arn, status, reason)
        await self._tell(wanted.arn, status, reason)

    async def _tell(self, arn: str, status: Status, reason: str) -> None:
        try:
            await self._report(arn, status, reason)
        except LinkDown as problem:  # told at the next connect
            log.info("deployment %s: %s is not told yet: %s", arn, status, problem)

    async def _apply(self, wanted: Deployment) -> None:
        """Raises Unreachable, and FAILED's; what ran before then runs on."""
        own = {name: each["version"] for name, each in wanted.components.items() if name not in PUBLIC}
        found = await self._source.recipes(own)
        active = {
            "arn": wanted.arn,
            "components": {name: dict(each) for name, each in wanted.components.items()},
            "recipes": {name: recipe for name, (_, recipe) in found.items()},
            "at": time.time(),
        }
        plan, before = _plan(active), _plan(self._active)
        components = plan.lambdas
        archives = {
            each.name: await self._archives(found[each.name][0], each)
            for each in components
            if each not in self._runnable()
        }
        for each in plan.programs:
            await self._packages.fetch(found[each.made.name][0], each.made)
        await self._install([each for each in components if each.name in archives], archives)
        await self._run(plan, before)
        await self._documents.put(ACTIVE, active)
        self._active = active
        await self._connect_active()
        await self._finish(wanted, "SUCCEEDED", "")
        for function in {each.function for each in before.lambdas} - {each.function for each in components}:
            await self._functions.remove(function)
        await self._nucleus.forget(list(before.names - plan.names))
        await self._packages.keep([each.made for each in plan.programs])

    async def _run(self, plan: _Plan, before: _Plan) -> None:
        """What AWS's components and the programs of a deployment are to do, or those of the one before it. Raises
        BadComponent."""
        try:
            await self._play(plan)
            await self._nucleus.change(plan.programs)
        except BadComponent:
            try:
                await self._play(before)
                await self._nucleus.change(before.programs)
            except BadComponent as problem:
                log.warning("going back to the deployment before: %s", problem)
            raise

    async def _run_active(self) -> None:
        """Programs are started beside everything else: one that takes its time holds nothing up."""
        plan = _plan(self._active)
        for step in (self._play(plan), self._nucleus.change(plan.programs)):
            try:
                await step
            except (BadComponent, StoreError) as problem:
                log.warning("of the active deployment: %s", problem)

    async def _play(self, plan: _Plan) -> None:
        """All of them are told. Raises BadComponent, naming those that cannot."""
        problems = []
        for name, played in self._played.items():
            try:
                await played.play(plan.public.get(name))
            except BadComponent as problem:
                problems.append(f"{name}: {problem}")
        if problems:
            raise BadComponent("; ".join(problems))

    async def _archives(self, arn: str, component: LambdaComponent) -> list[bytes]:
        """The function's zip, then those of its layers."""
        layers = [(LAYER.format(number), digest) for number, digest in enumerate(component.layers, 1)]
        wanted = [(ARTIFACT, component.code_sha256), *layers]
        return [await self._source.artifact(arn, digest, name) for name, digest in wanted]

    async def _install(self, components: list[LambdaComponent], archives: Mapping[str, list[bytes]]) -> None:
        """All, or what was there before under the same names."""
        before = {(each.function, each.function_version): each for each in _plan(self._active).lambdas}
        done: list[LambdaComponent] = []
        try:
            for each in components:
                done.append(each)
                archive, *layers = archives[each.name]
                await self._functions.install(each, archive, layers=layers)
        except ServiceError:
            for each in done:
                old = before.get((each.function, each.function_version))
                if old is not None and old.code_sha256 == each.code_sha256:
                    archive, *layers = archives[each.name]
                    await self._functions.install(old, archive, layers=layers)
            raise

    def _runnable(self) -> list[LambdaComponent]:
        """Of the active deployment: what is installed as it should be."""
        return [
            each
            for each in _plan(self._active).lambdas
            if self._functions.installed(each.function, each.function_version) == each.code_sha256
        ]

    async def _connect_active(self) -> None:
        plan = _plan(self._active)
        components, bridges = plan.lambdas, plan.bridges
        runnable = self._runnable()
        self._broken = {each.name for each in components if each not in runnable}
        if self._broken:
            log.error("components whose function is not here: %s", ", ".join(sorted(self._broken)))
        await self._routes.change(tuple(runnable), bridges, keep={each.name for each in components})


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a deployment with its recipes comes to."""

    lambdas: tuple[LambdaComponent, ...]
    programs: tuple[Wanted, ...]
    public: Mapping[str, Mapping[str, Any]]  # AWS's components with their configuration

    @property
    def bridges(self) -> tuple[TopicMapping, ...]:
        return mappings(self.public.get(BRIDGE, {}))

    @property
    def names(self) -> set[str]:
        """Of the programs."""
        return {each.made.name for each in self.programs}


def _plan(active: Mapping[str, Any]) -> _Plan:
    """Raises BadComponent."""
    lambdas: list[LambdaComponent] = []
    programs: list[Wanted] = []
    public: dict[str, Mapping[str, Any]] = {}
    for name, each in active["components"].items():
        if name in PUBLIC:
            public[name] = PUBLIC[name].configured(each.get("merge"))
        elif (recipe := active["recipes"][name]).get("ComponentType") == LAMBDA:
            lambdas.append(component_of(recipe, each.get("merge")))
        else:
            made = generic_of(recipe, PLATFORM["os"], PLATFORM["architecture"])
            programs.append(Wanted(made, parse_merge(each.get("merge")), active.get("at", 0.0)))
    return _Plan(tuple(lambdas), tuple(programs), public)
