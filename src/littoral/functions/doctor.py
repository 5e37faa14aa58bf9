"""What isolates functions on this machine: one function is started as every other, and says what it sees.

Owns: the list of layers, which of them are needed, and how each is known to be there. A layer counts as active when
the function met it; nothing is concluded from versions or settings alone.
"""

from __future__ import annotations

import io
import json
import resource
import secrets
import socket
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.functions import inspector
from littoral.functions.facade import Functions
from littoral.functions.isolation import landlock
from littoral.functions.keeper import KeeperGone
from littoral.functions.settings import FunctionSettings
from littoral.store.embedded import EmbeddedStore

NAME = "littoral-doctor"
RUNTIME = f"python3.{sys.version_info.minor}"
CONFIGURATION = {"Runtime": RUNTIME, "Handler": "inspector.handler", "MemorySize": 256, "Timeout": 10}
TMP = 512 * 1024 * 1024
OURS = ("user", "mnt", "pid", "ipc", "uts")
MEANING = {
    "user": "no rights of the place's user",
    "mnt": "files: its own code, layers and /tmp",
    "pid": "processes: its own only",
    "ipc": "no shared memory of others",
    "uts": "a host name of its own",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One layer. ``needed``: without it functions do not run (or run unprotected, which is an error too)."""

    layer: str
    active: bool
    needed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``refused``: why no function runs here, None when one did."""

    refused: str | None
    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        return self.refused is None and all(each.active or not each.needed for each in self.findings)


async def diagnose(settings: FunctionSettings) -> Diagnosis:
    """Start a function in a folder that is removed afterwards, and look."""
    with tempfile.TemporaryDirectory(prefix="littoral-doctor-") as name:
        folder = Path(name)
        secret = folder / "secret"
        secret.write_text("of the place")
        try:
            with socket.socket(socket.AF_UNIX) as door:
                abstract = f"littoral-doctor-{secrets.token_hex(8)}"
                door.bind(f"\0{abstract}")
                door.listen()
                seen = await _look(folder, settings, {"abstract": abstract, "outside": [str(secret), str(Path.home())]})
        except (ServiceError, KeeperGone) as error:
            return Diagnosis(str(error), [])
    return Diagnosis(None, [*_namespaces(seen), *_rights(seen), *_limits(seen), *_optional(seen)])


async def _look(folder: Path, settings: FunctionSettings, event: dict[str, Any]) -> dict[str, Any]:
    store = await EmbeddedStore.open(folder / "store")
    try:
        functions = await Functions.open(store, folder / "functions", settings=replace(settings, node_spares=0))
        try:
            await functions.install(NAME, "1", CONFIGURATION, _archive())
            result = await functions.invoke(Invocation(f"{NAME}:1", json.dumps(event).encode()))
        finally:
            await functions.close()
    finally:
        await store.close()
    seen: dict[str, Any] = json.loads(result.payload)
    if result.function_error is not None:
        raise ServiceError("ServiceException", str(seen.get("errorMessage", seen)))
    return seen


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inspector.py", Path(inspector.__file__).read_bytes())
    return buffer.getvalue()


def _namespaces(seen: dict[str, Any]) -> list[Finding]:
    outside = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in inspector.NAMESPACES}
    inside = seen["namespaces"]
    found = [Finding(f"namespace {name}", inside[name] != outside[name], True, MEANING[name]) for name in OURS]
    hidden = not seen["seen"]
    found.append(Finding("place's files", hidden, True, "hidden" if hidden else f"seen: {', '.join(seen['seen'])}"))
    open_to = [path for path, refusal in seen["writes"].items() if refusal is None]
    detail = f"writable: {', '.join(open_to)}" if open_to else f"read-only: {', '.join(seen['writes'])}"
    found.append(Finding("code and runtime", not open_to, True, detail))
    return found


def _rights(seen: dict[str, Any]) -> list[Finding]:
    status = seen["status"]
    held = [name for name in ("CapEff", "CapPrm", "CapBnd") if int(status[name], 16)]
    fenced = seen["own process"] is not None
    return [
        Finding("no new privileges", status["NoNewPrivs"] == "1", True, "set-user-id programs gain nothing"),
        Finding("capabilities", not held, True, f"held: {', '.join(held)}" if held else "none, and none to be gained"),
        Finding("seccomp", status["Seccomp"] == "2", True, "a filter on system calls"),
        Finding("Landlock", fenced, True, f"writing in /tmp only (ABI {landlock.abi()} of this kernel)"),
    ]


def _limits(seen: dict[str, Any]) -> list[Finding]:
    processes, tmp, data = seen["processes"], seen["tmp"], seen["data"]
    bounded = processes not in (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_NPROC)[0])
    return [
        Finding("processes", bounded, True, f"{processes} at most" if bounded else "as many as the user may have"),
        Finding("/tmp", tmp == TMP, True, f"its own, {_mib(tmp)}" if tmp == TMP else f"shared, {_mib(tmp)}"),  # noqa: S108 - a name
        Finding("memory of a process", data != resource.RLIM_INFINITY, True, f"{_mib(data)} of data, for 256 MB"),
    ]


def _optional(seen: dict[str, Any]) -> list[Finding]:
    grouped = any("littoral-" in line for line in seen["groups"])
    fenced = seen["abstract"] is not None
    return [
        Finding(
            "memory of all",
            grouped,
            False,
            "a control group counts processes, /tmp and shared memory"
            if grouped
            else "no control group may be made: the place watches what processes hold, and shared memory is refused",
        ),
        Finding(
            "abstract sockets",
            fenced,
            False,
            f"of others are out of reach ({seen['abstract']})" if fenced else "of others can be reached (Linux < 6.12)",
        ),
    ]


def _mib(size: int) -> str:
    return f"{size / (1024 * 1024):.0f} MiB"


Show = Callable[[str], None]


def report(diagnosis: Diagnosis, show: Show = print) -> None:
    """For people: a line a layer, and what it comes to."""
    for each in diagnosis.findings:
        state = "active" if each.active else "MISSING" if each.needed else "absent"
        show(f"  {each.layer:<22} {state:<8} {each.detail}")
    if diagnosis.refused is not None:
        show(f"no function can run here: {diagnosis.refused}")
    elif diagnosis.healthy:
        show("functions run isolated from the place and from each other; the network is shared")
    else:
        missing = ", ".join(each.layer for each in diagnosis.findings if each.needed and not each.active)
        show(f"functions run WITHOUT: {missing}")
