"""Access logs: the line, the spool, and the whole way from a viewer's request to an object in a bucket."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from pathlib import Path
from typing import Any

import boto3
import pytest

from littoral.edge.accesslog.bucket import RegionBuckets
from littoral.edge.accesslog.collecting import Notes
from littoral.edge.accesslog.delivery import AccessLogs, NotDelivered
from littoral.edge.accesslog.formatting import gzipped
from littoral.edge.accesslog.line import FIELDS, HEAD, known_lines, line
from littoral.edge.accesslog.noted import Repeated, asked_of, each_of, record_of
from littoral.edge.accesslog.spool import MOST_LINES, Destination, Spool
from littoral.edge.accesslog.spooled import read
from littoral.edge.accesslog.view import Record, Source, encoded, response_headers
from littoral.edge.plan import compile_plan
from littoral.net.client import HttpClient
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.place import HOST, Edge, answer, behaving, edge, listed
from tests.edge.test_cffunctions_api import with_objects
from tests.edge.test_control import Key, Location, config, origin_of, refused, region, until
from tests.edge.test_websockets import dial
from tests.edge.test_websockets import origin as websocket_origin

RECORD = Record(
    1_700_000_001.25,
    1_700_000_001.1,
    1_700_000_001.0,
    "192.0.2.7",
    50000,
    "TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake",
    "2.0",
    "GET",
    "/a%20b?x=1",
    [
        (b"host", b"www.example.com"),
        (b"user-agent", b"A B\t\xe9"),
        (b"cookie", b"a=1"),
        (b"x-forwarded-for", b"10.0.0.1"),
    ],
    206,
    [(b"x-cache", b"Hit from cloudfront"), (b"content-type", b"text/html"), (b"content-range", b"bytes 5-9/20")],
    5,
    True,
)
SOURCE = Source("TST1", HOST, True)


def fields(text: str) -> dict[str, str]:
    return dict(zip(FIELDS.split(), text.split("\t"), strict=True))


HIT = b"HTTP/1.1 200 OK\r\nage: 1\r\nx-cache: Hit from cloudfront\r\nx-amz-cf-id: %b==\r\n"
CHANGES: list[dict[str, Any]] = [
    {"ended": 1_700_000_077.0},
    {"first": 1_700_000_001.2},
    {"began": 1_699_999_999.0},
    {"host": "192.0.2.8"},
    {"port": 1},
    {"handshake": ""},
    {"version": "1.1"},
    {"method": "HEAD"},
    {"target": "/b"},
    {"asked": [(b"host", b"b")]},
    {"status": 404},
    {"answered": HIT % b"other"},
    {"answered": HIT % b"longer-than-it-was"},
    {"answered": (HIT % b"a").replace(b"age: 1", b"age: 22")},
    {"answered": HIT % b"in the middle" + b"content-length: 5\r\n"},
    {"answered": b"HTTP/1.1 200 OK\r\nx-amz-cf-id: %00 \r\n"},
    {"sent": 6},
    {"whole": False},
    {"detail": "OriginConnectError"},
    {"received": 7},
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_line_like_one_before_is_what_it_would_be_alone(change: dict[str, Any]) -> None:
    one = RECORD._replace(answered=HIT % b"a")
    other = one._replace(**change)
    alone = []
    for record in (one, other):
        known_lines.cache_clear()
        alone.append(line(record, SOURCE))
    known_lines.cache_clear()
    assert [line(record, SOURCE) for record in (one, other, one, other)] == alone * 2
    assert alone[0] != alone[1]
    listed = [
        (name, value) for name, _, value in (each.partition(b": ") for each in other.answered.split(b"\r\n")[1:-1])
    ]
    if b"content-length" not in other.answered and other.status == 200:
        assert fields(line(other._replace(answered=listed), SOURCE)) == fields(alone[1])


def test_a_line_has_the_33_fields() -> None:
    assert len(FIELDS.split()) == 33
    found = fields(line(RECORD, SOURCE))
    assert found == {
        "date": "2023-11-14",
        "time": "22:13:21",
        "x-edge-location": "TST1",
        "sc-bytes": str(
            len(b"HTTP/1.1 200 OK\r\nx-cache: Hit from cloudfront\r\ncontent-type: text/html\r\n")
            + len(
                b"content-range: bytes 5-9/20\r\ncontent-length: 5\r\ndate: Sat, 28 Nov 2026 05:00:00 GMT\r\n\r\n12345"
            )
        ),
        "c-ip": "192.0.2.7",
        "cs-method": "GET",
        "cs(Host)": HOST,
        "cs-uri-stem": "/a%2520b",
        "sc-status": "206",
        "cs(Referer)": "-",
        "cs(User-Agent)": "A%20B%09%C3%A9",
        "cs-uri-query": "x=1",
        "cs(Cookie)": "a=1",
        "x-edge-result-type": "Hit",
        "x-edge-request-id": "-",
        "x-host-header": "www.example.com",
        "cs-protocol": "https",
        "cs-bytes": str(
            len(b"GET /a%20b?x=1 HTTP/1.1\r\nhost: www.example.com\r\nuser-agent: A B\t\xe9\r\n")
            + len(b"cookie: a=1\r\nx-forwarded-for: 10.0.0.1\r\n\r\n")
        ),
        "time-taken": "0.250",
        "x-forwarded-for": "10.0.0.1",
        "ssl-protocol": "TLSv1.3",
        "ssl-cipher": "TLS_AES_128_GCM_SHA256",
        "x-edge-response-result-type": "Hit",
        "cs-protocol-version": "HTTP/2.0",
        "fle-status": "-",
        "fle-encrypted-fields": "-",
        "c-port": "50000",
        "time-to-first-byte": "0.100",
        "x-edge-detailed-result-type": "Hit",
        "sc-content-type": "text/html",
        "sc-content-len": "5",
        "sc-range-start": "5",
        "sc-range-end": "9",
    }
    assert fields(line(RECORD, SOURCE._replace(cookies=False)))["cs(Cookie)"] == "-"


def test_what_would_break_a_line_is_encoded() -> None:
    assert encoded("a b\t\n\x7f<>\"#%{}|\\^~[]`'é-_.") == (
        "a%20b%09%0A%7F%3C%3E%22%23%25%7B%7D%7C%5C%5E%7E%5B%5D%60%27%C3%A9-_."
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": 404, "answered": [(b"x-cache", b"Error from cloudfront")]}, ("Error", "Error", "Error")),
        ({"status": 404, "answered": [(b"x-cache", b"Hit from cloudfront")]}, ("Error", "Error", "Error")),
        (
            {"status": 301, "answered": [(b"x-cache", b"Redirect from cloudfront")]},
            ("Redirect", "Redirect", "Redirect"),
        ),
        ({"status": 200, "whole": False}, ("Error", "ClientCommError", "Hit")),
        (
            {"status": 503, "answered": [(b"x-cache", b"FunctionExecutionError from cloudfront")]},
            ("Error", "FunctionExecutionError", "Error"),
        ),
        (
            {
                "status": 302,
                "answered": b"HTTP/1.1 302 Found\r\nx-cache: FunctionGeneratedResponse from cloudfront\r\n",
            },
            ("FunctionGeneratedResponse",) * 3,
        ),
    ],
)
def test_result_types(changes: dict[str, Any], expected: tuple[str, str, str]) -> None:
    found = fields(line(RECORD._replace(**changes), SOURCE))
    names = ("x-edge-result-type", "x-edge-detailed-result-type", "x-edge-response-result-type")
    assert tuple(found[name] for name in names) == expected


def test_a_torn_spool_file_gives_what_is_whole(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    destination = Destination("E1", "logs", "p", SOURCE)
    spool.add(destination, [tuple(RECORD)], 1_700_000_000.0)
    spool.add(destination, [tuple(RECORD)] * 2, 1_700_000_000.0)
    (path,) = spool.close(1_700_000_000.0)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = read(path)
        assert found is None or len(found.records) in {0, 1}
    path.write_bytes(whole)
    found = read(path)
    assert found is not None
    assert found.records == [RECORD] * 3
    assert found.key == f"p/{path.name.removesuffix('.log')}.gz"
    assert path.name.startswith("E1.2023-11-14-22.")
    text = gzip.decompress(gzipped(found)).decode()
    assert text == HEAD + (line(RECORD, SOURCE) + "\n") * 3


def test_another_hour_or_destination_is_another_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    destination = Destination("E1", "logs", "", SOURCE)
    assert spool.add(destination, [tuple(RECORD)], 1_700_000_000.0) == []
    assert len(spool.add(destination, [tuple(RECORD)], 1_700_003_600.0)) == 1
    other = Destination("E1", "other", "", SOURCE)
    assert len(spool.add(other, [tuple(RECORD)], 1_700_003_600.0)) == 1
    assert len(spool.left()) == 2
    assert spool.close(1_700_003_660.0, older=120.0) == []
    spool.add(other, [tuple(RECORD)] * (MOST_LINES - 1), 1_700_003_660.0)
    assert len(spool.close(1_700_003_660.0, older=120.0)) == 1


def test_an_answer_given_again_is_a_line_each_time(tmp_path: Path) -> None:
    """Also across seconds, when the clock is put back, and when the head changes: as if each had been noted alone."""
    request = Request(
        "GET", "/a%20b?x=1", Headers(RECORD.asked), BytesBody(), Peer("192.0.2.1", 50000), "1.1", 1_700_000_000.0
    )
    moments = iter(
        [1_700_000_000.1, 1_700_000_000.9, 1_700_000_001.2, 1_700_000_000.5, 1_700_000_002.0, 1_700_000_002.1]
    )
    head = b"HTTP/1.1 200 OK\r\nage: %d\r\nx-cache: Hit from cloudfront\r\nx-amz-cf-id: "
    given = iter([(1, b"5"), (1, b"5"), (2, b"5"), (2, b"5"), (2, b"5"), (2, b"6\r\n")])

    def give() -> bytes:
        age, body = next(given)
        return b"%bid-%d==\r\ncontent-length: %d\r\n\r\n%b" % (head % age, next(numbers), len(body), body)

    numbers = itertools.count(10)
    notes = Notes(lambda: next(moments), lambda: None)
    again = notes.again(request, Response(200, Headers([]), b"5"), give)
    first = [again() for _ in range(5)]
    taken, notes.all = notes.all, []
    again()  # what was taken away does not grow
    assert all(isinstance(each, bytes) for each in first)
    assert len(taken) == 2
    taken += notes.all
    assert len(taken) == 3
    alone = [Record(*record_of(note)) for note in each_of(taken)]
    assert [response_headers(each)["x-amz-cf-id"] for each in alone] == [f"id-{number}==" for number in range(10, 16)]
    assert [each.sent for each in alone] == [1] * 5 + [3]
    spool = Spool(tmp_path)
    stored = [each.stored(asked_of(request)) for each in taken if isinstance(each, Repeated)]
    spool.add(Destination("E1", "logs", "", SOURCE), stored, 1_700_000_003.0)
    found = read(spool.close(1_700_000_003.0)[0])
    assert found is not None
    expected = sorted((line(each, SOURCE) for each in alone), key=lambda text: text.split("\t")[:2])
    assert gzip.decompress(gzipped(found)).decode() == HEAD + "".join(each + "\n" for each in expected)


class Kept:
    """A bucket that may be away."""

    def __init__(self) -> None:
        self.there = True
        self.files: dict[str, bytes] = {}

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        if not self.there:
            raise NotDelivered("away")
        self.files[f"{bucket}/{key}"] = gzip.decompress(data)

    def lines(self) -> list[dict[str, str]]:
        texts = [data.decode() for data in self.files.values()]
        assert all(text.startswith(HEAD) for text in texts)
        return [fields(each) for text in texts for each in text.splitlines()[2:]]


def logging(**changes: Any) -> dict[str, Any]:
    return {"Enabled": True, "Bucket": "logs.s3.amazonaws.com", "Prefix": "p/", "IncludeCookies": False} | changes


def access_of(place: Edge, folder: Path, bucket: Kept) -> AccessLogs:
    made = place.pipeline.access = AccessLogs(folder, "TST1", bucket, 60.0)
    return made


async def test_every_answer_is_noted_once(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        place.origin.respond = lambda request: answer(b"page", 404 if request.target == "/none" else 200)
        for target in ("/a", "/a", "/a", "/none"):
            await place.get(target)
        await place.get("/a", method="HEAD")
        await place.get("/a", method="DELETE")
        reply = await place.get("/a", range="bytes=1-2")
        await place.get("/a", host="unknown.example")
        await access.flush_and_deliver()
        found = bucket.lines()
        assert [(each["cs-uri-stem"], each["sc-status"], each["x-edge-result-type"]) for each in found] == [
            ("/a", "200", "Miss"),
            ("/a", "200", "Hit"),
            ("/a", "200", "Hit"),
            ("/none", "404", "Error"),
            ("/a", "200", "Hit"),
            ("/a", "403", "Error"),
            ("/a", "206", "Hit"),
        ]
        assert found[-1]["x-edge-request-id"] == reply.headers["x-amz-cf-id"].replace("=", "=")
        assert (found[-1]["sc-range-start"], found[-1]["sc-range-end"], found[-1]["sc-content-len"]) == ("1", "2", "2")
        (name,) = bucket.files
        hour = time.strftime("%Y-%m-%d", time.gmtime())
        assert name.startswith(f"logs/p/E1.{hour}-") and name.endswith(".gz")
        assert list((tmp_path / "logs").iterdir()) == []


async def test_answers_that_are_given_again_are_noted_as_well(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        place.keeps = True
        for _ in range(5):  # before anybody's access is logged
            await place.get("/a", referer="r")
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        replies = [await place.get("/a", referer="r") for _ in range(6)]
        assert place.kept is not None
        place.kept.writer.close()
        await access.flush_and_deliver()
        found = bucket.lines()
        assert [each["x-edge-request-id"] for each in found] == [reply.headers["x-amz-cf-id"] for reply in replies]
        same = [{**each, "time": "", "x-edge-request-id": "", "sc-bytes": ""} for each in found]
        assert all(each == same[0] for each in same)
        assert {each["sc-bytes"] for each in found[1:]} == {found[1]["sc-bytes"]}
        assert all(float(each["time-taken"]) < 1 for each in found)


async def test_bytes_are_those_that_went_out(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        sent = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(f"GET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            sent.append(len(await reader.read()) - len("connection: close\r\n"))
            writer.close()
        await access.flush_and_deliver()
        assert [int(each["sc-bytes"]) for each in bucket.lines()][1:] == sent[1:]


async def test_a_viewer_that_goes_away_is_an_error(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket, more = Kept(), asyncio.Event()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging(), behaviour={"CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"})

        async def endless() -> Any:
            yield b"x" * 100
            await more.wait()
            while True:
                yield b"x" * 65536

        place.origin.respond = lambda _: Response(200, body=endless())
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(f"GET /a HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        await reader.readuntil(b"xxxx")
        writer.close()
        more.set()
        deadline = time.monotonic() + 30
        while not bucket.files:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
            await access.flush_and_deliver()
        (found,) = bucket.lines()
        assert (found["x-edge-result-type"], found["x-edge-detailed-result-type"]) == ("Error", "ClientCommError")
        assert (found["x-edge-response-result-type"], found["sc-status"]) == ("Miss", "200")


async def test_what_could_not_be_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        bucket.there = False
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        await place.get("/a")
        await access.flush()  # and the place is killed
        assert bucket.files == {}
        bucket.there = True
        again = AccessLogs(tmp_path / "logs", "TST1", bucket, 60.0)
        assert await again.deliver()
        assert [each["cs-uri-stem"] for each in bucket.lines()] == ["/a"]


async def test_a_large_file_is_formatted_beside_the_place(tmp_path: Path) -> None:
    bucket = Kept()
    spool = Spool(tmp_path)
    spool.add(Destination("E1", "logs", "", SOURCE), [tuple(RECORD)] * 2000, 1_700_000_000.0)
    access = AccessLogs(tmp_path, "TST1", bucket, 60.0)
    assert await access.deliver()
    assert len(bucket.lines()) == 2000
    assert list(tmp_path.iterdir()) == []


def test_from_a_viewer_to_an_object(tmp_path: Path) -> None:
    with region(with_objects) as there, origin_of(there.place) as (_, port):
        s3 = boto3.client("s3", **there.place.client_kwargs)
        wanted = config(port, Logging=logging(IncludeCookies=True))
        assert "does not exist" in str(
            refused("InvalidArgument", there.cloudfront.create_distribution, DistributionConfig=wanted)
        )
        s3.create_bucket(Bucket="logs")
        location = Location(there.place, tmp_path).start()
        client = HttpClient()
        key = Key(there.place.access_key, there.place.secret_key)
        access = AccessLogs(tmp_path / "logs", "POP1", RegionBuckets(client, there.place.url, key, "us-east-1"), 60.0)
        location.pipeline.access = access
        try:
            made = there.cloudfront.create_distribution(DistributionConfig=wanted)["Distribution"]
            until(lambda: location.pipeline.serves(made["DomainName"]))
            location.ask(made["DomainName"], "/a?b=c", Cookie="d=e", Referer="http://x/")
            there.place.run(access.flush_and_deliver())
            (listed,) = s3.list_objects_v2(Bucket="logs")["Contents"]
            assert listed["Key"].startswith(f"p/{made['Id']}.")
            text = gzip.decompress(s3.get_object(Bucket="logs", Key=listed["Key"])["Body"].read()).decode()
            found = fields(text.splitlines()[2])
            assert (found["cs-uri-stem"], found["cs-uri-query"], found["cs(Cookie)"]) == ("/a", "b=c", "d=e")
            assert (found["cs(Host)"], found["cs(Referer)"], found["sc-status"]) == (
                made["DomainName"],
                "http://x/",
                "200",
            )
            assert there.cloudfront.get_distribution_config(Id=made["Id"])["DistributionConfig"]["Logging"] == logging(
                IncludeCookies=True
            )
        finally:
            there.place.run(client.close())
            location.stop()


async def test_a_wildcard_name_is_logged_too(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        other = compile_plan(
            "E2", "other.cloudfront.net", place.config(Aliases=listed(["free.example.org"])), place.policies
        )
        logged = compile_plan(
            "E1", HOST, place.config(Logging=logging(), Aliases=listed(["*.example.org"])), place.policies
        )
        place.pipeline.use({"E1": logged, "E2": other})
        await place.get("/a", host="Shop.example.org:80")
        await place.get("/a", host="free.example.org")
        await access.flush_and_deliver()
        assert [each["x-host-header"] for each in bucket.lines()] == ["Shop.example.org:80"]


async def test_a_websocket_is_logged_when_it_is_closed(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place, websocket_origin(place):
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        async with dial(place, "/chat?room=1") as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            await access.flush()
            assert access._spool.left() == []
            assert access._notes.all == []
        deadline = time.monotonic() + 30
        while not access._notes.all:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await access.flush_and_deliver()
        (found,) = bucket.lines()
        assert [found[name] for name in ("sc-status", "cs-protocol", "cs-uri-stem", "x-edge-result-type")] == [
            "101",
            "ws",
            "/chat",
            "Miss",
        ]
        asked, answered = int(found["cs-bytes"]), int(found["sc-bytes"])
        assert asked > len("GET /chat HTTP/1.1\r\n") + len("hello") and answered > len("hello")
        assert float(found["time-taken"]) >= float(found["time-to-first-byte"])


@pytest.mark.parametrize(
    ("method", "status", "detail"), [("DELETE", "403", "InvalidRequestMethod"), ("GET", "502", "OriginConnectError")]
)
async def test_why_there_was_an_error(tmp_path: Path, method: str, status: str, detail: str) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        place.configure(Logging=logging())
        await place.origin.stop()
        await place.get("/a", method=method)
        await access.flush_and_deliver()
        (found,) = bucket.lines()
        assert (found["sc-status"], found["x-edge-result-type"]) == (status, "Error")
        assert found["x-edge-detailed-result-type"] == detail


async def test_an_origin_that_says_nothing_or_nonsense(tmp_path: Path) -> None:
    said = [b"", b"nonsense\r\n\r\n"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said[0])
        writer.close()

    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        place.origin_port = server.sockets[0].getsockname()[1]
        place.configure(Logging=logging())
        try:
            for number in range(2):
                await place.get(f"/{number}")
                said.reverse()
        finally:
            server.close()
        await access.flush_and_deliver()
        details = [each["x-edge-detailed-result-type"] for each in bucket.lines()]
        assert details == ["OriginReadError", "OriginInvalidResponseError"]


async def test_what_an_origin_function_generated_is_a_miss(tmp_path: Path) -> None:
    async with edge(tmp_path / "edge") as place:
        bucket = Kept()
        access = access_of(place, tmp_path / "logs", bucket)
        made = place.trigger("origin-request", lambda cf: {"status": "200", "body": "made"})
        place.configure(Logging=logging(), behaviour=behaving(triggers=[made]))
        await place.get("/a")
        await access.flush_and_deliver()
        (found,) = bucket.lines()
        assert (found["x-edge-result-type"], found["x-edge-detailed-result-type"]) == ("Miss", "MissGeneratedResponse")
