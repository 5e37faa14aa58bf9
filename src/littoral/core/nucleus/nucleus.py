"""The components of a core: deployed together, started in the order of what they depend on, ended in the other.

A component has a folder for its work, a token for the IPC socket, which is another at each deployment, and its
configuration, which outlives deployments and restarts. What it gets from the core's own environment is little
(``process.KEPT``). Components run as the core's user, within the fence that the site hands in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from littoral import __version__
from littoral.core.configuration import Configuration, NoSuchKey, Update, pointed, within
from littoral.core.ipc.ports import Details
from littoral.core.nucleus.bootstrap import Bootstraps
from littoral.core.nucleus.component import Component, Prepared
from littoral.core.nucleus.functions import FunctionComponents
from littoral.core.nucleus.holding import Holding
from littoral.core.nucleus.limits import Confine, Limits, check_privilege, impose, limits_of, unconfined
from littoral.core.nucleus.recipe import Generic, Step, filled, filled_in, seconds_of
from littoral.core.nucleus.rooms import Bare, Rooms
from littoral.core.nucleus.trouble import Trouble
from littoral.core.packages import packed, unpacked
from littoral.core.ports import Fence
from littoral.core.recipe import BadComponent
from littoral.core.resolving import ordered
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents

log = logging.getLogger(__name__)

LAMBDA_SOCKET, LAMBDA_SOCKET_NAME = "LITTORAL_LAMBDA_SOCKET", "lambda.socket"  # of the Lambda manager
SETTLES = 300.0  # seconds until a deployment's components must run, have run or be broken


@dataclass(frozen=True, slots=True)
class Wanted:
    """A component of what is deployed, with what deployments do to its configuration, the oldest first, and as whom
    and within what limits it is to run (``runWith``)."""

    made: Generic
    updates: tuple[Update, ...] = ()
    run_with: Mapping[str, Any] = field(default_factory=dict)


class Nucleus:
    """``open`` it, hand it to the IPC server, ``change`` what is deployed, ``close`` it."""

    def __init__(
        self,
        folder: Path,
        records: Records,
        thing: str,
        region: str,
        socket: Path,
        fence: Fence = Bare,
        confine: Confine = unconfined,
    ) -> None:
        self._folder = folder
        self._documents = Documents(records, "configuration/")
        self.functions = FunctionComponents(self._documents)
        self._bootstraps = Bootstraps(records)
        self._thing = thing
        self._region = region
        self._socket = socket
        self._fence = fence
        self._confine = confine
        self.environment: dict[str, str] = {}  # of every program, what services of the core add to its own
        self._components: dict[str, Component] = {}
        self._tokens: dict[str, str] = {}
        self._played: dict[str, Configuration] = {}
        self._interpolates = False
        self._told = asyncio.Event()
        self._lock = asyncio.Lock()
        self._holding = Holding(self._components, self._told)

    async def close(self) -> None:
        await self._holding.let_go()
        for name in reversed(self._order(list(self._components))):
            await self._components[name].close()
        self._tokens.clear()

    async def change(self, wanted: Sequence[Wanted], *, bootstrap: bool = False) -> None:
        """Run these and no others; what stays the same goes on. ``bootstrap``: it is a deployment; what is new in it
        runs that step first. Raises BadComponent, naming what is broken, when all that could start has; RestartNeeded.
        """
        async with self._lock:
            await self._change(wanted, bootstrap)

    async def _change(self, wanted: Sequence[Wanted], bootstrap: bool) -> None:
        made = {each.made.name: each for each in wanted}
        for name in reversed(self._order(list(self._components))):
            running = self._components[name]
            if name not in made or (made[name].made, limits_of(name, made[name].run_with)) != (
                running.made,
                running.limits,
            ):
                await self._remove(name)
        for each in made.values():
            await self._prepare(each)
        order = self._order(list(made))
        if bootstrap:
            await self._bootstraps.run(self._components[name] for name in order)
        for name in order:
            await self._start(name)
        await self._holding.resumed(SETTLES)
        while left := max((self._components[name].proven for name in made), default=0.0):  # noqa: ASYNC110 - a time
            await asyncio.sleep(left)
        broken = sorted(name for name in made if self._components[name].state == "BROKEN")
        if broken:
            raise BadComponent(f"broken: {', '.join(broken)}")

    async def proposed(self, wanted: Sequence[Wanted], interpolates: bool) -> dict[str, Mapping[str, Any]]:
        """The configurations of components that run which ``wanted`` would make others of."""
        found: dict[str, Mapping[str, Any]] = {}
        for each in wanted:
            running = self._components.get(each.made.name)
            if running is not None:
                trial = Configuration.of_document(running.configuration.document())
                self._configure(trial, each)
                if trial.value != running.configuration.value:
                    found[each.made.name] = self._interpolated(each.made, trial.value, interpolates)
        return found

    async def settled(self) -> None:
        """It is as it was before a deployment that has failed. Raises StoreError."""
        await self._bootstraps.settle(self._components.values())

    async def configurations(self) -> dict[str, Document]:
        """All that are kept, to go back to."""
        return dict(await self._documents.scan())

    async def restore(self, kept: Mapping[str, Document]) -> None:
        """As ``configurations`` gave them. Raises StoreError."""
        for name in (await self.configurations()).keys() - kept.keys():
            await self._documents.delete(name)
        for name, document in kept.items():
            await self._documents.put(name, document)
            running = self.configuration(name)
            if running is not None:
                running.replace(document)

    async def forget(self, names: Sequence[str]) -> None:
        """The work and the configuration of components that are no longer deployed."""
        for name in names:
            if name not in self._components and self.functions.component(name) is None:
                await self._documents.delete(name)
                await self._bootstraps.forget(name)
                await asyncio.to_thread(shutil.rmtree, self._folder / "work" / name, ignore_errors=True)

    # ------------------------------------------------------------------------------------- for the IPC server

    def of_token(self, token: str) -> str | None:
        for name, known in {**self._tokens, **self.functions.tokens}.items():
            if secrets.compare_digest(known.encode(), token.encode()):
                return name
        return None

    async def changed(self) -> None:
        """Returns at the next change of a component's state."""
        self._told.clear()
        await self._told.wait()

    def tell(self) -> None:
        """Of a component that is a function the state is another."""
        self._told.set()

    def listed(self) -> list[Details]:
        return [Details(name, each.made.version, each.state) for name, each in self._components.items()]

    def trouble(self, name: str) -> Trouble | None:
        """Why that program is ERRORED or BROKEN."""
        return self._components[name].trouble if name in self._components else None

    def configuration(self, name: str) -> Configuration | None:
        found = self._components.get(name)
        if found is not None:
            return found.configuration
        return self.functions.configuration(name) or self._played.get(name)

    def filled(self, name: str, value: Any) -> Any:
        """A part of its configuration as it is to be read."""
        component = self._components.get(name)
        return self._interpolated(name if component is None else component.made, value, self._interpolates)

    def play(self, public: Mapping[str, Mapping[str, Any]], interpolates: bool) -> None:
        """How those of AWS's components are configured that the core plays, for others to read; and whether recipe
        variables are filled in where configurations are read."""
        self._interpolates = interpolates
        for name in self._played.keys() - public.keys():
            del self._played[name]
        for name, value in public.items():
            self._played.setdefault(name, Configuration()).replace(Configuration(value).document())

    async def save(self, name: str) -> None:
        if name in self._components:
            await self._documents.put(name, self._components[name].configuration.document())
        else:
            await self.functions.save(name)

    async def restart(self, name: str) -> None:
        await self._components[name].restart()

    async def stop(self, name: str) -> None:
        await self._components[name].stop()

    def pause(self, name: str) -> None:
        """Its processes stand still. Raises BadComponent: none runs."""
        if not self._components[name].pause():
            raise BadComponent(f"{name} is not running")

    def resume(self, name: str) -> None:
        """Raises BadComponent: it is not paused."""
        if not self._components[name].paused:
            raise BadComponent(f"{name} is not paused")
        self._components[name].resume()

    def report(self, name: str, state: str) -> bool:
        component = self._components.get(name)
        if component is not None:
            component.reported(cast("Literal['RUNNING', 'ERRORED']", state))
        return component is not None

    async def copy(self, name: str, folder: Path, to: Path) -> None:
        """A folder, with no more rights than that component has. Raises BadComponent."""
        component = self._components[name]
        room = self._fence([component.folder, to.parent], self._readable(component), None)
        command = ("/bin/cp", "-RP", "--", str(folder.absolute()), str(to))
        with tempfile.TemporaryFile() as words:
            try:
                status = await (await room.begin(command, component.folder, {}, words.fileno())).wait()
            except OSError as problem:
                raise BadComponent(f"{folder} cannot be copied: {problem}") from problem
            finally:
                await room.close()
            words.seek(0)
            if status:
                said = words.read()[-500:].decode("utf-8", "replace").strip()
                raise BadComponent(f"{folder} cannot be copied: {said}")

    # ------------------------------------------------------------------------------------- one component

    async def _prepare(self, wanted: Wanted) -> None:
        """Its configuration, and what is needed to start it."""
        name = wanted.made.name
        component = self._components.get(name)
        if component is None:
            kept = await self._documents.get(name)
            configuration = Configuration.of_document(kept) if kept else Configuration()
            work, words = self._folder / "work" / name, self._folder / "logs"
            for each in (work, words):
                each.mkdir(mode=0o700, parents=True, exist_ok=True)
            limits = limits_of(name, wanted.run_with)
            limited = limits or self._confine is not unconfined
            limit = partial(self._limited, name, limits) if limited else None
            component = Component(
                wanted.made,
                configuration,
                work,
                words / f"{name}.log",
                self._filled,
                partial(self._heard, name),
                limits,
                Rooms(self._fence, work, limit),
            )
            self._components[name] = component
            self._tokens[name] = secrets.token_urlsafe(32)
        self._configure(component.configuration, wanted)
        await self.save(name)

    def _configure(self, configuration: Configuration, wanted: Wanted) -> None:
        configuration.fill(wanted.made.defaults)
        for update in wanted.updates:
            configuration.apply(update, wanted.made.defaults)

    def _heard(self, name: str) -> None:
        """A component has changed its state."""
        self._told.set()
        self._holding.heard(name)

    async def _start(self, name: str) -> None:
        """Returns when it runs, has run or is broken; at once where what it needs is broken. Raises BadComponent."""
        component = self._components[name]
        needed = self._holding.needed(component)
        if any(each.state == "BROKEN" for each in needed):
            raise BadComponent(f"{name} needs {', '.join(each.made.name for each in needed if each.state == 'BROKEN')}")
        component.start()
        try:
            async with asyncio.timeout(SETTLES):
                while not component.settled:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError as late:
            raise BadComponent(f"{name} did not start within {SETTLES:g} s") from late

    async def _remove(self, name: str) -> None:
        await self._holding.let_go([name])
        await self._components.pop(name).close()
        self._tokens.pop(name, None)

    def _order(self, names: list[str]) -> list[str]:
        """What others depend on first. Raises BadComponent for what depends on itself."""
        made = {name: self._components[name].made for name in names}
        return ordered({name: (each.hard, each.soft) for name, each in made.items()})

    # ------------------------------------------------------------------------------------- processes

    def surroundings(self, name: str, folder: str) -> Mapping[str, str] | None:
        """The variables of a component that is a function; ``folder`` is where its process sees the sockets. None where
        no such component is deployed."""
        token = self.functions.tokens.get(name)
        if token is None:
            return None
        variables = self._variables(Path(folder) / self._socket.name, token)
        return {**variables, LAMBDA_SOCKET: f"{folder}/{LAMBDA_SOCKET_NAME}", **self.functions.names(name)}

    def _variables(self, socket: Path, token: str) -> dict[str, str]:
        return {
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(socket),
            "SVCUID": token,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            "AWS_IOT_THING_NAME": self._thing,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "GGC_VERSION": __version__,
            **self.environment,
        }

    def _filled(self, component: Component, step: Step) -> Prepared:
        """A step, its variables filled in. Raises BadComponent."""
        name = component.made.name

        def value(other: str, kind: str, key: str) -> str | None:
            return self._value(component.made, other or name, kind, key)

        def text(given: str) -> str:
            return filled(given, value)

        environment = self._variables(self._socket, self._tokens[name])
        environment |= {key: text(given) for key, given in step.environment.items()}
        script = text(step.script)
        privileged = text(step.privileged) == "true"
        if privileged:
            check_privilege(name)
        timeout = seconds_of(name, text(step.timeout)) if isinstance(step.timeout, str) else step.timeout
        skip_if = None if step.skip_if is None else text(step.skip_if)
        command = ("/bin/sh", "-c", script)
        return Prepared(command, environment, timeout, skip_if, script, self._readable(component), privileged)

    def _limited(self, name: str, limits: Limits, process: int) -> str:
        return impose(self._confine(name, process, limits), process)

    def _readable(self, component: Component) -> list[Path]:
        """The artifacts of a component, and of those that it depends on."""
        others = (self._components.get(name) for name in (*component.made.hard, *component.made.soft))
        made = [component.made, *(each.made for each in others if each is not None)]
        return [place(self._folder, each) for each in made for place in (packed, unpacked)]

    def _value(self, asking: Generic, name: str, kind: str, key: str) -> str | None:
        """Of the component itself and of those that it names as its dependencies."""
        component = self._components.get(name)
        if kind == "configuration" and component is not None and _names(asking, name):
            try:
                found = within(component.configuration.value, pointed(key if key.startswith("/") else f"/{key}"))
            except NoSuchKey:
                return None
            found = self.filled(name, found)
            return found if isinstance(found, str) else json.dumps(found)
        return self._place(asking, name, kind, key)

    def _interpolated(self, of: Generic | str, value: Any, interpolates: bool) -> Any:
        """Without variables of configurations, as AWS's nucleus has it: these would name each other."""
        if not interpolates:
            return value
        if isinstance(of, str):
            return filled_in(value, lambda other, kind, key: self.variable(of, kind, key) if not other else None)
        return filled_in(value, lambda other, kind, key: self._place(of, other or of.name, kind, key))

    def _place(self, asking: Generic, name: str, kind: str, key: str) -> str | None:
        """All but of configurations."""
        component = self._components.get(name)
        if not _names(asking, name):
            return None
        if kind == "artifacts" and component is not None:
            places = {"path": packed, "decompressedPath": unpacked}
            return str(places[key](self._folder, component.made)) if key in places else None
        return self.variable(name, kind, key)

    def variable(self, name: str, kind: str, key: str) -> str | None:
        """Those that every component has."""
        known = {
            ("work", "path"): str(self._folder / "work" / name),
            ("iot", "thingName"): self._thing,
            ("kernel", "rootPath"): str(self._folder),
        }
        return known.get((kind, key))


def _names(asking: Generic, name: str) -> bool:
    return name == asking.name or name in asking.hard or name in asking.soft
