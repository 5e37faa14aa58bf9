"""A flood from other addresses, and one client who asks as before.

An edge location with its shield runs on one core, its origin, the attackers and the good client on the other; all on
loopback, where every address of 127.0.0.0/8 is a client of its own. The good client asks 50 times a second for a cached
page, every tenth time on a new connection, whether the one before was answered or not. After five quiet seconds begin,
for twenty:

- 5,000 connections from 50 addresses whose request heads trickle (slowloris);
- connections from 200 addresses, opened and reset as fast as they come, every second one after a first byte;
- requests for what is not cached, on 200 connections from 40 addresses, 16 at a time as soon as the last are answered;
- requests for the cached page, on 100 connections from 20 addresses, 64 at a time;
- 200 readers from 20 addresses who ask for a mebibyte and take nothing;
- 1,000 connections from 40 addresses whose bodies come a byte at a time;
- heads of 300 lines, heads without an end and bytes that are no HTTP (a ClientHello), from 60 addresses, each on a new
  connection as soon as the last was refused;
- ApacheBench, where it is installed (Debian: apache2-utils), for the cached page, from 20
  addresses on 16 connections each.

Prints the share of the good client's requests answered within 50 ms before, during and after, the percentiles, and what
was refused by name. ``--plot FILE`` draws it, ``--off`` is the same without the shield, ``--first`` lets edge, origin
and good client go before whatever else runs on the machine (root). Ends by itself within 45 seconds; leaves no process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_server import PROGRAM
from littoral.drills.aside import weigh
from servers import HOST, cpu, ports, started

BEFORE, DURING, AFTER = 5.0, 20.0, 8.0
READY = 5.0  # seconds in which the attackers' interpreters start
RATE = 50  # requests a second of the good client
GOOD = 0.050  # seconds
LOST = 3.0  # seconds after which the good client gives a request up
HEAD = f" HTTP/1.1\r\nHost: {HOST}\r\n"
RESET = struct.pack("ii", 1, 0)

# ---------------------------------------------------------------------------------------------- the attackers


def address(number: int) -> str:
    return f"127.{10 + number // 250}.{number % 250 + 1}.{7 + number % 3}"


def connected(port: int, source: str, receive: int = 0) -> socket.socket:
    one = socket.socket()
    if receive:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    one.settimeout(1.0)
    one.bind((source, 0))
    one.connect(("127.0.0.1", port))
    return one


def trickle(port: int, end: float, first: bytes, *, clients: range, most: int, step: int, sent: int) -> None:
    """Keeps ``most`` requests open, ``step`` more a round, of which ``sent`` get a further byte."""
    held: list[socket.socket] = []
    while time.monotonic() < end:
        for _ in range(min(step, most - len(held))):
            try:
                one = connected(port, address(clients[len(held) % len(clients)]))
                one.send(first)
                held.append(one)
            except OSError:
                break
        for one in random.sample(held, min(len(held), sent)):
            try:
                one.send(b"x")
            except OSError:
                held.remove(one)
                one.close()
        time.sleep(0.05)


def slowloris(port: int, end: float) -> None:
    first = b"GET /" + HEAD.encode() + b"X: "
    trickle(port, end, first, clients=range(50), most=5_000, step=500, sent=250)


def openings(port: int, end: float) -> None:
    """None is waited for: who is not heard opens the next at once. Every second one says something before it goes."""
    number = 0
    open_now: deque[socket.socket] = deque()
    while time.monotonic() < end:
        number += 1
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with contextlib.suppress(OSError):
            one.bind((address(1_000 + number % 200), 0))
            one.connect_ex(("127.0.0.1", port))
            if number % 2:
                one.send(b"GET")
        open_now.append(one)
        if len(open_now) > 16:
            open_now.popleft().close()


async def asking(port: int, end: float, first: int, sources: int, connections: int, pipelined: int, path: str) -> None:
    """Requests for ``path`` and a number, or for ``path`` itself; ``pipelined`` of them at a time."""

    def request() -> str:
        return f"GET {path}{random.getrandbits(64):x}{HEAD}\r\n" if path.endswith("/") else f"GET {path}{HEAD}\r\n"

    async def attack(number: int) -> None:
        while time.monotonic() < end:
            try:
                source = (address(first + number % sources), 0)
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            try:
                while time.monotonic() < end:
                    writer.write("".join(request() for _ in range(pipelined)).encode())
                    answered = 0
                    while answered < pipelined:
                        data = await reader.read(65_536)
                        answered += data.count(b"HTTP/1.1 ")
                        if not data:
                            raise EOFError
            except (OSError, EOFError):
                pass
            finally:
                writer.transport.abort()

    with contextlib.suppress(TimeoutError):
        attacks = (attack(number) for number in range(connections))
        await asyncio.wait_for(asyncio.gather(*attacks), end - time.monotonic())


def misses(port: int, end: float) -> None:
    asyncio.run(asking(port, end, 2_000, 40, 200, 16, "/miss/"))


def hits(port: int, end: float) -> None:
    asyncio.run(asking(port, end, 2_100, 20, 100, 64, "/page"))


def readers(port: int, end: float) -> None:
    held = []
    for number in range(200):
        try:
            one = connected(port, address(3_000 + number % 20), receive=4096)
            one.send(f"GET /large{HEAD}\r\n".encode())
            held.append(one)
        except OSError:
            continue
    time.sleep(max(0.0, end - time.monotonic()))


def bodies(port: int, end: float) -> None:
    first = f"POST /body{HEAD}Content-Length: 100000\r\n\r\n".encode()
    trickle(port, end, first, clients=range(4_000, 4_040), most=1_000, step=100, sent=100)


def heads(port: int, end: float) -> None:
    kinds = [
        f"GET /{HEAD}".encode() + b"X: y\r\n" * 300 + b"\r\n",
        f"GET /{HEAD}X: ".encode() + b"x" * 60_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    ]
    number = 0
    while time.monotonic() < end:
        number += 1
        try:
            with connected(port, address(5_000 + number % 60)) as one:
                one.sendall(kinds[number % 3])
                one.recv(1024)
        except OSError:
            continue


def ab(port: int, end: float) -> None:
    """ApacheBench, from 20 addresses (wrk and h2load cannot be bound to one)."""
    seconds = str(max(1, int(end - time.monotonic())))
    with ExitStack() as running:
        while time.monotonic() < end - 1:  # it ends when it is refused
            command = ["ab", "-q", "-r", "-k", "-c", "16", "-n", "100000000", "-t", seconds, "-H", f"Host: {HOST}"]
            many = [[*command, "-B", address(6_000 + n), f"http://127.0.0.1:{port}/page"] for n in range(20)]
            quiet = subprocess.DEVNULL
            started = [running.enter_context(subprocess.Popen(one, stdout=quiet, stderr=quiet)) for one in many]
            for one in started:
                running.callback(one.terminate)
            while time.monotonic() < end and any(one.poll() is None for one in started):
                time.sleep(0.2)


ATTACKS: dict[str, Callable[[int, float], None]] = {
    "slowloris": slowloris,
    "openings": openings,
    "misses": misses,
    "hits": hits,
    "readers": readers,
    "bodies": bodies,
    "heads": heads,
}
ADDRESSES = 430
if shutil.which("ab"):
    ATTACKS["ab"] = ab
    ADDRESSES += 20


def attack(kind: str, port: int, begun: float) -> None:
    """From the moment that was said until the flood ends: eight interpreters that share a core begin late."""
    begin = BEFORE if kind == "slowloris" else BEFORE + 2.0
    time.sleep(max(0.0, begun + begin - time.monotonic()))
    ATTACKS[kind](port, begun + BEFORE + DURING)


# -------------------------------------------------------------------------------------------- the good client


class GoodClient:
    """Latencies in seconds from the moment a request was due, LOST for those without an answer in that time."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls: dict[str, Any] = {"ssl": tls, "server_hostname": HOST} if tls is not None else {}
        self.samples: list[tuple[float, float]] = []
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, seconds: float) -> None:
        begun = time.monotonic()
        asking: list[asyncio.Task[None]] = []
        for number in range(int(seconds * RATE)):
            due = begun + number / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asking.append(asyncio.create_task(self._ask(begun, due, fresh=number % 10 == 0)))
        await asyncio.gather(*asking)

    async def _ask(self, begun: float, due: float, *, fresh: bool) -> None:
        try:
            async with asyncio.timeout(LOST):
                await self._once(fresh)
            self.samples.append((due - begun, time.monotonic() - due))
        except (TimeoutError, OSError, EOFError, ValueError):
            self.samples.append((due - begun, LOST))

    async def _once(self, fresh: bool) -> None:
        if fresh or not self._idle:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **self._tls)
        else:
            reader, writer = self._idle.pop()
        writer.write(f"GET /page{HEAD}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or len(await reader.readexactly(1024)) != 1024:
            writer.transport.abort()
            raise ValueError(head[:40])
        if fresh:
            writer.close()
        else:
            self._idle.append((reader, writer))


# -------------------------------------------------------------------------------------------------- the drill


async def drill(port: int, tls: ssl.SSLContext | None = None) -> list[tuple[float, float]]:
    client = GoodClient(port, tls)
    await client._once(fresh=True)  # now the page is cached
    await client.run(BEFORE + DURING + AFTER)
    return client.samples


def show(samples: list[tuple[float, float]]) -> float:
    """Prints the three phases; the share within 50 ms during the flood."""
    shares = []
    for name, begin, end in (
        ("before", 0.0, BEFORE),
        ("during", BEFORE, BEFORE + DURING),
        ("after", BEFORE + DURING, 1e9),
    ):
        times = sorted(taken for at, taken in samples if begin <= at < end)
        shares.append(sum(1 for taken in times if taken <= GOOD) / len(times))
        lost = sum(1 for taken in times if taken >= LOST)
        middle, high = times[len(times) // 2] * 1e3, times[int(len(times) * 0.99)] * 1e3
        print(
            f"{name:<7} {len(times):>5} requests, {shares[-1]:7.2%} within 50 ms;"
            f" median {middle:6.1f} ms, 99 % {high:7.1f} ms, {lost} lost"
        )
    return shares[1]


def told(control: int) -> None:
    """Prints what the edge has refused and answered."""
    with socket.create_connection(("127.0.0.1", control)) as asked:
        asked.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: asked.recv(65_536), b""))
    refused, results, price = json.loads(answer.partition(b"\r\n\r\n")[2])
    for name, found in (("refused", refused), ("answered", results)):
        print(f"{name}:", ", ".join(f"{count:,} {each}" for each, count in sorted(found.items())) or "nothing")
    print(f"price: {price:.0f}")


