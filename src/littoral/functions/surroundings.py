"""What an instance finds around it: its cell, its environment, the spec that its runtime is told. Starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from littoral.functions.code import Unpacked
from littoral.functions.ground import Ground, modules_in_layers
from littoral.functions.keeper import KeeperGone
from littoral.functions.names import Home
from littoral.functions.runtimes import Runtimes, unavailable
from littoral.functions.settings import FunctionSettings
from littoral.functions.version import FunctionVersion

MIB = 1024 * 1024
WITHOUT_CALLBACKS = ("nodejs24.x", "nodejs26.x")  # AWS dropped callback handlers there
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


GREENGRASS_PYTHON, GREENGRASS_NODE = "greengrass/python", "greengrass/nodejs"  # what the nucleus gives greengrasssdk
Component = Callable[[str, str], Mapping[str, str] | None]
"""The variables of a component that sees the core's sockets in that folder; None where it is not deployed."""


class Surroundings:
    def __init__(self, ground: Ground, runtimes: Runtimes, settings: FunctionSettings, home: Home) -> None:
        self._ground = ground
        self._runtimes = runtimes
        self._settings = settings
        self._home = home
        self.component: Component = lambda _name, _folder: None

    def cell(self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None) -> dict[str, Any]:
        large = version.is_node or version.asks
        slack = self._settings.node_memory_slack if large else self._settings.memory_slack
        data, tmp = version.memory_size * MIB + slack, version.ephemeral_storage * MIB
        return self._ground.cell(
            data,
            tmp,
            unpacked,
            opt,
            runtime=version.runtime,
            network=version.network,
            component=version.placement.component != "",
        )

    def spec(self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str) -> dict[str, Any]:
        return {
            "handler": version.handler,
            "task_root": self._ground.task(unpacked),
            "env": self.environment(version, unpacked, opt, stream),
            "before": [self._ground.ours(GREENGRASS_PYTHON)] if version.placement.component else [],
            "component": version.placement.component != "",
            "arguments": list(version.placement.arguments),
            "function": {
                "binary": version.placement.binary,
                "name": version.name,
                "version": version.version,
                "memory": version.memory_size,
                "runtime": version.runtime,
                "log_group": version.log_group,
                "log_stream": stream,
            },
        }

    def node_spec(
        self, version: FunctionVersion, unpacked: Unpacked, opt: Path | None, stream: str, *, provisioned: bool
    ) -> dict[str, Any]:
        spec = self.spec(version, unpacked, opt, stream)
        if provisioned:
            spec["env"]["AWS_LAMBDA_INITIALIZATION_TYPE"] = "provisioned-concurrency"
        spec["no_callbacks"] = version.runtime in WITHOUT_CALLBACKS
        return spec

    def environment(
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
            **({"NODE_PATH": self._node_path(layers, version)} if version.is_node else {}),
            **self._settings.function_env,
            **(version.environment or {}),
            **self._of_component(version),
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

    def _of_component(self, version: FunctionVersion) -> Mapping[str, str]:
        """Raises ServiceError: the core has not begun to run it, or does not any more."""
        name = version.placement.component
        if not name:
            return {}
        found = self.component(name, self._ground.nucleus)
        if found is None:
            raise unavailable(KeeperGone(f"the component {name} is not running"))
        return found

    def _node_path(self, layers: Path, version: FunctionVersion) -> str:
        """What greengrasssdk needs, layers by major version, layers for all, what the machine has for all functions."""
        paths = [self._ground.ours(GREENGRASS_NODE)] if version.placement.component else []
        paths += [f"{layers}/{name}" for name in modules_in_layers(version.runtime)]
        modules = self._runtimes.node_modules()
        return ":".join(paths if modules is None else [*paths, self._ground.modules(modules)])


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
