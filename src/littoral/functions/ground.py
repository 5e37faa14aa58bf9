"""What an instance stands on: where it finds its code, its layers, its language, and the command of its keeper.

Isolated (as always, but for ``--insecure-no-sandbox``), these are AWS Lambda's paths in a root that
``isolation/template.py`` makes; otherwise they are the folders of this machine.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.functions.code import Unpacked
from littoral.functions.isolation import template
from littoral.functions.keeper import CONTROL, ENVIRONMENT, KeeperGone
from littoral.functions.version import NETWORK

HERE = Path(__file__).parent
OURS = ("runtime", "isolation", "node", "greengrass")  # folders of ours that are read inside
RUNTIME, LANGUAGE = "/var/runtime", "/var/lang"
INSIDE = f"{RUNTIME}/.littoral"
NETMASK = "255.192.0.0"  # of the network between the hosts of a job on several machines
FUNCTION_USER = 60993  # whom functions run as when the place runs as root: of no range that distributions give out


@dataclass(frozen=True, slots=True)
class Ground:
    """``folder`` is the functions' own; ``code`` within it holds what is unpacked."""

    folder: Path
    code: Path
    isolated: bool
    sockets: Path | None  # of a core, for those of its components that are functions
    prepared: int  # cells that wait for cold starts

    def task(self, unpacked: Unpacked) -> str:
        return template.TASK if self.isolated else str(unpacked.task)

    def opt(self, opt: Path | None) -> Path | None:
        return Path(template.OPT) if self.isolated and opt is not None else opt

    def ours(self, name: str) -> str:
        """A file of ours: ``node/bootstrap.js``."""
        return f"{INSIDE}/{name}" if self.isolated else str(HERE / name)

    @property
    def runtime(self) -> str:
        return RUNTIME if self.isolated else str(HERE / "runtime")

    def bundle(self, bundle: Path) -> str:
        """The folder of the packages that a runtime brings."""
        return RUNTIME if self.isolated else str(bundle)

    def program(self, path: Path) -> str:
        """An interpreter of this machine, as an instance calls it."""
        real = Path(os.path.realpath(path))
        return str(path) if not self.isolated or _is_system(real) else f"{INSIDE}/bin/{real.name}"

    def modules(self, node_modules: Path) -> str:
        """The folder of the packages that every Node.js function finds."""
        return f"{RUNTIME}/node_modules" if self.isolated else str(node_modules)

    @property
    def nucleus(self) -> str:
        """The folder of the core's sockets, as a component sees it."""
        return template.NUCLEUS if self.isolated else str(self.sockets)

    def jar(self, path: Path) -> str:
        return f"{RUNTIME}/lib/{path.name}" if self.isolated else str(path)

    def cell(
        self,
        data: int,
        tmp: int = 0,
        unpacked: Unpacked | None = None,
        opt: Path | None = None,
        *,
        runtime: str = "",
        network: bool = True,
        component: bool = False,
    ) -> dict[str, Any]:
        """What the keeper is to give an instance (bytes of data and of /tmp); without code: a spare. Raises
        KeeperGone for what nothing but a cell can give."""
        made: dict[str, Any] = {"data": data, **({"tmp": tmp} if tmp else {})}
        if not network:
            if not self.isolated:
                raise KeeperGone(f"{NETWORK}=off needs isolation, which --insecure-no-sandbox turned off")
            made["network"] = False
        if component:
            made["component"] = True
        if unpacked is not None:
            made["task"] = str(unpacked.task.relative_to(self.code))
        if opt is not None:
            made["opt"] = str(opt.relative_to(self.code))
            modules = next((opt / name for name in modules_in_layers(runtime) if (opt / name).is_dir()), None)
            if modules is not None:
                made["modules"] = str(modules.relative_to(self.code))
        return made

    def command(
        self,
        python: Path,
        bundle: Path,
        programs: Iterable[Path],
        jars: Iterable[Path],
        node_modules: Path | None,
        *,
        boto: bool,
    ) -> list[str]:
        """How the keeper of a Python is started. ``programs``: further interpreters that instances may need; ``jars``:
        AWS's client for Java; ``node_modules``: what Node.js functions find beside their own packages."""
        zygote = [*self._zygote, *([self.bundle(bundle)] if boto else [])]
        if not self.isolated:
            return [str(python), *zygote]
        binds = [(os.path.realpath(each), f"{RUNTIME}/{each.name}") for each in bundle.iterdir()]
        binds += [(os.path.realpath(each), self.jar(each)) for each in jars]
        if self.sockets is not None:
            binds.append((str(self.sockets), template.SOCKETS))
        if node_modules is not None:
            binds.append((os.path.realpath(node_modules), self.modules(node_modules)))
        for each in programs:
            if not _is_system(Path(os.path.realpath(each))):
                binds.append((os.path.realpath(each), self.program(each)))
        return self._entering(python, zygote, binds)

    def bare_command(self, python: Path) -> list[str]:
        """How a keeper without cells is started."""
        return [str(python), *self._zygote]

    def job_command(
        self, python: Path, shown: Iterable[Path], job: Path, hosts: Path, *, network: bool, address: str = ""
    ) -> list[str]:
        """How the keeper of a training job's cells is started: ``shown`` are folders that it sees (``seen``),
        read-only; ``job`` is its own, at ``template.JOB``; ``hosts`` stands for /etc/hosts; ``address``: of the one
        device in a network of its own (``Keeper.tunnel``)."""
        binds = [(str(each), str(seen(each))) for each in shown if not _is_system(each)]
        plan: dict[str, Any] = {"job": str(job), "hosts": str(hosts), "network": network}
        if address:
            plan["tunnel"] = {"control": CONTROL, "address": address, "netmask": NETMASK}
        return self._entering(python, self._zygote, binds, plan)

    @property
    def _zygote(self) -> list[str]:
        return ["-I", "-S", self.ours("runtime/zygote.py"), CONTROL, str(self.prepared) if self.isolated else "bare"]

    def _entering(
        self, python: Path, zygote: list[str], further: list[tuple[str, str]], plan: Mapping[str, Any] | None = None
    ) -> list[str]:
        base = self.folder / "root"
        base.mkdir(parents=True, exist_ok=True)
        self.code.mkdir(parents=True, exist_ok=True)
        real = Path(os.path.realpath(python))
        binds = [(str(self.code), template.CODE)]
        binds += [(str(HERE / name), f"{INSIDE}/{name}") for name in OURS]
        binds += further
        inside, env = str(real), dict(ENVIRONMENT)
        if not _is_system(real):
            binds.append((str(real.parents[1]), LANGUAGE))
            inside, env["LD_LIBRARY_PATH"] = f"{LANGUAGE}/bin/{real.name}", f"{LANGUAGE}/lib"
        common = {"base": str(base), "binds": binds, "uid": FUNCTION_USER, "argv": [inside, *zygote], "env": env}
        return [_own(), "-I", "-S", str(HERE / "isolation" / "enter.py"), json.dumps({**common, **(plan or {})})]


def modules_in_layers(runtime: str) -> tuple[str, ...]:
    """Where layers hold packages for a Node.js runtime, the most particular first; nowhere for other runtimes."""
    if not runtime.startswith("nodejs"):
        return ()
    major = runtime.removeprefix("nodejs").removesuffix(".x")
    return f"nodejs/node{major}/node_modules", "nodejs/node_modules"


def seen(path: Path) -> Path:
    """Where a training job sees what it is shown: at its own path, but for what is in /tmp, of which it has its own."""
    return Path("/opt/python", *path.parts[1:]) if path.is_relative_to(template.TMP) else path


def _is_system(path: Path) -> bool:
    """Seen inside at its own path."""
    return path.is_relative_to("/usr") or path.is_relative_to("/bin") or path.is_relative_to("/nix/store")


def _own() -> str:
    return getattr(sys, "_base_executable", None) or sys.executable
