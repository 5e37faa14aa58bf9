"""A warmed process that forks writers to be killed: ``FOLDER RUN`` on its input makes one.

The writer prints a line for what has been acknowledged, after it has been. ``verify`` says what of those lines a
store, opened again, does not keep, and what it holds half. Every value carries its own digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from littoral.store.contract import Outgoing, Retention, Streams
from littoral.store.embedded import EmbeddedStore

KEPT = Retention(keep="all")


def sealed(text: str, size: int) -> bytes:
    body = text.encode() + b" " + random.Random(text).randbytes(size)
    return hashlib.sha256(body).digest() + body


def opened(value: bytes) -> str:
    """Raises AssertionError where the value is not as it was sealed."""
    assert hashlib.sha256(value[32:]).digest() == value[:32], "half a value"
    return value[32:].split(b" ", 1)[0].decode()


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def write(folder: Path, run: str) -> None:
    store = await EmbeddedStore.open(folder)
    await store.streams.create(f"s{run}", KEPT)
    async with asyncio.TaskGroup() as group:
        for lane in range(4):
            group.create_task(publish(store, run, lane))
            group.create_task(put(store, run, lane))
        group.create_task(commit_blobs(store, run))
        group.create_task(consume(store.streams, run))


async def publish(store: EmbeddedStore, run: str, lane: int) -> None:
    count = 0
    while True:
        ids = [f"{lane}.{count + each}" for each in range(3)]
        sequences = await store.streams.publish(f"s{run}", [Outgoing(sealed(each, 100), each) for each in ids])
        for sequence, each in zip(sequences, ids, strict=True):
            say(f"published {sequence} {each}")
        count += 3


async def put(store: EmbeddedStore, run: str, lane: int) -> None:
    revision, count = 0, 0
    while True:
        revision = await store.records("r").put(f"{run}/{lane}", sealed(str(count), 300), expect=revision)
        say(f"put {lane} {count}")
        count += 1


async def commit_blobs(store: EmbeddedStore, run: str) -> None:
    count = 0
    while True:
        size = (100, 3_000, 1_500_000)[count % 3]
        await store.blobs("b").put(f"{run}/../{count % 5}", sealed(str(count), size))
        say(f"blob {count % 5} {count}")
        count += 1


async def consume(streams: Streams, run: str) -> None:
    consumer = await streams.consumer(f"s{run}", "c")
    while True:
        messages = await consumer.fetch(5, wait=60)
        await consumer.ack([message.sequence for message in messages])
        for message in messages:
            say(f"done {message.sequence}")


async def verify(store: EmbeddedStore, run: str, lines: Sequence[str], perhaps: Sequence[str] = ()) -> None:
    """``perhaps`` are lines of which nobody knows whether they were true when they were said.

    Raises AssertionError.
    """
    said = [line.split() for line in lines]
    kept = {message.sequence: opened(message.data) for message in await all_messages(store.streams, f"s{run}")}
    assert sorted(kept) == list(range(1, len(kept) + 1))
    done = {int(words[1]) for words in said if words[0] == "done"}
    for words in said:
        match words:
            case ["published", sequence, message_id]:
                assert kept.get(int(sequence)) == message_id, f"lost {words}"
            case ["put", lane, count]:
                record = await store.records("r").get(f"{run}/{lane}")
                assert record is not None, f"lost {words}"
                assert int(opened(record.value)) >= int(count), f"lost {words}"
            case ["blob", key, count]:
                assert int(opened(await store.blobs("b").get(f"{run}/../{key}"))) >= int(count), f"lost {words}"
    for info in await store.blobs("b").scan(f"{run}/"):
        opened(await store.blobs("b").get(info.key))
    if kept:
        consumer = await store.streams.consumer(f"s{run}", "c")
        again = {message.sequence for message in await consumer.fetch(1_000_000)}
        assert not again & done, "acknowledged, and delivered again"
        done |= {int(words[1]) for words in map(str.split, perhaps) if words[0] == "done"}
        assert len(kept.keys() - again - done) <= 5, "gone without having been acknowledged"
        sequence, message_id = max(kept.items())
        assert list(await store.streams.publish(f"s{run}", [Outgoing(b"", message_id)])) == [sequence]


async def all_messages(streams: Streams, stream: str):  # type: ignore[no-untyped-def]
    if stream not in await streams.names(stream):
        return []
    return await streams.read(stream, limit=1_000_000)


def main() -> None:
    for line in sys.stdin:
        folder, run = line.split()
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(write(Path(folder), run))
            except BaseExceptionGroup as problems:
                say(f"failed {problems.exceptions[0]!r}")
            os._exit(1)
        say(f"pid {pid}")
        _, status = os.waitpid(pid, 0)
        say("gone killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else "gone ended")


if __name__ == "__main__":
    main()
