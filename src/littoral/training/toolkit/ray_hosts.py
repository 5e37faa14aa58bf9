"""Within the sandbox: make Ray's cluster of a training job's hosts, and run its script once, on the first.

Usage: ``python ray_hosts.py ROOT PROGRAM ARGUMENT...``, in the folder of the code, on each host. Standard library only,
beside the command line of the Ray that is installed in this Python.

1. The first host starts Ray's head, and listens on the port where the hosts meet.
2. Each other asks there until it is answered: then the head is up. It starts its node, says so, and waits.
3. When all have said so, the first host runs the script, which finds the cluster by ``RAY_ADDRESS``.
4. The script's end is the job's: its lines to the others end, and so do they.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PORT = 6379  # of the head, as everywhere; the hosts have a network of their own
TRIES = 4  # Ray gives up on a node that is not up within 30 seconds, which cannot be told otherwise
ASK_AGAIN = 0.2  # seconds
SHARED = "/dev/shm"  # noqa: S108 - where Ray keeps objects
LEAST_OBJECTS = 80 * 1024 * 1024  # bytes; Ray refuses less than 75 MiB
READY, JOINED = b"r", b"j"


class Wrong(Exception):
    """Ray cannot be started; the message says why."""


def ray(verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", verb, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def start(address: str, *words: str) -> None:
    """This host's node: one worker a host, as everywhere here. Raises Wrong."""
    room = os.statvfs(SHARED)
    objects = max(LEAST_OBJECTS, room.f_bavail * room.f_frsize // 2)
    own = (f"--node-ip-address={address}", "--num-cpus=1", f"--object-store-memory={objects}", "--disable-usage-stats")
    for _ in range(TRIES):
        done = ray("start", *words, *own)
        if not done.returncode:
            return
        print(done.stdout, flush=True)
        ray("stop", "--force")
    raise Wrong(f"Ray did not start in {TRIES} tries; the log says why")


def lead(address: str, meeting: int, others: int, command: list[str]) -> int:
    """The first host: how the script ended, as subprocess says it. Raises Wrong, OSError."""
    start(address, "--head", f"--port={PORT}", "--include-dashboard=false")
    with socket.create_server((address, meeting)) as listener:
        lines = [listener.accept()[0] for _ in range(others)]
        for line in lines:
            line.sendall(READY)
        for line in lines:
            if line.recv(1) != JOINED:
                raise Wrong("a host has not joined Ray's cluster")
        print(f"Ray has {others + 1} hosts", flush=True)
        status = run(command, f"{address}:{PORT}")
        for line in lines:
            line.close()
    return status


def run(command: list[str], cluster: str) -> int:
    """The script. Who asks us to end means it."""
    program: subprocess.Popen[bytes] | None = None
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if program is not None:
            program.terminate()

    signal.signal(signal.SIGTERM, stop)
    program = subprocess.Popen(command, env={**os.environ, "RAY_ADDRESS": cluster})
    if asked:  # before there was one
        program.terminate()
    return program.wait()


def follow(address: str, head: str, meeting: int) -> int:
    """Another host, until the script has ended. Raises Wrong, OSError."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the script may want its help to end well
    with asked(head, meeting) as line:
        start(address, f"--address={head}:{PORT}")
        line.sendall(JOINED)
        line.recv(1)
    return 0


def asked(head: str, meeting: int) -> socket.socket:
    """The line to the first host, as soon as that is ready."""
    while True:
        try:
            line = socket.create_connection((head, meeting))
        except (ConnectionRefusedError, TimeoutError):  # on another machine, it may not be there at all yet
            time.sleep(ASK_AGAIN)
            continue
        if line.recv(1) == READY:
            return line
        line.close()


def main(root: str, command: list[str]) -> int:
    """Raises Wrong, OSError."""
    config = Path(root, "input", "config")
    job = json.loads((config / "job.json").read_text())
    host = json.loads((config / "resourceconfig.json").read_text())["current_host"]
    addresses, meeting = job["addresses"], job["port"]
    first, address = next(iter(addresses.values())), addresses[host]
    if address == first:
        return lead(first, meeting, len(addresses) - 1, command)
    return follow(address, first, meeting)


if __name__ == "__main__":
    try:
        status = main(sys.argv[1], sys.argv[2:])
    except (Wrong, OSError) as problem:
        print(f"AlgorithmError: {problem}", file=sys.stderr)
        Path(sys.argv[1], "output", "failure").write_text(str(problem))
        sys.exit(1)
    if status < 0:  # it was killed: so are we
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
