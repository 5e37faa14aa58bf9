"""Mosquitto as the place above, and a real network path: the link needs standard MQTT 5 and nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from littoral.core.link import Backoff, Link, Upstream
from littoral.core.session import Timing
from littoral.core.spool import Spool
from littoral.store.embedded import EmbeddedStore
from tests.core.world import until

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
NEAR, FAR = "10.211.55.1", "10.211.55.2"

pytestmark = pytest.mark.skipif(
    not (Path(MOSQUITTO).exists() and shutil.which("mosquitto_sub")), reason="apt: mosquitto mosquitto-clients"
)


class Mosquitto:
    """A broker whose sessions outlive it, and a durable subscriber; ``inside`` is what they are run by."""

    def __init__(self, folder: Path, host: str, port: int, inside: list[str], *more: str) -> None:
        self.host = host
        self.port = port
        self._inside = inside
        self._running: list[subprocess.Popen[bytes]] = []
        self.heard = folder / "heard"
        self._configuration = folder / "mosquitto.conf"
        lines = [f"listener {port} {host}", "allow_anonymous true", "persistence true", "autosave_interval 1"]
        lines += [
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "user root",
            "max_queued_messages 0",
            *more,
        ]
        self._configuration.write_text("\n".join(lines) + "\n")
        folder.chmod(0o777)

    async def start(self) -> None:
        self._run([MOSQUITTO, "-c", str(self._configuration)])
        there = ["-V", "5", "-h", self.host, "-p", str(self.port)]
        listen = [
            "mosquitto_sub",
            *there,
            "-q",
            "1",
            "-i",
            "subscriber",
            "-c",
            "-x",
            "3600",
            "-t",
            "ward/#",
            "-F",
            "%p",
        ]
        # -E: subscribes and leaves; the session stays, and whoever entered it again might take what waits in it
        probe = ["mosquitto_pub", *there, "-t", "probe", "-n"] if self.heard.exists() else [*listen, "-E"]
        await until(lambda: _ran([*self._inside, *probe]), 30)
        with self.heard.open("ab") as file:
            self._run(listen, file.fileno())

    def _run(self, command: list[str], out: int = subprocess.DEVNULL) -> None:
        made = subprocess.Popen([*self._inside, *command], stdout=out, stderr=subprocess.DEVNULL)
        self._running.append(made)

    def stop(self) -> None:
        for process in reversed(self._running):
            process.terminate()
            process.wait(10)
        self._running.clear()

    def numbers(self) -> list[int]:
        """What came, each at its first time: a plain broker knows nothing of message ids."""
        return list(dict.fromkeys(int(line) for line in self.heard.read_text().split()))


@asynccontextmanager
async def linked(folder: Path, upstream: Upstream) -> AsyncIterator[tuple[Spool, Link]]:
    store = await EmbeddedStore.open(folder / "store")
    spool = await Spool.open(store.streams, store.records("core"), "core")
    timing, backoff = Timing(ping_every=0.3, dead_after=1.5), Backoff(first=0.01, cap=0.3)
    link = Link(upstream, "core", spool, timing=timing, backoff=backoff)
    await link.start()
    try:
        yield spool, link
    finally:
        await link.close()
        await store.close()


async def put(spool: Spool, first: int, count: int) -> None:
    await asyncio.gather(*(spool.put("ward/1", b"%d" % number) for number in range(first, first + count)))


async def test_the_spool_drains_into_mosquitto_over_its_restart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    above = Mosquitto(tmp_path, "127.0.0.1", port, [])
    try:
        await above.start()  # the subscriber's session is there before the link is: what nobody asks for is dropped
    finally:
        above.stop()
    async with linked(tmp_path, Upstream("127.0.0.1", port)) as (spool, link):
        await put(spool, 0, 500)
        try:
            await above.start()
            await until(lambda: len(above.numbers()) >= 500, 60)
            await until(lambda: _empty(spool), 60)
            above.stop()
            await put(spool, 500, 500)
            await above.start()
            await until(lambda: len(above.numbers()) >= 1000, 60)
            await until(lambda: _empty(spool), 60)
        finally:
            above.stop()
        assert above.numbers() == list(range(1000))
        assert link.stats.connects >= 2


async def test_a_topic_that_mosquittos_acl_denies_holds_up_nothing(tmp_path: Path) -> None:
    """It answers PUBACK 0x87 in MQTT 5, so the culprit is known at once."""
    allowed = tmp_path / "acl"
    allowed.write_text("topic readwrite ward/#\ntopic readwrite probe\n")
    allowed.chmod(0o700)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    above = Mosquitto(tmp_path, "127.0.0.1", port, [], f"acl_file {allowed}")
    try:
        await above.start()
        async with linked(tmp_path, Upstream("127.0.0.1", port)) as (spool, link):
            for number in range(100):
                await spool.put("forbidden" if number % 25 == 5 else "ward/1", b"%d" % number)
            await until(lambda: len(above.numbers()) == 96, 60)
            await until(lambda: _empty(spool), 60)
            assert not link.draining.denials.alone
            assert [each.topic for each in spool.set_aside.facts()] == ["forbidden"] * 4
    finally:
        above.stop()
    assert above.numbers() == [number for number in range(100) if number % 25 != 5]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces")
async def test_a_real_path_that_goes_down_and_comes_back_narrow(tmp_path: Path) -> None:
    """A namespace with a veth pair of its own: down for a while, then with a token bucket of 1 Mbit/s."""
    name = f"lt{os.getpid() % 100000}"
    with ExitStack() as cleanup:
        try:
            _ip("netns", "add", name)
            cleanup.callback(_ip, "netns", "del", name)
            _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
            _ip("addr", "add", f"{NEAR}/30", "dev", f"{name}a")
            _ip("link", "set", f"{name}a", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "addr", "add", f"{FAR}/30", "dev", f"{name}b")
            _ip("-n", name, "link", "set", f"{name}b", "up")
        except (OSError, subprocess.CalledProcessError) as problem:
            pytest.skip(f"no network namespaces here: {problem}")
        above = Mosquitto(tmp_path, FAR, 1883, ["ip", "netns", "exec", name])
        cleanup.callback(above.stop)
        await above.start()
        async with linked(tmp_path, Upstream(FAR, 1883)) as (spool, link):
            await put(spool, 0, 100)
            await until(lambda: len(above.numbers()) == 100, 60)
            _ip("link", "set", f"{name}a", "down")
            await put(spool, 100, 400)
            await until(lambda: not link.stats.connected, 60)
            _ip("link", "set", f"{name}a", "up")
            bucket = ["rate", "1mbit", "burst", "4kb", "latency", "50ms"]
            subprocess.run(["tc", "qdisc", "add", "dev", f"{name}a", "root", "tbf", *bucket], check=True)
            await until(lambda: link.stats.connected, 60)
            await until(lambda: len(above.numbers()) >= 500, 60)
            await until(lambda: _empty(spool), 60)
        assert above.numbers() == list(range(500))


def _ran(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


async def _empty(spool: Spool) -> bool:
    return not await spool.pending()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