def plot(samples: list[tuple[float, float]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.4))
    axes.axvspan(BEFORE, BEFORE + DURING, color="0.92", label=f"flood from {ADDRESSES} other addresses")
    moments, latencies = [at for at, _ in samples], [taken * 1e3 for _, taken in samples]
    axes.scatter(moments, latencies, s=4, label="one request")
    axes.axhline(GOOD * 1e3, color="tab:red", linewidth=1, label="50 ms")
    axes.set_yscale("log")
    axes.set_xlabel("seconds")
    axes.set_ylabel("milliseconds to the answer")
    axes.set_title("A client with 50 requests a second, one edge location on one core")
    axes.legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> int:
    if len(sys.argv) > 2 and sys.argv[1] in ATTACKS:
        os.nice(5)  # what is measured is the edge, not who of the others gets their core
        attack(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
        return 0
    file = Path(sys.argv[sys.argv.index("--plot") + 1]) if "--plot" in sys.argv else None
    first = "--first" in sys.argv
    with ExitStack() as running, tempfile.TemporaryDirectory() as folder:
        behind = running.enter_context(started([*PROGRAM, "origin"], 1))
        shield = "off" if "--off" in sys.argv else "on"
        command = [*PROGRAM, "edge", folder, str(ports(behind)[0]), "--shield", shield]
        edge = running.enter_context(started(command, 0))
        port, control = ports(edge)
        os.sched_setaffinity(0, {1})
        if (
            first
        ):  # what others run is neither flood nor edge; not in real time, in which the kernel's own threads starve
            for pid, priority in ((edge.pid, -15), (behind.pid, -15), (os.getpid(), -20)):
                weigh(pid, priority)
        begun = time.monotonic() + READY
        for kind in ATTACKS:
            command = [sys.executable, str(Path(__file__).resolve()), kind, str(port), str(begun)]
            running.enter_context(started(command, 1))
        time.sleep(max(0.0, begun - time.monotonic()))
        used = cpu(edge.pid)
        samples = asyncio.run(drill(port))
        share = show(samples)
        print(f"the edge used {cpu(edge.pid) - used:.1f} s of its core's {BEFORE + DURING + AFTER:.0f}")
        told(control)
    if file is not None:
        plot(samples, file)
    return 0 if share >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
