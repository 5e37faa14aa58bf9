"""Starting instances: which keeper or booted Node.js, with what environment.

Owns: the keepers (one per Python, a second one with boto3 imported once a function wants it) and the spare Node.js
processes. Knows nothing of concurrency.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import struct
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from littoral.aws.service import ServiceError
from littoral.functions import managed
from littoral.functions.code import CodeStore, Unpacked
from littoral.functions.extensionsapi import MOST, ExtensionsApi
from littoral.functions.ground import Ground, modules_in_layers
from littoral.functions.instance import Instance
from littoral.functions.keeper import Keeper, KeeperGone
from littoral.functions.listening import ListeningInstance
from littoral.functions.names import Home
from littoral.functions.opening import open_instance
from littoral.functions.provided import ProvidedInstance
from littoral.functions.runtimes import Runtimes
from littoral.functions.settings import FunctionSettings
from littoral.functions.version import FunctionVersion
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

MIB = 1024 * 1024
NO_LIMIT = 0  # bytes of data of a spare: it gets its function's
# variables that Lambda gives to the runtime, and not to extensions
RUNTIMES_OWN = frozenset(
    (
        "_HANDLER",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    )
)
REPLENISH_AFTER = 0.2  # seconds: a spare boots once the cold start that took the last one is through


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
        self._settings = settings
        self._home = home
        self._clock = clock
        self._keepers: dict[tuple[Path, bool], Keeper] = {}
        self._starting: dict[tuple[Path, bool], asyncio.Task[Keeper]] = {}
        self._spares: deque[Instance] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: Path | None = None
        self._closed = False

    async def prepare(self, version: FunctionVersion) -> None:
        """Boot ahead what a cold start of this version will need. What goes wrong (a runtime that went away, no
        memory) is logged here and told at the invocation: it must not undo a creation or stop a place's start."""
        try:
            if version.asks:
                await self._code.unpacked(version.code_key)
            elif version.is_node:
                self._node = await self._runtimes.node(version.runtime)
                await self._replenish()
            else:
                unpacked = await self._code.unpacked(version.code_key)
                await self._keeper(await self._runtimes.python(version.runtime), boto=unpacked.wants_boto)
        except (KeeperGone, ServiceError, StoreError, OSError) as error:
            log.warning("nothing could be booted ahead for function %s: %s", version.name, error)

    async def prepare_python(self) -> None:
        """The zygote of this Python: every place has it from the start."""
        import sys

        await self._keeper(await self._runtimes.python(f"python3.{sys.version_info.minor}"), boto=False)

    async def launch(self, version: FunctionVersion, *, provisioned: bool = False) -> Instance:
        """A started instance whose init phase is still to be awaited. Raises KeeperGone, ServiceError."""
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
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks) + list(self._starting.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._starting.values(), return_exceptions=True)
        while self._spares:
            self._spares.popleft().kill()
        await asyncio.gather(*(keeper.close() for keeper in self._keepers.values()))
        self._keepers.clear()

    async def _launch_python(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> Instance:
        brought = python_paths(opt, version.runtime)
        programs = extensions_in(opt)
        boto = unpacked.wants_boto and not any((path / "botocore").exists() for path in brought)
        keeper = await self._keeper(await self._runtimes.python(version.runtime), boto=boto)
        spec = self._spec(version, unpacked, opt, stream)
        if provisioned:
            spec["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        layers = python_paths(self._ground.opt(opt), version.runtime)
        spec["path"] = [*map(str, layers), self._ground.bundle(await self._runtimes.bundle())]
        cell = self._cell(version, unpacked, opt)
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
        keeper = await self._keeper(await self._runtimes.python(_own_python()), boto=False)
        cell = self._cell(version, unpacked, opt)
        env = self._environment(version, unpacked, opt, stream)
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
        return next(([str(inside)] for path, inside in pairs if os.access(path, os.X_OK)), None)

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
        self._node = await self._runtimes.node(version.runtime)
        programs = extensions_in(opt)
        if programs:
            return await self._launch_attended_node(version, unpacked, opt, stream, programs, provisioned=provisioned)
        while self._spares and version.network:
            instance = self._spares.popleft()
            if instance.alive:
                break
        else:
            instance = await self._boot_node(self._node, network=version.network)
        spec = self._node_spec(version, unpacked, opt, stream, provisioned=provisioned)
        await instance.specialise(self._cell(version, unpacked, opt))
        self._configure(instance, spec)
        self._later(REPLENISH_AFTER, self._replenish_soon)
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
        assert self._node is not None
        instance = ListeningInstance(clock=self._clock, extensions=self._extensions(version, programs))
        cell = self._cell(version, unpacked, opt)
        spec = self._node_spec(version, unpacked, opt, stream, provisioned=provisioned)
        beside = await self._attend(instance, version, cell, spec["env"], programs)
        if instance.alive:
            keeper = await self._keeper(await self._runtimes.python(_own_python()), boto=False)
            await self._open(keeper, instance, cell, program=self._node_program(self._node), beside=beside)
            self._configure(instance, spec)
        return instance

    def _node_spec(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> dict[str, Any]:
        spec = self._spec(version, unpacked, opt, stream)
        if provisioned:
            spec["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        spec["no_callbacks"] = version.runtime == "nodejs24.x"  # AWS dropped them there
        return spec

    def _configure(self, instance: Instance, spec: dict[str, Any]) -> None:
        body = json.dumps(spec).encode()
        instance.configure(struct.pack(">Ic", 1 + len(body), b"C") + body)

    def _node_program(self, node: Path) -> tuple[list[str], dict[str, str]]:
        return [self._ground.program(node), self._ground.ours("node/bootstrap.js")], {"LANG": "en_US.UTF-8"}

    async def _boot_node(self, node: Path, *, network: bool = True) -> Instance:
        keeper = await self._keeper(await self._runtimes.python(_own_python()), boto=False)
        instance = Instance(clock=self._clock)
        cell = self._ground.cell(NO_LIMIT, network=network)
        await open_instance(keeper, instance, cell, program=self._node_program(node), mailbox=True)
        return instance

    async def _replenish(self) -> None:
        self._spares = deque(spare for spare in self._spares if spare.alive)
        while self._node is not None and not self._closed and len(self._spares) < self._settings.node_spares:
            try:
                self._spares.append(await self._boot_node(self._node))
            except KeeperGone as error:
                log.warning("no Node.js process could be booted ahead: %s", error)
                return

    def _replenish_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._replenish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            if not self._closed:
                action()

        timer = asyncio.get_running_loop().call_later(delay, run)
        self._timers.add(timer)

    async def _keeper(self, python: Path, *, boto: bool) -> Keeper:
        """The living keeper; started, or started again after it died."""
        key = (python, boto)
        keeper = self._keepers.get(key)
        if keeper is not None and keeper.alive:
            return keeper
        if key not in self._starting:
            task = asyncio.get_running_loop().create_task(self._start_keeper(key, keeper))
            self._starting[key] = task
            task.add_done_callback(lambda _: self._starting.pop(key, None))
        return await asyncio.shield(self._starting[key])

    async def _start_keeper(self, key: tuple[Path, bool], dead: Keeper | None) -> Keeper:
        if dead is not None:
            log.warning("the keeper of function instances (process %s) died; starting another", dead.pid)
            await dead.close()
        python, boto = key
        bundle = await self._runtimes.bundle()
        jars = await asyncio.to_thread(self._runtimes.java_jars)
        modules = self._runtimes.node_modules()
        command = self._ground.command(python, bundle, self._runtimes.nodes(), jars, modules, boto=boto)
        keeper = self._keepers[key] = Keeper(command, cells=self._ground.isolated)
        await keeper.start()
        return keeper

    def _cell(self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None) -> dict[str, Any]:
        large = version.is_node or version.asks
        slack = self._settings.node_memory_slack if large else self._settings.memory_slack
        data, tmp = version.memory_size * MIB + slack, version.ephemeral_storage * MIB
        return self._ground.cell(data, tmp, unpacked, opt, runtime=version.runtime, network=version.network)

    def _spec(self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str) -> dict[str, Any]:
        return {
            "handler": version.handler,
            "task_root": self._ground.task(unpacked),
            "env": self._environment(version, unpacked, opt, stream),
            "function": {
                "name": version.name,
                "version": version.version,
                "memory": version.memory_size,
                "runtime": version.runtime,
                "log_group": version.log_group,
                "log_stream": stream,
            },
        }

    def _node_path(self, layers: Path, runtime: str) -> str:
        """Layers by major version, layers for all, what the machine has for all functions."""
        paths = [f"{layers}/{name}" for name in modules_in_layers(runtime)]
        modules = self._runtimes.node_modules()
        return ":".join(paths if modules is None else [*paths, self._ground.modules(modules)])

    def _environment(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str
    ) -> dict[str, str]:
        """Lambda's defined variables; the function's own may replace those that are not reserved."""
        layers = self._ground.opt(opt) or Path("/opt")
        task = self._ground.task(unpacked)
        return {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PATH": f"/var/lang/bin:/usr/local/bin:/usr/bin:/bin:{layers}/bin",
            "LD_LIBRARY_PATH": f"/var/lang/lib:{task}:{task}/lib:{layers}/lib",
            **({"NODE_PATH": self._node_path(layers, version.runtime)} if version.is_node else {}),
            **self._settings.function_env,
            **(version.environment or {}),
            "_HANDLER": version.handler,
            "AWS_REGION": self._home.region,
            "AWS_DEFAULT_REGION": self._home.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{version.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": version.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_size),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            **log_variables(version),
            "LAMBDA_TASK_ROOT": task,
            "LAMBDA_RUNTIME_DIR": self._ground.runtime,
        }


def extensions_in(opt: Path | None) -> dict[str, Path]:
    """The programs that layers bring to run beside the runtime, by name."""
    folder = opt / "extensions" if opt is not None else None
    if folder is None or not folder.is_dir():
        return {}
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}


def bootstraps(task: Path, opt: Path | None) -> list[Path]:
    """Where a runtime of one's own may begin."""
    return [task / "bootstrap"] + ([] if opt is None else [opt / "bootstrap"])


def python_paths(opt: Path | None, runtime: str) -> list[Path]:
    """Where Python looks in layers, before what the runtime brings."""
    return [] if opt is None else [opt / "python" / "lib" / runtime / "site-packages", opt / "python"]


def log_variables(version: FunctionVersion) -> dict[str, str]:
    style = version.log_style
    if not style.is_json:
        return {"AWS_LAMBDA_LOG_FORMAT": style.format}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": style.application_level or "INFO"}


def _own_python() -> str:
    import sys

    return f"python3.{sys.version_info.minor}"
