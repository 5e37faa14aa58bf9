"""Starting instances: which keeper or booted Node.js (``keepers``, ``spares``), with what around it (``surroundings``).
Knows nothing of concurrency.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions import managed
from littoral.functions.code import CodeStore, Unpacked
from littoral.functions.extensionsapi import MOST, ExtensionsApi
from littoral.functions.ground import Ground
from littoral.functions.instance import Instance
from littoral.functions.keeper import Keeper, KeeperGone
from littoral.functions.keepers import Keepers
from littoral.functions.listening import ListeningInstance
from littoral.functions.names import Home
from littoral.functions.opening import open_instance
from littoral.functions.provided import ProvidedInstance
from littoral.functions.runtimes import Runtimes
from littoral.functions.settings import FunctionSettings
from littoral.functions.spares import Spares
from littoral.functions.surroundings import RUNTIMES_OWN, Surroundings, bootstraps, extensions_in, python_paths
from littoral.functions.version import FunctionVersion
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)


class Launcher:
    def __init__(
        self,
        code: CodeStore,
        ground: Ground,
        runtimes: Runtimes,
        settings: FunctionSettings,
        home: Home,
        clock: Callable[[], float],
    ) -> None:
        self._code = code
        self._ground = ground
        self._runtimes = runtimes
        self._home = home
        self._clock = clock
        self.around = Surroundings(ground, runtimes, settings, home)
        self._keepers = Keepers(ground, runtimes)
        self._spares = Spares(self._keepers, ground, settings.node_spares, clock)

    async def prepare(self, version: FunctionVersion) -> None:
        """Boot ahead what a cold start of this version will need. What goes wrong (a runtime that went away, no
        memory) is logged here and told at the invocation: it must not undo a creation or stop a place's start."""
        try:
            if version.asks:
                await self._code.unpacked(version.code_key)
            elif version.is_node:
                await self._spares.replenish(await self._runtimes.node(version.runtime))
            else:
                unpacked = await self._code.unpacked(version.code_key)
                await self._keepers.get(version.runtime, boto=unpacked.wants_boto)
        except (KeeperGone, ServiceError, StoreError, OSError) as error:
            log.warning("nothing could be booted ahead for function %s: %s", version.name, error)

    async def prepare_python(self) -> None:
        """The zygote of this Python, which a place has from the start, unless it is to be small (``from_start``)."""
        await self._keepers.get()

    async def launch(self, version: FunctionVersion, *, provisioned: bool = False) -> Instance:
        """A started instance whose init phase is still to be awaited. Raises KeeperGone, ServiceError: among them
        InvalidRuntimeException where the machine no longer has the function's runtime."""
        try:
            await self._runtimes.check(version.runtime, version.handler)
        except ServiceError as error:
            raise ServiceError("InvalidRuntimeException", error.message, status=502, fields={"Type": "User"}) from error
        unpacked = await self._code.unpacked(version.code_key)
        started = datetime.fromtimestamp(self._clock(), UTC)
        stream = f"{started:%Y/%m/%d}/[{version.version}]{secrets.token_hex(16)}"
        opt = await self._code.opt(version.layer_keys)
        instance: Instance
        if version.asks:
            instance = await self._launch_asking(version, unpacked, opt, stream, provisioned=provisioned)
        elif version.is_node:
            instance = await self._launch_node(version, unpacked, opt, stream, provisioned=provisioned)
        else:
            instance = await self._launch_python(version, unpacked, opt, stream, provisioned=provisioned)
        instance.stream = stream
        return instance

    async def close(self) -> None:
        await self._spares.close()
        await self._keepers.close()

    async def _launch_python(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> Instance:
        brought = python_paths(opt, version.runtime)
        programs = extensions_in(opt)
        boto = unpacked.wants_boto and not any((path / "botocore").exists() for path in brought)
        keeper = await self._keepers.get(version.runtime, boto=boto)
        spec = self.around.spec(version, unpacked, opt, stream)
        if provisioned:
            spec["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        layers = python_paths(self._ground.opt(opt), version.runtime)
        spec["path"] = [*map(str, layers), self._ground.bundle(await self._runtimes.bundle())]
        cell = self.around.cell(version, unpacked, opt)
        instance: Instance = Instance(clock=self._clock)
        beside = None
        if programs:
            instance = attended = ListeningInstance(clock=self._clock, extensions=self._extensions(version, programs))
            beside = await self._attend(attended, version, cell, spec["env"], programs)
            if not instance.alive:
                return instance
        await self._open(keeper, instance, cell, spec=spec, beside=beside, mailbox=not programs)
        return instance

    async def _launch_asking(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> Instance:
        programs = extensions_in(opt)
        instance = ProvidedInstance(clock=self._clock, extensions=self._extensions(version, programs))
        argv = await self._program(version, unpacked, opt)
        if argv is None:
            instance.refuse_init(
                "Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
            )
            return instance
        keeper = await self._keepers.get()
        cell = self.around.cell(version, unpacked, opt)
        env = self.around.environment(version, unpacked, opt, stream)
        if version.is_provided:
            del env["AWS_EXECUTION_ENV"]  # not set for runtimes of one's own
        if provisioned:
            env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        beside = await self._attend(instance, version, cell, env, programs)
        if instance.alive:
            await self._open(
                keeper, instance, cell, program=(argv, env), folder=self._ground.task(unpacked), beside=beside
            )
        return instance

    async def _program(self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None) -> list[str] | None:
        """The command of a runtime that asks for its events; None when the code brings none."""
        task, seen = self._ground.task(unpacked), self._ground.opt(opt)
        if version.runtime.startswith("java"):
            java = self._ground.program(await self._runtimes.java(version.runtime))
            jars = [self._ground.jar(each) for each in self._runtimes.java_jars()]
            layers = str(seen or "/opt")
            return [java, *managed.java_arguments(jars, task, layers, version.handler, version.memory_size)]
        if version.runtime.startswith("dotnet"):
            dotnet = self._ground.program(await self._runtimes.dotnet(version.runtime))
            return [dotnet, *managed.dotnet_arguments(task, version.handler)]
        pairs = zip(bootstraps(unpacked.task, opt), bootstraps(Path(task), seen), strict=True)
        found = next((str(inside) for path, inside in pairs if os.access(path, os.X_OK)), None)
        return [found, *version.placement.arguments] if found is not None else None

    async def _attend(
        self,
        instance: ListeningInstance,
        version: FunctionVersion,
        cell: dict[str, Any],
        env: dict[str, str],
        programs: Mapping[str, Path],
    ) -> dict[str, Any] | None:
        """Give an instance its HTTP API, and its environment the address; what is to run beside it. An instance whose
        extensions cannot be started is dead, and says why."""
        if programs and not self._ground.isolated:
            raise KeeperGone("extensions need isolation, which --insecure-no-sandbox turned off")
        if len(programs) > MOST:
            instance.refuse_init("Extension.TooManyExtensions", f"{len(programs)} extensions, where {MOST} may be")
        for name, path in programs.items():
            if instance.alive and not os.access(path, os.X_OK):
                instance.refuse_init("Extension.LaunchError", f"/opt/extensions/{name} is not executable")
        if not instance.alive:
            return None
        if version.network:
            await instance.listen()
        else:
            cell["listen"] = int(instance.address.rpartition(":")[2])
        env["AWS_LAMBDA_RUNTIME_API"] = instance.address
        if not programs:
            return None
        theirs = {name: value for name, value in env.items() if name not in RUNTIMES_OWN}
        return {"programs": {name: f"/opt/extensions/{name}" for name in programs}, "env": theirs}

    async def _open(self, keeper: Keeper, instance: Instance, cell: dict[str, Any], **how: Any) -> None:
        try:
            await open_instance(keeper, instance, cell, **how)
        except BaseException:
            instance.kill()
            raise

    def _extensions(self, version: FunctionVersion, programs: Mapping[str, Path]) -> ExtensionsApi:
        about = {
            "functionName": version.name,
            "functionVersion": version.version,
            "handler": version.handler,
            "accountId": self._home.account,
        }
        return ExtensionsApi(list(programs), about)

    async def _launch_node(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> Instance:
        programs = extensions_in(opt)
        if programs:
            return await self._launch_attended_node(version, unpacked, opt, stream, programs, provisioned=provisioned)
        instance = await self._spares.boot(await self._runtimes.node(version.runtime), network=version.network)
        spec = self.around.node_spec(version, unpacked, opt, stream, provisioned=provisioned)
        await instance.specialise(self.around.cell(version, unpacked, opt))
        self._configure(instance, spec)
        self._spares.replenish_later()
        return instance

    async def _launch_attended_node(
        self,
        version: FunctionVersion,
        unpacked: Unpacked,
        opt: Path | None,
        stream: str,
        programs: Mapping[str, Path],
        *,
        provisioned: bool,
    ) -> Instance:
        """Not a spare: what runs beside it is started with it."""
        node = await self._runtimes.node(version.runtime)
        instance = ListeningInstance(clock=self._clock, extensions=self._extensions(version, programs))
        cell = self.around.cell(version, unpacked, opt)
        spec = self.around.node_spec(version, unpacked, opt, stream, provisioned=provisioned)
        beside = await self._attend(instance, version, cell, spec["env"], programs)
        if instance.alive:
            keeper = await self._keepers.get()
            await self._open(keeper, instance, cell, program=self._spares.program(node), beside=beside)
            self._configure(instance, spec)
        return instance

    def _configure(self, instance: Instance, spec: dict[str, Any]) -> None:
        body = json.dumps(spec).encode()
        instance.configure(struct.pack(">Ic", 1 + len(body), b"C") + body)
