"""Over TLS with client certificates: our broker and mosquitto, the same certificates, the same load, in turns.

``.venv/bin/python bench/bench_mqtt_tls.py [--seconds 0.7]``: rates as in ``bench_mqtt``, and new connections a second,
from the handshake to CONNACK, 16 at a time. Certificates are of P-256, TLS 1.3, no resumption. The broker has one core.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from littoral.net.pki import Authority
from littoral.net.tls import client_context
from mqtt_load import SERVER, Broker, Counted, Idle, Row, all_of, connect, littoral, mosquitto, table

ROWS = [
    Row("QoS 0, 1 to 1", 0),
    Row("QoS 0, 1 to 10", 0, fan=10),
    Row("QoS 1, 1 to 1", 1),
]
CONNECTS, ABREAST = 200, 16
LISTEN = 'listen_stream(broker.protocol_factory("bench"))'
OURS = SERVER.replace(
    LISTEN,
    """listen_stream(broker.protocol_factory("bench"), tls=server_context(
        (Path(FOLDER, "server.crt").read_bytes(), Path(FOLDER, "server.key").read_bytes()),
        client_cas=[Path(FOLDER, "ca.pem").read_bytes()], clients="required"))""",
).replace("import asyncio", "from littoral.net.tls import server_context\nimport asyncio", 1)


def certificates(folder: Path) -> None:
    authority = Authority.load_or_create(folder, "bench")
    for name, issued in (("server", authority.issue_server(["127.0.0.1"])), ("client", authority.issue_client("load"))):
        (folder / f"{name}.crt").write_bytes(issued.certificate)
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_bytes(issued.private_key)


@contextmanager
def ours(folder: Path) -> Iterator[Broker]:
    with littoral(OURS.replace("FOLDER", repr(str(folder)))) as broker:
        yield with_tls(broker, folder)


@contextmanager
def theirs(folder: Path) -> Iterator[Broker]:
    files = (f"cafile {folder}/ca.pem", f"certfile {folder}/server.crt", f"keyfile {folder}/server.key")
    with mosquitto(*files, "require_certificate true", "persistence false") as broker:
        yield with_tls(broker, folder)


def with_tls(broker: Broker, folder: Path) -> Broker:
    pair = (folder / "client.crt").read_bytes(), (folder / "client.key").read_bytes()
    return replace(broker, tls=client_context(ca=(folder / "ca.pem").read_bytes(), pair=pair))


async def storm(broker: Broker, first: int, counted: Counted) -> None:
    numbers = iter(range(first, first + CONNECTS))

    async def lane() -> None:
        for number in numbers:
            client = Idle(f"storm-{number}")
            await connect(client, broker)
            client.transport.abort()

    began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
    await asyncio.gather(*(lane() for _ in range(ABREAST)))
    counted.messages += CONNECTS
    counted.seconds += time.perf_counter() - began
    counted.cpu += broker.cpu() - cpu
    counted.load += time.process_time() - own


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=0.7)
    arguments.add_argument("--rounds", type=int, default=2)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        certificates(Path(name))
        with all_of(partial(ours, Path(name)), partial(theirs, Path(name))) as brokers:
            table(ROWS, brokers, chosen.seconds, chosen.rounds)
            storms = {each.name: Counted() for each in brokers}
            for turn in range(2):
                for broker in brokers:
                    uvloop.run(storm(broker, turn * CONNECTS, storms[broker.name]))
    for broker_name, one in storms.items():
        print(
            f"{broker_name:10} {one.rate:>8,.0f} new connections a second, {one.each:6.0f} us CPU of the broker each, "
            f"CPU of the load {one.load_share:.0%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
