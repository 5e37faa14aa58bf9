"""From what is active to what shall be: a deployment carried out, or undone.

::

    recipes ──▶ artifacts, functions' code ──▶ components asked ──▶ functions installed ──▶ programs run ──▶ ACTIVE kept
    └────── fails: nothing was changed ──────────────────────┘      └───────── fails: as it was before ───┘      │
                                                                                connected, what is not needed removed

``ACTIVE`` is one document, written in one step: before it a crash finds the old deployment, after it the new one. What
is changed before that (the configurations of components and functions) is put back at the next start, as long as
``BEFORE`` is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from littoral.aws.service import ServiceError
from littoral.core import deploymenterrors as errors
from littoral.core.choosing import Choosing
from littoral.core.consulting import Consulting
from littoral.core.document import Deployment, Detail
from littoral.core.local.brought import Brought
from littoral.core.nucleus.limits import check_privilege, check_user, limits_of
from littoral.core.nucleus.nucleus import Nucleus
from littoral.core.nucleus.trouble import Trouble, of_function
from littoral.core.packages import Packages
from littoral.core.planning import Active, Plan, plan_of
from littoral.core.ports import Functions
from littoral.core.public import Played
from littoral.core.recipe import ARTIFACT, LAYER, BadComponent, LambdaComponent
from littoral.core.resolving import NUCLEUS, UNPINNED, Chosen, Resolution
from littoral.core.routes import Routes
from littoral.core.source import Declined, Source, Unreachable
from littoral.store.contract import StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

ACTIVE, BEFORE = "active", "before"
NOT_DEPLOYED = "COMPONENT_METADATA_NOT_VALID_IN_DEPLOYMENT"
TRIES = 3  # of a long-lived function to begin
FAILED = (BadComponent, Declined, ServiceError)


class Failed(Exception):
    """The deployment has failed; ``detail`` says what that left, ``stack`` why in AWS's codes."""

    def __init__(self, reason: str, detail: Detail, stack: Sequence[str]) -> None:
        super().__init__(reason)
        self.detail = detail
        self.stack = tuple(stack)


