"""The drain of a spool: what one record costs the core and the region, and how many a second go up.

``.venv/bin/python bench/bench_drain.py [--records 20000] [--size 200] [--durable] [--profile DIR]``: a region as
``littoral up`` starts it and a core's spool and link are a process each, over TLS with client certificates. Records
wait in the spool before the link is there. CPU time per record is the measure: rates are those of the machine's moment.
The peer is mosquitto's bridge, which drains a queue of as many messages (in memory) to another mosquitto over TLS.

``--durable``: a session at the region that is away has all of them stored for it. ``--profile``: cProfile of both ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import uvloop
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from littoral.core.link import Link, Upstream
from littoral.core.spool import Spool
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.site.lifecycle import settle
from littoral.store.embedded import EmbeddedStore
from littoral.tour import provision
from littoral.tour.places import PlaceProcess
from littoral.tour.provision import Cloud
from littoral.tour.steps import FREE_PORTS, credentials
from servers import find, started

TOPICS = 20
AT_ONCE = 500  # records put at once
TICK = os.sysconf("SC_CLK_TCK")
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


def cpu(pid: int) -> float:
    """Seconds, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def topic(number: int) -> str:
    return f"ward7/bed/{number % TOPICS}/record"


# ------------------------------------------------------------------------------------------------ the core's side


async def drain(arguments: Any) -> None:
    """The child: fills the spool, says so, and drains it when it is told to."""
    tls = client_context(
        ca=Path(arguments.ca).read_bytes(),
        pair=(Path(arguments.certificate).read_bytes(), Path(arguments.key).read_bytes()),
    )
    store = await EmbeddedStore.open(Path(arguments.folder))
    spool = await Spool.open(store.streams, store.records("core"), "core")
    payload = b"x" * arguments.size
    for first in range(0, arguments.records, AT_ONCE):
        await asyncio.gather(*(spool.put(topic(n), payload) for n in range(first, first + AT_ONCE)))
    link = Link(Upstream("127.0.0.1", arguments.port, tls, "127.0.0.1"), "core", spool)
    settle()
    print("filled", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    profile = cProfile.Profile() if arguments.profile else None
    await link.start()
    await link.connected()
    began, before = time.perf_counter(), time.process_time()
    with profile or contextlib.nullcontext():
        while link.draining.sent < arguments.records or await spool.pending():
            await asyncio.sleep(0.02)
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took, "cpu": time.process_time() - before}), flush=True)
    if profile is not None:
        profile.dump_stats(Path(arguments.profile) / "core.pstats")
    await link.close()
    await store.close()


def ours(options: argparse.Namespace, folder: Path, cleanup: ExitStack) -> None:
    ports = [*FREE_PORTS, "--mqtt-tls-profile", options.rules]
    region = PlaceProcess("region", "region", folder / "region", ports, {})
    cleanup.callback(region.stop)
    region.wait_ready()
    url = region.urls["api"]
    cloud = Cloud(url, *credentials(region.folder))
    cloud.client("iot").create_policy(policyName="all", policyDocument=json.dumps(ALL))
    ca = provision.authority(url, folder / "ca.pem")
    core, checker = (provision.thing(cloud, name, "all", folder / "keys", ca) for name in ("core", "checker"))
    port = region.port("mqtt-tls")
    if options.durable:
        _subscribe(port, *(str(each) for each in (checker.ca, checker.certificate, checker.private_key)))
    words = [
        *(sys.executable, __file__, "--core", "--folder", str(folder / "core"), "--port", str(port), "--ca", str(ca)),
        *("--certificate", str(core.certificate), "--key", str(core.private_key)),
        *("--records", str(options.records), "--size", str(options.size)),
        *(("--profile", options.profile) if options.profile else ()),
    ]
    child = cleanup.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "filled\n"
    before = cpu(region.pid)
    child.stdin.write("\n")
    child.stdin.flush()
    found = json.loads(child.stdout.readline())
    say("littoral", options.records, found["seconds"], found["cpu"], cpu(region.pid) - before)


