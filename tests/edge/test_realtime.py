"""Real-time logs: configurations through boto3, and records from a viewer's request to a data stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.accesslog.view import Source, View
from littoral.edge.geo import Whereabouts
from littoral.edge.realtime.delivery import MOST, NotTaken, RealtimeLogs
from littoral.edge.realtime.fields import FIELDS, Moment, text_of
from littoral.edge.realtime.streams import RegionStreams
from littoral.net.client import HttpClient
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from tests.edge.place import HOST, Edge, answer, behaving, edge, listed
from tests.edge.test_accesslog import RECORD, Kept
from tests.edge.test_control import Key, Location, Place, config, origin_of, refused, region, until

ROLE = "arn:aws:iam::000000000000:role/r"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/logs"


async def with_streams(store: EmbeddedStore) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    streams = await StreamStore.open(store, region="us-east-1", account="000000000000")
    return {"kinesis": streams.api, "streams": streams}, {}, []


@pytest.fixture
def there() -> Iterator[Place]:
    with region(with_streams) as made:
        yield made


def endpoint(stream: str = STREAM, kind: str = "Kinesis") -> list[dict[str, Any]]:
    return [{"StreamType": kind, "KinesisStreamConfig": {"RoleARN": ROLE, "StreamARN": stream}}]


def asked_for(**changes: Any) -> dict[str, Any]:
    plain = {"Name": "rt", "SamplingRate": 100, "Fields": ["timestamp", "sc-status"], "EndPoints": endpoint()}
    return plain | changes


def kinesis_of(there: Place) -> Any:
    return boto3.client("kinesis", **there.place.client_kwargs)


def records(kinesis: Any) -> list[list[str]]:
    (shard,) = kinesis.list_shards(StreamName="logs")["Shards"]
    start = {"StreamName": "logs", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    found = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**start)["ShardIterator"])["Records"]
    assert all(each["Data"].endswith(b"\n") for each in found)
    return [each["Data"].decode().removesuffix("\n").split("\t") for each in found]


# -------------------------------------------------------------------------------------------------- the API


def test_the_life_of_a_configuration(there: Place) -> None:
    cf = there.cloudfront
    refused("InvalidArgument", cf.create_realtime_log_config, **asked_for())
    kinesis_of(there).create_stream(StreamName="logs", ShardCount=1)
    made = cf.create_realtime_log_config(**asked_for())["RealtimeLogConfig"]
    assert made == asked_for() | {"ARN": "arn:aws:cloudfront::000000000000:realtime-log-config/rt"}
    refused("RealtimeLogConfigAlreadyExists", cf.create_realtime_log_config, **asked_for())
    assert cf.get_realtime_log_config(Name="rt")["RealtimeLogConfig"] == made
    assert cf.get_realtime_log_config(ARN=made["ARN"])["RealtimeLogConfig"] == made
    refused("NoSuchRealtimeLogConfig", cf.get_realtime_log_config, Name="other")
    refused("InvalidArgument", cf.get_realtime_log_config)
    changed = cf.update_realtime_log_config(**asked_for(Fields=["c-ip"], SamplingRate=5))["RealtimeLogConfig"]
    assert (changed["Fields"], changed["SamplingRate"], changed["EndPoints"]) == (["c-ip"], 5, endpoint())
    assert cf.list_realtime_log_configs()["RealtimeLogConfigs"]["Items"] == [changed]
    cf.delete_realtime_log_config(Name="rt")
    refused("NoSuchRealtimeLogConfig", cf.delete_realtime_log_config, Name="rt")


@pytest.mark.parametrize(
    "change",
    [
        {"SamplingRate": 0},
        {"SamplingRate": 101},
        {"Fields": []},
        {"Fields": ["timestamp", "timestamp"]},
        {"Fields": ["sc-mood"]},
        {"EndPoints": []},
        {"EndPoints": endpoint() * 2},
        {"EndPoints": endpoint(kind="Firehose")},
        {"EndPoints": endpoint(stream=STREAM + "2")},
        {"Name": "a b"},
    ],
)
def test_what_a_configuration_may_not_say(there: Place, change: dict[str, Any]) -> None:
    kinesis_of(there).create_stream(StreamName="logs", ShardCount=1)
    refused("InvalidArgument", there.cloudfront.create_realtime_log_config, **asked_for(**change))


def test_a_configuration_in_use_stays(there: Place) -> None:
    cf = there.cloudfront
    kinesis_of(there).create_stream(StreamName="logs", ShardCount=1)
    arn = "arn:aws:cloudfront::000000000000:realtime-log-config/rt"
    wanted = config(DefaultCacheBehavior=behaving(RealtimeLogConfigArn=arn))
    refused("NoSuchRealtimeLogConfig", cf.create_distribution, DistributionConfig=wanted)
    cf.create_realtime_log_config(**asked_for())
    identifier = cf.create_distribution(DistributionConfig=wanted)["Distribution"]["Id"]
    found = cf.get_distribution_config(Id=identifier)["DistributionConfig"]
    assert found["DefaultCacheBehavior"]["RealtimeLogConfigArn"] == arn
    refused("RealtimeLogConfigInUse", cf.delete_realtime_log_config, ARN=arn)
    using = cf.list_distributions_by_realtime_log_config(RealtimeLogConfigName="rt")["DistributionList"]
    assert [each["Id"] for each in using["Items"]] == [identifier]
    assert cf.list_distributions_by_realtime_log_config(RealtimeLogConfigArn=arn)["DistributionList"]["Quantity"] == 1


# ---------------------------------------------------------------------------------- from a viewer to a stream


def test_records_come_to_the_stream_in_the_chosen_order(there: Place, tmp_path: Path) -> None:
    cf = there.cloudfront
    kinesis_of(there).create_stream(StreamName="logs", ShardCount=1)
    fields = ["sc-status", "cs-uri-stem", "cache-behavior-path-pattern", "x-edge-detailed-result-type", "origin-fbl"]
    made = cf.create_realtime_log_config(**asked_for(Fields=fields))["RealtimeLogConfig"]
    location = Location(there.place, tmp_path).start()
    client = HttpClient()
    key = Key(there.place.access_key, there.place.secret_key)
    access = AccessLogs(tmp_path / "logs", "POP1", Kept(), 60.0)
    realtime = RealtimeLogs("POP1", RegionStreams(client, there.place.url, key, "us-east-1"))
    access.readers.append(realtime)
    location.pipeline.access = access

    async def flush() -> None:
        realtime.start()
        await access.flush()
        await realtime.close()

    with origin_of(there.place) as (origin, port):
        origin.respond = lambda request: answer(b"page", 404 if request.target == "/api/none" else 200)
        other = behaving(PathPattern="/api/*", RealtimeLogConfigArn=made["ARN"])
        wanted = config(port, CacheBehaviors=listed([other]))
        try:
            host = cf.create_distribution(DistributionConfig=wanted)["Distribution"]["DomainName"]
            until(lambda: location.pipeline.serves(host))
            for target in ("/api/a", "/api/a", "/not-logged", "/api/none"):
                location.ask(host, target)
            there.place.run(flush())
            found = records(kinesis_of(there))
            assert [each[:4] for each in found] == [
                ["200", "/api/a", "/api/*", "Miss"],
                ["200", "/api/a", "/api/*", "Hit"],
                ["404", "/api/none", "/api/*", "Error"],
            ]
            assert [each[4] == "-" for each in found] == [False, True, False]
            assert float(found[0][4]) >= 0

            # another choice of fields is known at the location without a change of the distribution
            cf.update_realtime_log_config(**asked_for(Fields=["cs-method"]))
            revision = there.control.revision
            until(lambda: location.location.revision >= revision)
            location.ask(host, "/api/a")
            there.place.run(flush())
            assert records(kinesis_of(there))[3:] == [["GET"]]
        finally:
            there.place.run(client.close())
            location.stop()


class Taken:
    """Data streams that may be away, or take only a part."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.sizes: list[int] = []
        self.fails: NotTaken | None = None
        self.refuses = 0

    async def put(self, stream: str, records: Any) -> list[bytes]:
        assert stream == STREAM
        self.sizes.append(len(records))
        if self.fails is not None:
            raise self.fails
        refused, self.refuses = self.refuses, 0
        self.records += records[refused:]
        return list(records[:refused])


