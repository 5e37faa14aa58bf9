"""The stream manager's figures: appends by AWS's SDK, and records a second from a core's stream to the region's.

Region and core are processes of their own, with TLS between them. Beside them in the same run: SQLite alone with a
commit for each append, and a client that does nothing but the same PutRecords, made beforehand: what the region takes.
"""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from stream_manager import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
    StreamManagerClient,
)
from tests.core.world import CORE, REGION, RegionPlace

from littoral.core.exchange import ALIAS, TokenExchange
from littoral.core.link import Backoff, Upstream
from littoral.core.streammanager.exports import Exports
from littoral.core.streammanager.kinesis import Kinesis
from littoral.core.streammanager.server import StreamServer
from littoral.core.streammanager.streams import MessageStreams
from littoral.core.upward import Upward
from littoral.net.client import HttpClient
from littoral.net.tls import client_context
from littoral.protocols.streammanager.definition import definition_of
from littoral.store.embedded import EmbeddedStore

APPENDS = 2000
RECORDS = 60_000
BATCH = 500
MESSAGE = b'{"bed": 7, "rate": 71, "at": 1795886691205, "wave": "%s"}' % (b"x" * 150)


async def upward(folder: Path, port: int) -> tuple[HttpClient, Upward]:
    pair = (folder / "certificate").read_bytes(), (folder / "key").read_bytes()
    upstream = Upstream("127.0.0.1", port, client_context(ca=(folder / "ca").read_bytes(), pair=pair))
    client = HttpClient()
    return client, Upward(client, upstream, TokenExchange(client, upstream, CORE, ALIAS), REGION)


async def core(folder: Path, port: int) -> None:
    """A stream manager until its input ends."""
    store = await EmbeddedStore.open(folder / "store")
    streams = MessageStreams(store.records("core"), store.streams)
    await streams.load()
    client, above = await upward(folder, port)
    exports = Exports(streams, {"kinesis": Kinesis(above, CORE)}, Backoff())
    server = StreamServer(streams, lambda _token: True)
    await server.start(0)
    if port:
        exports.start(5, None)
    print(server.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()
    await exports.close()
    await client.close()
    await store.close()


async def peer(folder: Path, port: int) -> None:
    """The same records, ready made, batch by batch."""
    client, above = await upward(folder, port)
    await above.call("kinesis", "ListShards", {"StreamName": "peer"})
    records = [{"Data": base64.b64encode(MESSAGE).decode(), "PartitionKey": f"{CORE}/a"}] * BATCH
    print(0, flush=True)
    for _ in range(RECORDS // BATCH):
        await above.call("kinesis", "PutRecords", {"StreamName": "peer", "Records": records})
    await asyncio.to_thread(sys.stdin.read)
    await client.close()


def child(mode: str, folder: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, mode, str(folder), str(port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def first_line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(await asyncio.to_thread(process.stdout.readline))


def cpu_of(pid: int) -> float:
    """Seconds of another process, which still runs."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(int(each) for each in ticks) / os.sysconf("SC_CLK_TCK")


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


# ------------------------------------------------------------------------------------------------ appends


def appends(port: int, clients: int) -> float:
    """A second, of so many clients that each append one after the other."""

    def work(number: int) -> None:
        with StreamManagerClient(port=port) as client:
            for _ in range(APPENDS // clients):
                client.append_message(f"s{number}", MESSAGE)

    with StreamManagerClient(port=port) as client:
        known = client.list_streams()
        for number in range(clients):
            if f"s{number}" not in known:
                overwrite = StrategyOnFull.OverwriteOldestData
                client.create_message_stream(MessageStreamDefinition(name=f"s{number}", strategy_on_full=overwrite))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return APPENDS / (time.perf_counter() - begun)


def plain_sqlite(folder: Path) -> float:
    connection = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE messages(sequence INTEGER PRIMARY KEY, data BLOB)")
    begun = time.perf_counter()
    for _ in range(APPENDS):
        connection.execute("INSERT INTO messages(data) VALUES(?)", (MESSAGE,))
    return APPENDS / (time.perf_counter() - begun)


# ------------------------------------------------------------------------------------------------ drain


async def fill(folder: Path) -> None:
    store = await EmbeddedStore.open(folder / "store")
    streams = MessageStreams(store.records("core"), store.streams)
    await streams.load()
    up = KinesisConfig(identifier="up", kinesis_stream_name="readings")
    made = MessageStreamDefinition(
        name="a",
        strategy_on_full=StrategyOnFull.OverwriteOldestData,
        export_definition=ExportDefinition(kinesis=[up]),
    )
    await streams.create(definition_of(made.as_dict()))
    for _ in range(RECORDS // BATCH):
        await asyncio.gather(*(streams.append("a", MESSAGE) for _ in range(BATCH)))
    await store.close()


async def drain(region: RegionPlace, mode: str, folder: Path, stream: str) -> None:
    made = await region.call("kinesis", "create_stream", StreamName=stream, ShardCount=1)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 200
    api: Any = region.kinesis
    facts = api._parts.stream(stream, None)
    process = child(mode, folder, region.device_port)
    await first_line(process)
    own, sender = cpu(resource.RUSAGE_SELF), cpu_of(process.pid)
    begun = time.perf_counter()
    while (await api._parts.journal.extent(facts, 0)).last < RECORDS:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begun
    own, sender = cpu(resource.RUSAGE_SELF) - own, cpu_of(process.pid) - sender
    await asyncio.to_thread(process.communicate, "")
    print(
        f"{mode}: {RECORDS / seconds:,.0f} records/s; CPU a record: region {own / RECORDS * 1e6:.0f} us, "
        f"sender {sender / RECORDS * 1e6:.0f} us"
    )


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        region = RegionPlace(folder / "region")
        await region.start()
        certificate, key = await region.core_identity()
        for file, content in (("certificate", certificate), ("key", key), ("ca", region.authority.certificate_pem)):
            (folder / file).write_bytes(content)
        await region.role_alias()
        process = child("core", folder, 0)
        port = await first_line(process)
        for clients in (1, 8):
            rate = await asyncio.to_thread(appends, port, clients)
            alone = await asyncio.to_thread(plain_sqlite, Path(tempfile.mkdtemp(dir=folder)))
            print(f"appends by {clients} of AWS's SDK: {rate:,.0f}/s; SQLite alone: {alone:,.0f}/s", flush=True)
        await asyncio.to_thread(process.communicate, "")
        await fill(folder)
        for mode, stream in (("peer", "peer"), ("core", "readings")):
            await drain(region, mode, folder, stream)
        await region.stop()


if __name__ == "__main__":
    os.environ.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN", None)
    modes = {"core": core, "peer": peer}
    if len(sys.argv) == 4:
        uvloop.run(modes[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3])))
    else:
        uvloop.run(main())