def _subscribe(port: int, ca: str, certificate: str, key: str) -> None:
    """A session that lasts and is away."""
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, "checker", protocol=paho.MQTTv5)
    client.tls_set(ca, certificate, key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    lasting: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    lasting.SessionExpiryInterval = 3600
    there: list[bool] = []
    client.on_connect = lambda *_: client.subscribe("ward7/#", 1)
    client.on_subscribe = lambda *_: there.append(True)
    client.connect("127.0.0.1", port, clean_start=True, properties=lasting)
    while not there:
        client.loop(0.1)
    client.disconnect()
    client.loop(0.1)


# ------------------------------------------------------------------------------------------------------- the peer


@contextlib.contextmanager
def mosquitto(folder: Path, name: str, *lines: str) -> Iterator[int]:
    """Its process id."""
    file = folder / f"{name}.conf"
    common = ("persistence false", "max_queued_messages 0", "max_inflight_messages 1000", "user root")
    file.write_text("\n".join([*common, *lines, ""]))
    with started([find("mosquitto") or "mosquitto", "-c", str(file)], None, quiet=True) as process:
        yield process.pid


def theirs(options: argparse.Namespace, folder: Path, cleanup: ExitStack) -> None:
    authority = Authority.load_or_create(folder, "bench")
    for name, issued in (("server", authority.issue_server(["127.0.0.1"])), ("bridge", authority.issue_client("core"))):
        (folder / f"{name}.crt").write_bytes(issued.certificate)
        (folder / f"{name}.key").write_bytes(issued.private_key)
    near, far, seen = (_free_port() for _ in range(3))
    bridge = (
        *(f"listener {near} 127.0.0.1", "allow_anonymous true", "connection up", f"address 127.0.0.1:{far}"),
        *("topic # out 1", "cleansession false", "restart_timeout 1", "bridge_protocol_version mqttv50"),
        *(f"bridge_{part}file {folder}/{file}" for part, file in (("ca", "ca.pem"), ("cert", "bridge.crt"))),
        f"bridge_keyfile {folder}/bridge.key",
    )
    above = (
        *("allow_anonymous true", f"listener {seen} 127.0.0.1", f"listener {far} 127.0.0.1", f"cafile {folder}/ca.pem"),
        *(f"certfile {folder}/server.crt", f"keyfile {folder}/server.key", "require_certificate true"),
    )
    below = cleanup.enter_context(mosquitto(folder, "near", *bridge))
    _fill(near, options)
    region = cleanup.enter_context(mosquitto(folder, "far", *above))
    last: Any = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    arrived: list[float] = []
    last.on_connect = lambda *_: last.subscribe("ward7/last", 1)
    last.on_message = lambda *_: arrived.append(time.perf_counter())
    _connect(last, seen)
    last.loop_start()
    cleanup.callback(last.loop_stop)
    began = time.perf_counter()
    spent = cpu(below), cpu(region)
    while not arrived:
        time.sleep(0.005)
    say("mosquitto's bridge", options.records, arrived[0] - began, cpu(below) - spent[0], cpu(region) - spent[1])
    print("  (its seconds begin before the bridge has connected: up to 1 s of them)")


def _fill(port: int, options: argparse.Namespace) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(1000)
    _connect(client, port)
    client.loop_start()
    payload = b"x" * options.size
    for number in range(options.records - 1):
        client.publish(topic(number), payload, 1)
    client.publish("ward7/last", payload, 1).wait_for_publish(120)
    client.loop_stop()
    client.disconnect()


def _connect(client: Any, port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.connect("127.0.0.1", port)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def say(name: str, records: int, seconds: float, core: float, region: float) -> None:
    print(
        f"{name}: {records / seconds:,.0f} records/s; CPU a record: core {core / records * 1e6:.1f} µs, "
        f"region {region / records * 1e6:.1f} µs",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of a record")
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--rules", choices=("mqtt", "aws"), default="mqtt", help="of the region's device port")
    parser.add_argument("--profile", help="a folder for the core's profile")
    parser.add_argument("--no-peer", action="store_true")
    for name in ("--folder", "--port", "--ca", "--certificate", "--key"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--core", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core:
        uvloop.run(drain(options))
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as cleanup:
        for run in [ours] if options.no_peer or find("mosquitto") is None else [ours, theirs]:
            folder = Path(name) / run.__name__
            folder.mkdir()
            run(options, folder, cleanup)


if __name__ == "__main__":
    main()