class Applying:
    """``load`` first. ``active`` is what runs, or is to run again after a restart."""

    def __init__(
        self,
        thing: str,
        documents: Documents,
        source: Source,
        functions: Functions,
        routes: Routes,
        nucleus: Nucleus,
        packages: Packages,
        played: Mapping[str, Played],
        consulting: Consulting,
    ) -> None:
        self.active = Active()
        self.broken: set[str] = set()  # components whose function is not here
        self._thing = thing
        self._documents = documents
        self._source = source
        self._functions = functions
        self._routes = routes
        self._nucleus = nucleus
        self._packages = packages
        self._played = played
        self._consulting = consulting
        self._changing = asyncio.Lock()  # what runs

    async def load(self) -> None:
        """What is active, with what an end in the middle of a deployment left undone."""
        self.active = Active.of_document(await self._documents.get(ACTIVE))
        before = await self._documents.get(BEFORE)
        if before is not None:
            if not self._taken(before["target"], before["order"]):
                log.warning("the deployment %s was cut off: back to the one before", before["order"])
                await self._nucleus.restore(before["configurations"])
                try:
                    await self._reconfigure(self._plan(self.active))
                except (BadComponent, ServiceError) as problem:
                    log.warning("functions of the active deployment: %s", problem)
                await self._remove((name, version) for name, version in before.get("installed", ()))
            await self._documents.delete(BEFORE)

    async def close(self) -> None:
        """All that runs has ended when this returns; it is active still."""
        await self._routes.close()
        await self._nucleus.close()
        for played in self._played.values():
            await played.close()

    async def run_active(self) -> None:
        """Programs are started beside everything else: one that takes its time holds nothing up. What is played is
        there before a deployment changes it."""
        plan = self._plan(self.active)
        for step in (self._play_active(plan), self._nucleus.change(plan.programs)):
            try:
                await step
            except (BadComponent, StoreError) as problem:
                log.warning("of the active deployment: %s", problem)

    async def _play_active(self, plan: Plan) -> None:
        async with self._changing:
            await self._play(plan)

    async def connect_active(self) -> None:
        plan = self._plan(self.active)
        self._nucleus.play(plan.public, plan.interpolates)
        await self._nucleus.functions.change(plan.lambdas)
        runnable = self._runnable()
        self.broken = {each.name for each in plan.lambdas if each not in runnable}
        if self.broken:
            log.error("components whose function is not here: %s", ", ".join(sorted(self.broken)))
        await self._routes.change(tuple(runnable), plan.bridges, keep={each.name for each in plan.lambdas})
        self._functions.hold((each for each in runnable if each.pinned), self._nucleus.tell)

    async def restart(self, name: str) -> None:
        """A long-lived function that is active: its event under way ends, then its instance, and another begins. Raises
        BadComponent: it is none."""
        async with self._changing:
            held = [each for each in self._runnable() if each.pinned]
            if name not in {each.name for each in held}:
                raise BadComponent(f"{name} is no long-lived function: it runs when it is called")
            await self._routes.hold_back([name])
            self._functions.hold((each for each in held if each.name != name), self._nucleus.tell)
            await self.connect_active()
            await self._functions.held()

    def failing(self) -> set[str]:
        """Components whose long-lived function does not run."""
        return self._failing(self._runnable())

    def trouble(self, name: str) -> Trouble | None:
        """Why a component is ERRORED or BROKEN."""
        if name in self.broken:
            return of_function("its function is not on this core")
        failing = (self._functions.failure(each) for each in self._runnable() if each.name == name and each.pinned)
        why = next(failing, "")
        return of_function(why) if why else self._nucleus.trouble(name)

    def _failing(self, components: Iterable[LambdaComponent]) -> set[str]:
        return {each.name for each in components if each.pinned and self._functions.failure(each)}

    async def apply(self, wanted: Deployment, order: str, brought: Brought | None = None) -> None:
        """It runs when this returns. Raises Failed, Unreachable, StoreError; after the latter two it is to be tried
        again, and what ran before runs on. ``brought`` came with a local deployment. Raises RestartNeeded, too: after a
        restart of the core it goes on with the same again."""
        if self._taken(wanted.target, order):
            if known := str(self.active.targets[wanted.target].get("wrong", "")):
                raise Failed(known, "FAILED_ROLLBACK_NOT_REQUESTED", (errors.FAILURE, errors.UPDATE))
            return
        at: tuple[str, ...] = ()
        try:
            active, chosen = await self._resolved(wanted, order, brought)
            plan, before = self._plan(active), self._plan(self.active)
            with errors.coded(errors.RUN_WITH):
                _check_allowed(active, plan)
            at = (errors.DOWNLOAD,)
            archives = await self._fetched(plan, chosen, brought)
            at = (errors.CONFIGURATION,)
            await self._consulting.validate(wanted, await self._nucleus.proposed(plan.programs, plan.interpolates))
            await self._consulting.notify(wanted)
        except Unreachable as problem:
            if brought is None:
                raise
            stack = (errors.FAILURE, *at, "NETWORK_ERROR")
            raise Failed(f"the place above is not reached: {problem}", "FAILED_NO_STATE_CHANGE", stack) from problem
        except FAILED as problem:
            raise Failed(str(problem), "FAILED_NO_STATE_CHANGE", _stack(problem, *at)) from problem
        async with self._changing:
            wrong = await self._carry_out(active, wanted, order, plan, before, archives)
        self._consulting.updated(wanted)
        if wrong is not None:
            raise Failed(str(wrong), "FAILED_ROLLBACK_NOT_REQUESTED", _stack(wrong))

    async def _carry_out(
        self,
        active: Active,
        wanted: Deployment,
        order: str,
        plan: Plan,
        before: Plan,
        archives: Mapping[str, list[bytes]],
    ) -> BadComponent | None:
        """What went wrong, and stands. Raises Failed, StoreError, RestartNeeded."""
        wrong = await self._change(wanted, order, plan, before, archives)
        active = active.noted(wanted.target, "" if wrong is None else str(wrong))
        await self._documents.put(ACTIVE, active.document())
        self.active = active
        await self._documents.delete(BEFORE)
        await self.connect_active()
        await self._functions.held()
        await self._tidy(plan, before)
        return wrong

    def _plan(self, active: Active) -> Plan:
        """Raises BadComponent."""
        return plan_of(active, self._nucleus.variable)

    def _taken(self, target: str, order: str) -> bool:
        known = self.active.targets.get(target)
        return known is not None and known["order"] == order

    # ------------------------------------------------------------------------------------- nothing is changed yet

    async def _resolved(
        self, wanted: Deployment, order: str, brought: Brought | None
    ) -> tuple[Active, Mapping[str, Chosen]]:
        groups = await self._groups(must=brought is None)
        targets = self.active.targets_with(wanted, order, groups, time.time())
        roots = {
            target: {name: each["version"] for name, each in one["components"].items() if each["version"] != UNPINNED}
            for target, one in targets.items()
        }
        merging = self.active.merging(wanted)
        resolution, choosing = Resolution(roots), Choosing(merging, brought, self._source)
        while asked := resolution.next():
            resolution.take(await choosing.choose(asked))
        active = merging.resolved(wanted.arn, targets, resolution)
        if unknown := wanted.components.keys() - active.components.keys():
            raise BadComponent(f"{', '.join(sorted(unknown))}: to be configured, and not deployed", NOT_DEPLOYED)
        return active, resolution.chosen

    async def _groups(self, *, must: bool) -> Collection[str]:
        """All that it was in, where its policy does not let it ask: as AWS's core has it; also where it cannot ask
        and need not (``must``)."""
        known = {target.removeprefix("thinggroup/") for target in self.active.targets if "thinggroup/" in target}
        if not known:
            return known
        try:
            return await self._source.groups(self._thing)
        except (Declined, Unreachable) as problem:
            if must and isinstance(problem, Unreachable):
                raise
            log.warning("the thing groups of this core are not told: %s", problem)
            return known

    async def _fetched(
        self, plan: Plan, chosen: Mapping[str, Chosen], brought: Brought | None
    ) -> dict[str, list[bytes]]:
        """Artifacts of programs are on disk; of functions that are not here the zips, by component."""
        runnable = self._runnable()
        archives = {
            each.name: await self._archives(chosen[each.name].arn, each)
            for each in plan.lambdas
            if each not in runnable
        }
        for program in plan.programs:
            each = chosen[program.made.name]
            source = (brought or Brought()) if each.local else self._source
            await self._packages.fetch(each.arn, program.made, source)
        return archives

    async def _archives(self, arn: str, component: LambdaComponent) -> list[bytes]:
        """The function's zip, then those of its layers."""
        layers = [(LAYER.format(number), digest) for number, digest in enumerate(component.layers, 1)]
        wanted = [(ARTIFACT, component.code_sha256), *layers]
        return [await self._source.artifact(arn, digest, name) for name, digest in wanted]

    # ------------------------------------------------------------------------------------- changing

    async def _install(self, components: Sequence[LambdaComponent], archives: Mapping[str, list[bytes]]) -> None:
        for each in components:
            if each.name in archives:
                archive, *layers = archives[each.name]
                await self._functions.install(each, archive, layers=layers)

    async def _reconfigure(self, before: Plan) -> None:
        """Functions are again as they were. Raises ServiceError."""
        for each in before.lambdas:
            if self._functions.installed(each.function, each.function_version) == each.code_sha256:
                await self._functions.reconfigure(each)

    async def _change(
        self, wanted: Deployment, order: str, plan: Plan, before: Plan, archives: Mapping[str, list[bytes]]
    ) -> BadComponent | None:
        """Run it; where it is not to be rolled back, what went wrong. Raises Failed, StoreError: it is as before."""
        kept, new = await self._nucleus.configurations(), sorted(_functions_of(plan) - _functions_of(before))
        cut_off = {"target": wanted.target, "order": order, "configurations": kept, "installed": new}
        await self._documents.put(BEFORE, cut_off)
        try:
            await self._install(plan.lambdas, archives)
        except ServiceError as problem:
            await self._reconfigure(before)
            await self._remove(new)
            await self._documents.delete(BEFORE)
            raise Failed(str(problem), "FAILED_NO_STATE_CHANGE", _stack(problem, errors.UPDATE)) from problem
        try:
            await self._play(plan)
            with errors.coded(errors.UPDATE, errors.BROKEN):
                await self._nucleus.change(plan.programs, bootstrap=True)
                await self._try_functions(plan, before)
        except BadComponent as problem:
            if wanted.failure == "DO_NOTHING":
                return problem
            well = await self._back(kept, plan, before)
            detail: Detail = "FAILED_ROLLBACK_COMPLETE" if well else "FAILED_UNABLE_TO_ROLLBACK"
            raise Failed(str(problem), detail, _stack(problem)) from problem
        except StoreError:
            await self._back(kept, plan, before)
            raise
        return None

    async def _try_functions(self, plan: Plan, before: Plan) -> None:
        """Those that are long-lived run, and get no events yet. Raises BadComponent, StoreError: one has failed thrice
        to begin, which of a program makes it broken, too."""
        gone = [each for each in before.lambdas if each not in plan.lambdas]
        await self._routes.hold_back([each.name for each in gone if each.pinned])
        leaving = [each for each in gone if each.name not in plan.names]  # whose processes keep their tokens
        await self._nucleus.functions.change([*plan.lambdas, *leaving])
        broken = set(plan.names)
        for _ in range(TRIES):
            if broken:
                self._functions.hold((each for each in plan.lambdas if each.pinned), self._nucleus.tell)
                await self._functions.held()
                broken = self._failing(plan.lambdas)
        if broken:
            raise BadComponent(f"broken: {', '.join(sorted(broken))}")

    async def _back(self, kept: Mapping[str, dict[str, object]], plan: Plan, before: Plan) -> bool:
        """Whether all that ran before runs again."""
        try:
            await self._reconfigure(before)
            await self._nucleus.restore(kept)
            await self._play(before)
            try:
                await self._nucleus.change(before.programs)
            finally:
                await self.connect_active()
            await self._functions.held()
            await self._remove(_functions_of(plan) - _functions_of(before))
            await self._nucleus.settled()
            await self._documents.delete(BEFORE)
        except (BadComponent, ServiceError, StoreError) as problem:
            log.warning("going back to the deployment before: %s", problem)
            return False
        return not self.failing()

    async def _remove(self, functions: Iterable[tuple[str, str]]) -> None:
        for name, version in functions:
            await self._functions.remove(name, version)

    async def _tidy(self, plan: Plan, before: Plan) -> None:
        await self._remove(_functions_of(before) - _functions_of(plan))
        await self._nucleus.forget(list(before.names - plan.names))
        await self._packages.keep([each.made for each in plan.programs])

    async def _play(self, plan: Plan) -> None:
        """All of them are told. Raises BadComponent, naming those that cannot."""
        self._nucleus.play(plan.public, plan.interpolates)
        problems = []
        for name, played in self._played.items():
            try:
                await played.play(plan.public.get(name))
            except BadComponent as problem:
                problems.append(f"{name}: {problem}")
        if problems:
            raise BadComponent("; ".join(problems), errors.UPDATE)

    def _runnable(self) -> list[LambdaComponent]:
        """Of what is active: what is installed as it should be."""
        return [
            each
            for each in self._plan(self.active).lambdas
            if self._functions.installed(each.function, each.function_version) == each.code_sha256
        ]


def _stack(problem: BadComponent | Declined | ServiceError, *at: str) -> tuple[str, ...]:
    codes = () if isinstance(problem, ServiceError) else problem.codes
    return tuple(dict.fromkeys((errors.FAILURE, *at, *codes)))


def _functions_of(plan: Plan) -> set[tuple[str, str]]:
    """Name and version of each function that its components are made of."""
    return {(each.function, each.function_version) for each in plan.lambdas}


def _check_allowed(active: Active, plan: Plan) -> None:
    """What ``runWith`` and RequiresPrivilege ask for, this core can do. Raises BadComponent."""
    check_user(f"{NUCLEUS}: runWithDefault", active.run_with_default)
    for program in plan.programs:
        limits_of(program.made.name, program.run_with)
        check_user(program.made.name, program.run_with)
        if any(step.privileged == "true" for step in program.made.steps.values()):
            check_privilege(program.made.name)
    for name in active.components.keys() - plan.names:
        if active.run_with(name):
            raise BadComponent(f"{name}: runWith is for programs")
