"""``littoral box``: what whoever stands before a box does, over its control socket or in its folder."""

from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from littoral.cli import objects
from littoral.cli.asking import Failed
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

CODE = "BOX_UNLOCK_CODE"  # where the code may be, instead of a prompt
PATIENCE = 60.0  # seconds that a box may take to be locked


def prepare(loaded: Loaded, manifest: Path, issuer: Path | None) -> int:
    from littoral.box import volume

    try:
        made = volume.prepare(
            loaded.settings.data_dir, _read(manifest), time.time(), _read(issuer) if issuer is not None else None
        )
    except (volume.NotOpened, OSError) as problem:
        raise Failed(str(problem)) from None
    print(f"{made.folder} is the box of {made.job}; start it with littoral up box --data-dir {made.folder}")
    return 0


def unlock(loaded: Loaded, manifest: Path, code: str | None, *, allow_swap: bool) -> int:
    asked = {"manifest": _read(manifest).decode("utf-8", "replace"), "code": given(code), "allowSwap": allow_swap}
    found = ask(loaded, "POST", "/unlock", asked)
    print("".join(f"listening {name} {url}\n" for name, url in found["listeners"].items()) + "UNLOCKED")
    return 0


def given(code: str | None) -> str:
    """The unlock code: typed after ``--code``, in the environment, at a prompt or from a pipe. Raises Failed."""
    told = code or os.environ.get(CODE)
    if not told:
        try:
            told = getpass.getpass("unlock code: ") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            told = ""
    if not told.strip():
        raise Failed(f"no unlock code: it is wanted as --code, in {CODE}, at a prompt or from a pipe")
    return told.strip()


def status(loaded: Loaded, *, as_json: bool) -> int:
    """Exit code 0; 1 where no box answers."""
    found = ask(loaded, "GET", "/status")
    print(json.dumps(found, indent=2) if as_json else summary(found), end="\n" if as_json else "")
    return 0


def summary(found: dict[str, Any]) -> str:
    lines = [("box", found["state"]), ("job", f"{found['job']} {found.get('type', '')}".strip())]
    lines.append(("space", f"{found['freeSpace'] / 1e9:.1f} of {found['totalSpace'] / 1e9:.1f} GB free"))
    if "expires" in found:
        from littoral.box import volume

        lines.append(("manifest", f"until {volume.day(found['expires'])}"))
    lines += [(name, url) for name, url in found["listeners"].items()]
    if found["openSwap"]:
        lines.append(("swap", f"not encrypted: {', '.join(found['openSwap'])}"))
    return "".join(aligned(lines, 2))


def scrub(loaded: Loaded, *, now: bool) -> int:
    """Of an unlocked box. Raises Failed."""
    return objects.told(lambda method: ask(loaded, method, "/scrub"), now=now)


def lock(loaded: Loaded) -> int:
    """Waits until it is locked, or says that it is erased."""
    from littoral.box.control import ERASED, LOCKED

    state = ask(loaded, "POST", "/lock")["state"]
    deadline = time.monotonic() + PATIENCE
    while state not in (LOCKED, ERASED):
        if time.monotonic() > deadline:
            raise Failed(f"the box is {state.lower()} still")
        time.sleep(0.1)
        try:
            state = ask(loaded, "GET", "/status")["state"]
        except Failed:  # between its end and its new beginning nobody answers
            continue
    print(state)
    return 0


def credentials(loaded: Loaded, *, export: bool) -> int:
    """For the AWS CLI and boto3, as of the box's API."""
    found, listeners = ask(loaded, "GET", "/credentials"), ask(loaded, "GET", "/status")["listeners"]
    variables = {
        "AWS_ACCESS_KEY_ID": found["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["secretAccessKey"],
        "AWS_DEFAULT_REGION": found["region"],
        "AWS_REGION": found["region"],
        "AWS_ENDPOINT_URL": listeners.get("api", ""),
    }
    word = "export " if export else ""
    print("".join(f"{word}{name}={value}\n" for name, value in variables.items() if value), end="")
    return 0


def certificate(loaded: Loaded) -> int:
    """What clients verify the box by (AWS_CA_BUNDLE)."""
    print(ask(loaded, "GET", "/certificate")["certificate"], end="")
    return 0


def erase(loaded: Loaded, manifest: Path | None, code: str | None, report: Path | None, operator: str) -> int:
    """Exit code 0; 1 where it was not erased, or its certificate could not be written."""
    from littoral.box import erasing, volume

    folder = loaded.settings.data_dir
    opening = (_read(manifest), given(code)) if manifest is not None else None
    new = [each for each in (report, *report.parents) if not each.exists()] if report is not None else []
    try:
        if report is not None:  # while nothing is erased
            report.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=report):
                pass
        done = erasing.erase(folder, time.time(), operator or getpass.getuser(), opening)
    except (volume.NotOpened, OSError) as problem:
        with suppress(OSError):  # as far as they are there, and empty
            for each in new:
                each.rmdir()
        raise Failed(str(problem)) from None
    print(done.markdown())
    try:
        files = done.write(report or folder)
    except OSError as problem:
        print(done.document())
        raise Failed(f"the box is erased; its certificate, above, could not be written: {problem}") from None
    print("".join(f"{file}\n" for file in files), end="", file=sys.stderr)
    return 0


def ask(loaded: Loaded, method: str, target: str, document: Any = None) -> dict[str, Any]:
    """Raises Failed."""
    from http.client import HTTPException

    from littoral.box.control import SOCKET
    from littoral.cli import local

    folder = loaded.settings.data_dir
    body = json.dumps(document).encode() if document is not None else None
    try:
        found: dict[str, Any] = json.loads(local.asked(folder / SOCKET, method, target, body))
    except FileNotFoundError:
        raise Failed(f"no box runs in {folder}; start it: littoral up box --data-dir {folder}") from None
    except (OSError, HTTPException, ValueError) as problem:
        raise Failed(f"no box answers in {folder}: {problem}; start it: littoral up box --data-dir {folder}") from None
    return found


def _read(file: Path) -> bytes:
    """Raises Failed."""
    try:
        return file.read_bytes()
    except OSError as problem:
        raise Failed(f"{file} cannot be read: {problem.strerror}") from None