def logging(place: Edge, folder: Path, taken: Taken, **options: Any) -> tuple[AccessLogs, RealtimeLogs]:
    access = AccessLogs(folder, "TST1", Kept(), 60.0)
    realtime = RealtimeLogs("TST1", taken, **options)
    access.readers.append(realtime)
    place.pipeline.access = access
    return access, realtime


def configured(place: Edge, rate: int = 100, fields: tuple[str, ...] = ("cs-uri-stem",)) -> None:
    place.policies = place.policies | {
        "rt": {"Fields": list(fields), "SamplingRate": rate, "EndPoints": endpoint()},
    }
    place.configure(behaviour={"RealtimeLogConfigArn": "rt"})


async def test_a_share_of_the_requests_is_logged(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        taken = Taken()
        chances = iter([0.0, 0.24, 0.25, 0.99])
        access, realtime = logging(place, tmp_path / "logs", taken, chance=lambda: next(chances))
        configured(place, rate=25)
        realtime.start()
        for number in range(4):
            await place.get(f"/{number}")
        await access.flush()
        await realtime.close()
        assert taken.records == [b"/0\n", b"/1\n"]


async def test_without_a_configuration_nothing_is_noted(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        access, _ = logging(place, tmp_path / "logs", Taken())
        place.configure()
        await place.get("/a")
        assert access._notes.all == []


async def test_what_a_stream_does_not_take_is_tried_again_in_order(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        taken = Taken()
        access, realtime = logging(place, tmp_path / "logs", taken)
        configured(place)
        for number in range(3):
            await place.get(f"/{number}")
        taken.fails = NotTaken("away")
        realtime._loop = asyncio.get_running_loop()  # started, but nobody sends by himself
        await access.flush()
        assert not await realtime.send()
        taken.fails, taken.refuses = None, 1
        assert not await realtime.send()
        assert await realtime.send()
        assert taken.records == [b"/1\n", b"/2\n", b"/0\n"]
        assert (realtime.delivered, realtime.dropped) == (3, 0)


async def test_what_waits_is_bounded_and_a_stream_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    taken = Taken()
    realtime = RealtimeLogs("TST1", taken)
    realtime._keep([(STREAM, b"%d\n" % number) for number in range(MOST + 10)])
    assert realtime.dropped == 10
    assert await realtime.send()
    assert taken.records[0] == b"10\n" and len(taken.records) == MOST and max(taken.sizes) == 500
    realtime._keep([(STREAM, b"x\n")] * 3)
    taken.fails = NotTaken("no such stream", lasting=True)
    assert await realtime.send()
    assert realtime.dropped == 13


# --------------------------------------------------------------------------------------------------- fields


def test_every_field() -> None:
    record = RECORD._replace(
        asked=[*RECORD.asked, (b"accept", b"*/*"), (b"accept-encoding", b"br"), (b"cmcd-session", b'sid="a,b",sf=d')],
        target="/v.mp4?CMCD=br%3D3200%2Cbs%2Cot%3Dv",
        origin_first=0.0125,
        origin_last=0.5,
        origin="o.example",
        reason="Failover:502",
    )
    view = View(record, Source("TST1", HOST, True))
    moment = Moment(view, Whereabouts(country="DE", asn="64500"), "192.0.2.1", "/v*", "E1", HOST)
    found = dict(zip(FIELDS, text_of(list(FIELDS), moment).removesuffix("\n").split("\t"), strict=True))
    assert len(FIELDS) == 66
    assert {name: value for name, value in found.items() if value != "-"} == {
        "timestamp": "1700000001.250",
        "c-ip": "192.0.2.7",
        "s-ip": "192.0.2.1",
        "time-to-first-byte": "0.100",
        "sc-status": "206",
        "sc-bytes": str(view.sent),
        "cs-method": "GET",
        "cs-protocol": "https",
        "cs-host": HOST,
        "cs-uri-stem": "/v.mp4",
        "cs-bytes": str(view.received),
        "x-edge-location": "TST1",
        "x-host-header": "www.example.com",
        "time-taken": "0.250",
        "cs-protocol-version": "HTTP/2.0",
        "c-ip-version": "IPv4",
        "cs-user-agent": "A%20B%09%C3%A9",
        "cs-cookie": "a=1",
        "cs-uri-query": "CMCD=br%253D3200%252Cbs%252Cot%253Dv",
        "x-edge-response-result-type": "Hit",
        "x-forwarded-for": "10.0.0.1",
        "ssl-protocol": "TLSv1.3",
        "ssl-cipher": "TLS_AES_128_GCM_SHA256",
        "x-edge-result-type": "Hit",
        "sc-content-type": "text/html",
        "sc-content-len": "5",
        "sc-range-start": "5",
        "sc-range-end": "9",
        "c-port": "50000",
        "x-edge-detailed-result-type": "Hit",
        "c-country": "DE",
        "cs-accept-encoding": "br",
        "cs-accept": "*/*",
        "cache-behavior-path-pattern": "/v*",
        "cs-headers": (
            "host:www.example.com%0Auser-agent:A%20B%09%C3%A9%0Acookie:a=1%0Ax-forwarded-for:10.0.0.1%0A"
            "accept:*/*%0Aaccept-encoding:br%0Acmcd-session:sid=%22a,b%22,sf=d%0A"
        ),
        "cs-header-names": "host%0Auser-agent%0Acookie%0Ax-forwarded-for%0Aaccept%0Aaccept-encoding%0Acmcd-session%0A",
        "cs-headers-count": "7",
        "primary-distribution-id": "E1",
        "primary-distribution-dns-name": HOST,
        "origin-fbl": "0.013",
        "origin-lbl": "0.500",
        "asn": "64500",
        "r-host": "o.example",
        "sr-reason": "Failover:502",
        "cmcd-encoded-bitrate": "3200",
        "cmcd-buffer-starvation": "true",
        "cmcd-object-type": "v",
        "cmcd-session-id": "a,b",
        "cmcd-streaming-format": "d",
    }


async def test_the_origin_of_a_failover_is_named(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        taken = Taken()
        access, realtime = logging(place, tmp_path / "logs", taken)
        custom = {"HTTPPort": place.origin_port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
        origins = [
            {"Id": name, "DomainName": domain, "ConnectionAttempts": 1, "CustomOriginConfig": custom}
            for name, domain in (("a", "127.0.0.1"), ("b", "localhost"))
        ]
        group = {
            "Id": "g",
            "FailoverCriteria": {"StatusCodes": listed([503])},
            "Members": listed([{"OriginId": "a"}, {"OriginId": "b"}]),
        }
        place.policies = place.policies | {
            "rt": {"Fields": ["r-host", "sr-reason", "origin-lbl"], "SamplingRate": 100, "EndPoints": endpoint()},
        }
        place.configure(
            Origins=listed(origins),
            OriginGroups=listed([group]),
            behaviour={"TargetOriginId": "g", "RealtimeLogConfigArn": "rt"},
        )
        place.origin.respond = lambda request: answer(b"x", 503 if "127.0.0.1" in request.host else 200)
        realtime.start()
        await place.get("/a")
        until_noted = time.monotonic() + 30
        while not access._notes.all:
            assert time.monotonic() < until_noted
            await asyncio.sleep(0.01)
        await access.flush()
        await realtime.close()
        host, reason, last = taken.records[0].decode().split()
        assert (host, reason) == ("localhost", "Failover:503")
        assert float(last) >= 0
