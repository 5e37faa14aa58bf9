"""What any engine must keep. An engine's test module derives from these classes and gives a ``place`` fixture.

``place.open()`` opens the same store again and again (after a close), ``place.advance(seconds)`` lets time pass.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import pytest

from littoral.store.contract import Blobs, Conflict, Extent, NotFound, Outgoing, Records, Retention, StreamFull, Streams
from littoral.store.documents import Documents


class Store(Protocol):
    streams: Streams

    def records(self, bucket: str) -> Records: ...
    def blobs(self, bucket: str) -> Blobs: ...
    async def close(self) -> None: ...


class Place(Protocol):
    async def open(self) -> Store: ...
    def advance(self, seconds: float) -> None: ...


ODD_KEYS = ["/", "..", "../../etc/passwd", "a/b/../c", "\0", "é", "\uffff", "\U0010ffff", "x" * 1024, "%2F", " "]


def datas(messages: Any) -> list[bytes]:
    return [message.data for message in messages]


class RecordsContract:
    async def test_what_is_put_is_there_after_reopening(self, place: Place) -> None:
        store = await place.open()
        revision = await store.records("b").put("k", b"v")
        await store.close()
        store = await place.open()
        found = await store.records("b").get("k")
        assert found is not None
        assert (found.value, found.revision) == (b"v", revision)
        assert await store.records("other").get("k") is None

    async def test_compare_and_set_refuses_another_revision_and_writes_nothing(self, place: Place) -> None:
        records = (await place.open()).records("b")
        first = await records.put("k", b"1", expect=0)
        second = await records.put("k", b"2", expect=first)
        assert second > first
        for expect in (0, first, second + 1):
            with pytest.raises(Conflict):
                await records.put("k", b"3", expect=expect)
            with pytest.raises(Conflict):
                await records.delete("k", expect=expect)
        found = await records.get("k")
        assert found is not None
        assert found.value == b"2"
        assert await records.delete("k", expect=second)
        assert not await records.delete("k")

    async def test_of_many_who_create_one_key_exactly_one_succeeds(self, place: Place) -> None:
        records = (await place.open()).records("b")
        writes = [records.put("k", bytes([each]), expect=0) for each in range(50)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert sum(isinstance(result, int) for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 49

    async def test_revisions_are_not_used_again_after_a_deletion(self, place: Place) -> None:
        store = await place.open()
        revision = await store.records("b").put("k", b"1")
        await store.records("b").delete("k")
        await store.close()
        assert await (await place.open()).records("b").put("k", b"2") > revision

    async def test_keys_may_hold_anything_and_come_in_the_order_of_their_bytes(self, place: Place) -> None:
        records = (await place.open()).records("b")
        for key in ODD_KEYS:
            await records.put(key, key.encode())
        found = await records.scan()
        assert [record.key for record in found] == sorted(ODD_KEYS, key=str.encode)
        assert all(record.value == record.key.encode() for record in found)

    @pytest.mark.parametrize("key", ["", "x" * 1025, "é" * 513])
    async def test_a_key_of_no_or_too_many_bytes_is_refused(self, place: Place, key: str) -> None:
        with pytest.raises(ValueError, match="1024 bytes"):
            await (await place.open()).records("b").put(key, b"")

    async def test_scan_pages_through_a_prefix(self, place: Place) -> None:
        records = (await place.open()).records("b")
        for key in ("a", "b/1", "b/2", "b/3", "b/\U0010ffff", "b0", "c"):
            await records.put(key, b"")
        assert [each.key for each in await records.scan("b/", limit=2)] == ["b/1", "b/2"]
        assert [each.key for each in await records.scan("b/", after="b/2")] == ["b/3", "b/\U0010ffff"]

    async def test_a_watch_tells_changes_of_its_prefix_in_order(self, place: Place) -> None:
        records = (await place.open()).records("b")
        await records.put("a/old", b"")
        watch = records.watch("a/")
        await asyncio.gather(records.put("a/1", b"1"), records.put("b/1", b"x"), records.put("a/2", b"2"))
        await records.delete("a/1")
        changes = [await anext(watch) for _ in range(2)]
        assert [(change.key, change.value) for change in changes] == [("a/2", b"2"), ("a/1", None)]
        assert changes[0].revision < changes[1].revision
        waiting = asyncio.ensure_future(anext(watch))
        await records.put("a/3", b"3")
        assert (await waiting).value == b"3"

    async def test_what_is_put_together_is_there_together_with_revisions_in_that_order(self, place: Place) -> None:
        records = (await place.open()).records("b")
        watch = records.watch()
        before = await records.put("b", b"old")
        await records.put_all({"c": b"1", "b": b"2", "a": b"3"})
        kept = {record.key: record for record in await records.scan()}
        assert {key: record.value for key, record in kept.items()} == {"a": b"3", "b": b"2", "c": b"1"}
        assert before < kept["c"].revision < kept["b"].revision < kept["a"].revision < await records.put("d", b"")
        assert [(await anext(watch)).key for _ in range(4)] == ["c", "b", "a", "d"]
        with pytest.raises(ValueError):
            await records.put_all({"e": b"", "": b""})
        assert await records.get("e") is None

    async def test_a_watch_sees_the_write_of_a_caller_that_was_cancelled_too_late(self, place: Place) -> None:
        records = (await place.open()).records("b")
        watch = records.watch()
        write = asyncio.ensure_future(records.put("k", b"v"))
        await asyncio.sleep(0)
        write.cancel()
        await asyncio.wait([write])
        await records.put("last", b"")
        seen = [await anext(watch)]
        while seen[-1].key != "last":
            seen.append(await anext(watch))
        found = await records.get("k")
        assert (found is not None) == ("k" in [change.key for change in seen])

    async def test_documents_are_given_back_as_they_were(self, place: Place) -> None:
        documents = Documents((await place.open()).records("b"), "things/")
        revision = await documents.put("ä", {"x": [1, None, {"y": "ß"}]}, expect=0)
        assert revision and await documents.get("ä") == {"x": [1, None, {"y": "ß"}]}
        assert await documents.get("none") is None
        await documents.put("b", {})
        assert await documents.scan() == [("b", {}), ("ä", {"x": [1, None, {"y": "ß"}]})]
        assert await documents.scan(after="b") == [("ä", {"x": [1, None, {"y": "ß"}]})]
        assert await documents.delete("b")


class StreamsContract:
    async def test_what_is_published_is_numbered_without_gaps_and_kept(self, place: Place) -> None:
        store = await place.open()
        await store.streams.create("s")
        assert list(await store.streams.publish("s", [Outgoing(b"a"), Outgoing(b"b", headers={"h": "ü"})])) == [1, 2]
        await store.close()
        store = await place.open()
        assert list(await store.streams.publish("s", [Outgoing(b"c")])) == [3]
        found = await store.streams.read("s", after=1)
        assert datas(found) == [b"b", b"c"]
        assert found[0].headers == {"h": "ü"}

    async def test_many_publishers_are_all_kept_in_the_order_of_their_sequences(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        sent = [streams.publish("s", [Outgoing(b"%d" % each), Outgoing(b"%d+" % each)]) for each in range(100)]
        sequences = [list(each) for each in await asyncio.gather(*sent)]
        assert sorted(one for pair in sequences for one in pair) == list(range(1, 201))
        kept = {message.sequence: message.data for message in await streams.read("s")}
        for each, (first, second) in enumerate(sequences):
            assert second == first + 1
            assert (kept[first], kept[second]) == (b"%d" % each, b"%d+" % each)

    async def test_a_message_id_is_stored_once_within_its_window(self, place: Place) -> None:
        store = await place.open()
        await store.streams.create("s", Retention(dedupe_window=60))
        first = await store.streams.publish("s", [Outgoing(b"1", "id"), Outgoing(b"2", "id"), Outgoing(b"3", "x")])
        assert list(first) == [1, 1, 2]
        await store.close()
        store = await place.open()
        place.advance(59)
        assert list(await store.streams.publish("s", [Outgoing(b"4", "id")])) == [1]
        place.advance(2)
        assert list(await store.streams.publish("s", [Outgoing(b"5", "id")])) == [3]
        assert datas(await store.streams.read("s")) == [b"1", b"3", b"5"]

    async def test_an_acknowledged_message_is_still_known_by_its_id(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        consumer = await streams.consumer("s", "c")
        await streams.publish("s", [Outgoing(b"1", "id")])
        await consumer.ack([each.sequence for each in await consumer.fetch()])
        assert list(await streams.publish("s", [Outgoing(b"1", "id")])) == [1]
        assert await consumer.fetch() == []

    async def test_the_extent_is_what_is_kept(self, place: Place) -> None:
        store = await place.open()
        with pytest.raises(NotFound):
            await store.streams.extent("s")
        await store.streams.create("s", Retention(max_messages=2, discard="old"))
        assert await store.streams.extent("s") == Extent(1, 0)
        await store.streams.publish("s", [Outgoing(b"a"), Outgoing(b"b"), Outgoing(b"c")])
        assert await store.streams.extent("s") == Extent(2, 3, 2)

    async def test_unknown_names(self, place: Place) -> None:
        streams = (await place.open()).streams
        with pytest.raises(NotFound):
            await streams.publish("none", [Outgoing(b"")])
        with pytest.raises(NotFound):
            await streams.consumer("none", "c")
        with pytest.raises(NotFound):
            await streams.read("none")
        assert not await streams.delete("none")

    async def test_deleting_ends_its_consumers_and_forgets_all(self, place: Place) -> None:
        streams = (await place.open()).streams
        for name in ("a/1", "a/2", "b"):
            await streams.create(name)
        assert list(await streams.names("a/")) == ["a/1", "a/2"]
        consumer = await streams.consumer("a/2", "c")
        await streams.publish("a/2", [Outgoing(b"1", "id")])
        await consumer.fetch()
        waiting = asyncio.ensure_future(consumer.fetch(wait=60))
        await asyncio.sleep(0)
        assert await streams.delete("a/2")
        with pytest.raises(NotFound):
            await waiting
        with pytest.raises(NotFound):
            await streams.publish("a/2", [Outgoing(b"")])
        await streams.create("a/2")
        again = await streams.consumer("a/2", "c")
        assert list(await streams.publish("a/2", [Outgoing(b"2", "id")])) == [1]
        assert datas(await again.fetch()) == [b"2"]

    async def test_a_full_stream_refuses_all_of_a_publish(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s", Retention(max_messages=3, discard="new"))
        await streams.publish("s", [Outgoing(b"1"), Outgoing(b"2", "id")])
        with pytest.raises(StreamFull):
            await streams.publish("s", [Outgoing(b"3"), Outgoing(b"4", "four")])
        assert list(await streams.publish("s", [Outgoing(b"2", "id"), Outgoing(b"4", "four")])) == [2, 3]
        consumer = await streams.consumer("s", "c")
        await consumer.ack([1, 2])
        assert list(await streams.publish("s", [Outgoing(b"5"), Outgoing(b"6")])) == [4, 5]
        await streams.create("s", Retention(max_bytes=3, discard="new"))
        with pytest.raises(StreamFull):
            await streams.publish("s", [Outgoing(b"7")])

    async def test_a_full_stream_that_discards_old_drops_its_head(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s", Retention(max_bytes=10, discard="old"))
        consumer = await streams.consumer("s", "c")
        for each in range(6):
            await streams.publish("s", [Outgoing(b"%d%d%d" % (each, each, each))])
        assert datas(await streams.read("s")) == [b"333", b"444", b"555"]
        assert await consumer.pending() == 3
        assert [each.sequence for each in await consumer.fetch()] == [4, 5, 6]
        with pytest.raises(StreamFull):
            await streams.publish("s", [Outgoing(b"x" * 11)])
        assert datas(await streams.read("s")) == [b"333", b"444", b"555"]

    async def test_what_is_too_old_is_dropped_by_the_next_publish(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s", Retention(max_age=100))
        await streams.publish("s", [Outgoing(b"1")])
        place.advance(60)
        await streams.publish("s", [Outgoing(b"2")])
        place.advance(60)
        await streams.publish("s", [Outgoing(b"3")])
        assert datas(await streams.read("s")) == [b"2", b"3"]

    async def test_keep_all_keeps_what_is_acknowledged(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("all", Retention(keep="all"))
        await streams.create("rest")
        for name in ("all", "rest"):
            await streams.publish(name, [Outgoing(b"1"), Outgoing(b"2")])
            consumers = [await streams.consumer(name, each) for each in "xy"]
            await consumers[0].ack([1])
            assert datas(await streams.read(name)) == [b"1", b"2"]
            await consumers[1].ack([1])
        assert datas(await streams.read("all")) == [b"1", b"2"]
        assert datas(await streams.read("rest")) == [b"2"]


class ConsumerContract:
    async def test_messages_come_in_order_once_until_ack_wait(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        await streams.publish("s", [Outgoing(b"%d" % each) for each in range(5)])
        consumer = await streams.consumer("s", "c", ack_wait=10)
        first = await consumer.fetch(2)
        assert datas(first) == [b"0", b"1"]
        assert datas(await consumer.fetch(10)) == [b"2", b"3", b"4"]
        assert await consumer.fetch() == []
        await consumer.ack([2, 4])
        assert await consumer.pending() == 3
        place.advance(11)
        again = await consumer.fetch()
        assert [(each.sequence, each.deliveries) for each in again] == [(1, 2), (3, 2), (5, 2)]
        await consumer.ack([1, 3, 5])
        assert await consumer.pending() == 0
        place.advance(11)
        assert await consumer.fetch() == []

    async def test_what_is_not_acknowledged_comes_again_after_reopening_and_the_rest_does_not(
        self, place: Place
    ) -> None:
        store = await place.open()
        await store.streams.create("s", Retention(keep="all"))
        await store.streams.publish("s", [Outgoing(b"%d" % each) for each in range(5)])
        consumer = await store.streams.consumer("s", "c")
        await consumer.fetch(4)
        await consumer.ack([1, 3])
        await store.close()
        streams = (await place.open()).streams
        consumer = await streams.consumer("s", "c", start="new")
        assert await consumer.pending() == 3
        assert datas(await consumer.fetch()) == [b"1", b"3", b"4"]

    async def test_retry_comes_when_it_is_due_and_counts_over_a_restart(self, place: Place) -> None:
        store = await place.open()
        await store.streams.create("s")
        await store.streams.publish("s", [Outgoing(b"a"), Outgoing(b"b")])
        consumer = await store.streams.consumer("s", "c", ack_wait=1000)
        await consumer.fetch()
        await consumer.ack([2])
        await consumer.retry(1, delay=60)
        assert await consumer.fetch() == []
        place.advance(61)
        (again,) = await consumer.fetch()
        assert again.deliveries == 2
        await consumer.retry(1, delay=60)
        await store.close()
        consumer = await (await place.open()).streams.consumer("s", "c")
        assert await consumer.fetch() == []
        place.advance(61)
        (again,) = await consumer.fetch()
        assert (again.data, again.deliveries) == (b"a", 3)
        await consumer.ack([1])
        await consumer.retry(1)
        assert await consumer.fetch() == []

    async def test_a_message_retried_twice_comes_once(self, place: Place) -> None:
        store = await place.open()
        await store.streams.create("s")
        await store.streams.publish("s", [Outgoing(b"a"), Outgoing(b"b")])
        consumer = await store.streams.consumer("s", "c", ack_wait=1000)
        await consumer.fetch(1)
        await consumer.retry(1)
        await consumer.retry(1)  # no time has passed: due at the same moment
        assert [(each.sequence, each.deliveries) for each in await consumer.fetch()] == [(1, 2), (2, 1)]

    async def test_a_waiting_fetch_wakes_at_a_publish(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        consumer = await streams.consumer("s", "c")
        waiting = asyncio.ensure_future(consumer.fetch(wait=60))
        await asyncio.sleep(0)
        await streams.publish("s", [Outgoing(b"now")])
        assert datas(await waiting) == [b"now"]

    async def test_a_waiting_fetch_wakes_at_a_retry(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        consumer = await streams.consumer("s", "c")
        await streams.publish("s", [Outgoing(b"x")])
        await consumer.fetch()
        waiting = asyncio.ensure_future(consumer.fetch(wait=60))
        await asyncio.sleep(0)
        await consumer.retry(1)
        assert datas(await waiting) == [b"x"]

    async def test_a_new_consumer_begins_where_it_asks(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        await streams.publish("s", [Outgoing(b"old")])
        new = await streams.consumer("s", "new", start="new")
        first = await streams.consumer("s", "first")
        await streams.publish("s", [Outgoing(b"later")])
        assert datas(await new.fetch()) == [b"later"]
        assert datas(await first.fetch()) == [b"old", b"later"]

    async def test_acknowledging_what_is_not_there_does_no_harm(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        consumer = await streams.consumer("s", "c")
        await consumer.ack([1, 2, 99])
        await streams.publish("s", [Outgoing(b"x"), Outgoing(b"y")])
        assert await consumer.pending() == 2
        assert datas(await consumer.fetch()) == [b"x", b"y"]

    async def test_concurrent_acknowledgements_leave_nothing_behind(self, place: Place) -> None:
        streams = (await place.open()).streams
        await streams.create("s")
        consumer = await streams.consumer("s", "c")
        await streams.publish("s", [Outgoing(b"")] * 50)
        messages = await consumer.fetch()
        await asyncio.gather(*(consumer.ack([message.sequence]) for message in reversed(messages)))
        assert await consumer.pending() == 0
        assert await streams.read("s") == []


class BlobsContract:
    async def test_a_blob_is_whole_and_kept(self, place: Place) -> None:
        store = await place.open()
        for key in ODD_KEYS:
            await store.blobs("b").put(key, key.encode() * 3)
        await store.close()
        blobs = (await place.open()).blobs("b")
        for key in ODD_KEYS:
            assert await blobs.get(key) == key.encode() * 3
        assert [info.key for info in await blobs.scan()] == sorted(ODD_KEYS, key=str.encode)
        assert [info.key for info in await blobs.scan("a/b")] == ["a/b/../c"]
        assert [info.key for info in await blobs.scan(after="\uffff", limit=1)] == ["\U0010ffff"]

    async def test_ranges_and_streams(self, place: Place) -> None:
        blobs = (await place.open()).blobs("b")
        data = bytes(range(256)) * 10_000
        writer = await blobs.create("k")
        for start in range(0, len(data), 100_003):
            await writer.write(memoryview(data)[start : start + 100_003])
        assert await blobs.info("k") is None
        assert (await writer.commit()).size == len(data)
        assert await blobs.get("k", offset=300, length=7) == data[300:307]
        assert await blobs.get("k", offset=len(data) - 3, length=100) == data[-3:]
        assert await blobs.get("k", offset=len(data) + 3) == b""
        chunks = [chunk async for chunk in blobs.stream("k")]
        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= 1024 * 1024

    async def test_an_aborted_writer_leaves_what_was_there(self, place: Place) -> None:
        blobs = (await place.open()).blobs("b")
        await blobs.put("k", b"old")
        writer = await blobs.create("k")
        await writer.write(b"new" * 1_000_000)
        await writer.abort()
        await writer.abort()
        assert await blobs.get("k") == b"old"

    async def test_a_replaced_blob_goes_on_reading_what_it_began_with(self, place: Place) -> None:
        blobs = (await place.open()).blobs("b")
        await blobs.put("k", b"1" * 3_000_000)
        reading = blobs.stream("k")
        got = await anext(reading)
        await blobs.put("k", b"2")
        got += b"".join([chunk async for chunk in reading])
        assert got == b"1" * 3_000_000
        assert await blobs.get("k") == b"2"

    async def test_deleting(self, place: Place) -> None:
        blobs = (await place.open()).blobs("b")
        await blobs.put("k", b"")
        assert await blobs.get("k") == b""
        assert await blobs.delete("k")
        assert not await blobs.delete("k")
        assert await blobs.info("k") is None
        with pytest.raises(NotFound):
            await blobs.get("k")
