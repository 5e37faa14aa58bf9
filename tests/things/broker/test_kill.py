"""``kill -9`` at any moment: what a publisher has a PUBACK for reaches the durable session after the restart."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from littoral.protocols.mqtt.packets import Ack, Connack, Connect, Filter, Publish
from tests.things.broker.conftest import PATIENCE, Wire, durable

ROUNDS = 20


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[int]:
    """Killed at the end of the block, whatever it is doing."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.things.broker.serving", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            yield int(await child.stdout.readline())
    finally:
        child.kill()
        await child.wait()


async def connect(port: int, client_id: str, level: int, **more: object) -> tuple[Wire, Connack]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port), level)
    wire.send(Connect(client_id, level, **more))  # type: ignore[arg-type]
    return wire, await wire.expect(Connack)


async def test_every_acknowledged_message_survives(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with broker(tmp_path) as port:
        for level in (4, 5):
            sub, _ = await connect(port, f"sub{level}", level, **durable(level))
            await sub.subscribe(Filter("t/#", 1))
            await sub.leave()
    number = 0
    waiting: dict[int, set[bytes]] = {4: set(), 5: set()}
    retained = b""
    for turn in range(ROUNDS):
        level = 4 + turn % 2
        acknowledged: set[bytes] = set()
        async with broker(tmp_path) as port:
            sub, connack = await connect(port, f"sub{level}", level, **durable(level))
            assert connack.session_present
            await drain(sub, waiting[level])
            pub, _ = await connect(port, "pub", level)
            payloads = [b"%d" % (number + each) for each in range(60)]
            number += 60
            for each, payload in enumerate(payloads):
                pub.send(Publish(f"t/{each}", payload, 1, packet_id=each + 1))
                if each % 10 == 9:
                    await pub.writer.drain()
                    await asyncio.sleep(0)  # so that the broker stores them in several commits
            pub.send(Publish("held", payloads[-1], 1, True, packet_id=100))
            for _ in range(chance.randrange(0, 62)):
                ack = await pub.expect(Ack)
                if ack.packet_id == 100:
                    retained = payloads[-1]
                else:
                    acknowledged.add(payloads[ack.packet_id - 1])
        waiting[4] |= acknowledged
        waiting[5] |= acknowledged
    async with broker(tmp_path) as port:
        for level in (4, 5):
            sub, _ = await connect(port, f"sub{level}", level, **durable(level))
            await drain(sub, waiting[level])
        if retained:
            sub, _ = await connect(port, "reader", 4)
            await sub.subscribe(Filter("held", 0))
            assert int((await sub.expect(Publish)).payload) >= int(retained)


async def drain(sub: Wire, wanted: set[bytes]) -> None:
    """Receive and acknowledge until nothing wanted is missing. More may come: what was stored and not acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while wanted:
            message = await sub.expect(Publish)
            wanted.discard(message.payload)
            sub.send(Ack(4, message.packet_id))
