"""Shadow updates over MQTT, durable: from the PUBLISH of QoS 1 to the message on ``…/update/accepted``.

``.venv/bin/python bench/bench_mqtt_shadows.py [--seconds 2]``: 100 devices that each update the shadow of a thing of
their own, 5 updates under way at a time, and one device that updates one thing, 200 under way. Each sees what it
reported accepted after the fsync of its change, and no sooner. One core for the place's things on the embedded store,
the load on the other. No peer: nothing else here has shadows. Goal: 5,000 a second, both ways.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import uvloop

from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Publish
from mqtt_load import BUSY, Broker, Client, Counted, all_of, connect, littoral

GOAL = 5000
SERVER = """
import asyncio, signal, sys, uvloop
from pathlib import Path
from littoral.net.listen import listen_stream
from littoral.net.pki import Authority
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.facade import Things
async def main():
    folder = Path(sys.argv[1])
    authority = Authority.load_or_create(folder / "authority", "bench")
    store = await EmbeddedStore.open(folder / "store")
    things = await Things.open(
        store, region="us-east-1", account="000000000000", authority=authority, endpoint=lambda: "127.0.0.1:0")
    await things.start()
    listener = await listen_stream(things.broker.protocol_factory("mqtt", OpenAccess()))
    print(listener.port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await listener.close()
    await things.close()
    await store.close()
uvloop.run(main())
"""


class Device(Client):
    """Keeps so many updates under way."""

    def __init__(self, thing: str, under_way: int) -> None:
        update = f"$aws/things/{thing}/shadow/update"
        super().__init__(thing, 0, f"{update}/accepted", f"{update}/rejected", f"{update}/delta")
        self.thing, self.under_way = thing, under_way
        self.sent = self.accepted = 0
        self.stopped = False

    def send(self, count: int) -> None:
        packets = []
        for _ in range(count):
            self.sent += 1
            payload = (
                b'{"state":{"reported":{"hr":%d,"spo2":%d,"bed":{"battery":%d,"side":"left"}}},"clientToken":"t-%d"}'
                % (60 + self.sent % 90, 90 + self.sent % 10, self.sent % 100, self.sent)
            )
            topic = f"$aws/things/{self.thing}/shadow/update"
            packets.append(encode(Publish(topic, payload, 1, packet_id=self.sent % 65535 + 1), 4))
        self.transport.write(b"".join(packets))

    def received(self, data: bytes) -> None:
        """PUBACKs, and what is published on the three topics of an update."""
        data = self.rest + data
        at, accepted = 0, 0
        while at + 2 <= len(data):
            length, body, shift = 0, at + 1, 0
            while body < len(data):
                byte = data[body]
                length |= (byte & 0x7F) << shift
                body, shift = body + 1, shift + 7
                if byte < 0x80:
                    break
            if body + length > len(data):
                break
            if data[at] >> 4 == 3:
                topic = data[body + 2 : body + 2 + int.from_bytes(data[body : body + 2], "big")]
                accepted += topic.endswith(b"/accepted")
                if topic.endswith(b"/rejected"):
                    raise RuntimeError(data[body : body + length].decode())
            at = body + length
        self.rest = data[at:]
        self.accepted += accepted
        if accepted and not self.stopped:
            self.send(accepted)


async def update(broker: Broker, devices: list[Device], seconds: float, counted: Counted) -> None:
    for device in devices:
        await connect(device, broker)
        device.send(device.under_way)
    await asyncio.sleep(0.5)
    before = sum(device.accepted for device in devices)
    began, cpu, own = time.perf_counter(), broker.cpu(), time.process_time()
    await asyncio.sleep(seconds)
    counted.messages += sum(device.accepted for device in devices) - before
    counted.seconds += time.perf_counter() - began
    counted.cpu += broker.cpu() - cpu
    counted.load += time.process_time() - own
    for device in devices:
        device.stopped = True
    async with asyncio.timeout(20):
        while any(device.accepted < device.sent for device in devices):
            await asyncio.sleep(0.05)
    for device in devices:
        device.transport.abort()


async def rows(broker: Broker, seconds: float) -> dict[str, Counted]:
    found = {"many things": Counted(), "one thing": Counted()}
    for turn in range(2):
        many = [Device(f"monitor-{turn}-{number}", 5) for number in range(100)]
        await update(broker, many, seconds, found["many things"])
        await update(broker, [Device(f"single-{turn}", 200)], seconds, found["one thing"])
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=2.0)
    chosen = arguments.parse_args()
    with all_of(lambda: littoral(SERVER)) as (broker,):
        found = uvloop.run(rows(broker, chosen.seconds))
    for name, one in found.items():
        ratio = one.rate / GOAL
        note = " (the load is the limit)" if one.load_share > BUSY else ""
        print(
            f"{name:12} {one.rate:>8,.0f} updates a second, {one.each:.0f} us CPU each ({1e6 / one.each:,.0f} a second "
            f"of it), CPU of the load {one.load_share:.0%}{note}"
        )
        print(f"{'':12} {ratio:.2f} x the goal of {GOAL:,}: {'met' if ratio >= 1 else 'MISSED'}")
    return 0 if all(one.rate >= GOAL for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
