"""Large files whose parts are hashed as they are sent: to a place, to endpoints of another make, where files change."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from awscrt.checksums import crc64nvme

from littoral.box.transfer import folder as folders
from littoral.box.transfer.asking import Keys
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.buffers import PART
from littoral.box.transfer.folder import Folder
from littoral.box.transfer.items import Item
from littoral.box.transfer.moving import TRIES, LinkLost, Mover
from littoral.box.transfer.passing import PIECE, Passing, Summed
from littoral.box.transfer.sums import CRC64, SHA256, sum_of
from littoral.net.bulk import STRETCH
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import Headers, Request, Response
from tests.box.boxes import littoral
from tests.box.conftest import Depot, Done
from tests.objects.pairs import eventually

MIB = 1024 * 1024
CHECKSUM = "x-amz-checksum-crc64nvme"


@pytest.fixture
def bucket(depot: Depot) -> str:
    name = f"passing-{uuid.uuid4().hex[:12]}"
    depot.s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def large(tmp_path: Path) -> bytes:
    """``tmp_path / "files" / "large"``: three parts, the last of five bytes."""
    data = os.urandom(2 * PART + 5)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_bytes(data)
    return data


def crc(data: bytes) -> str:
    return base64.b64encode(crc64nvme(data).to_bytes(8)).decode()


def uploads(depot: Depot, bucket: str) -> list[Any]:
    found: list[Any] = depot.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return found


def keys_in_the_environment(depot: Depot, folder: Path) -> dict[str, str]:
    """And where the command keeps its journals."""
    keys = {"AWS_ACCESS_KEY_ID": depot.keys.access, "AWS_SECRET_ACCESS_KEY": depot.keys.secret}
    return {**keys, "XDG_STATE_HOME": str(folder / "state")}


def test_files_of_every_length_arrive_with_their_checksum_and_a_report(
    depot: Depot, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = (PART - 1, PART, PART + 1, 2 * PART + 5, 40 * MIB)
    files = {f"of-{size}": os.urandom(size) for size in sizes}
    (tmp_path / "files").mkdir()
    for name, data in files.items():
        (tmp_path / "files" / name).write_bytes(data)
    for name, value in keys_in_the_environment(depot, tmp_path).items():
        monkeypatch.setenv(name, value)
    words = ("transfer", str(tmp_path / "files"), f"s3://{bucket}", "--endpoint", depot.served.url)
    littoral("box", *words, "--report", str(tmp_path / "report"))
    assert depot.held(bucket) == files
    for name, data in files.items():
        head = depot.s3.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED")
        assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (crc(data), "FULL_OBJECT")
        asked = ["Checksum", "ObjectParts", "ObjectSize"]
        told = depot.s3.get_object_attributes(Bucket=bucket, Key=name, ObjectAttributes=asked)
        assert (told["Checksum"]["ChecksumCRC64NVME"], told["ObjectSize"]) == (crc(data), len(data))
        parts = told.get("ObjectParts", {}).get("TotalPartsCount", 0)
        assert parts == (-(-len(data) // PART) if len(data) >= PART else 0)
    signer = tmp_path / "state/littoral/transfers/signer/ca.pem"
    said = littoral("box", "verify", str(tmp_path / "report"), "--signer", str(signer), "--json")
    assert '"objects": 5' in said
    lines = (tmp_path / "report").read_text()
    assert all(f'"key":"{name}"' in lines and f'"crc64nvme":"{crc(data)}"' in lines for name, data in files.items())


# ------------------------------------------------------------------------------------------------ another make

Handled = Callable[[Request], Awaitable[Response]]
Does = Callable[[int, bool, Request, Handled], Awaitable[Response]]


@dataclass
class Other:
    """An endpoint of another make: a place whose UploadPart is what ``does`` makes of it."""

    place: Handled
    does: Does
    url: str = ""
    asked: list[tuple[int, bool]] = field(default_factory=list)  # number, and whether a checksum was stated

    async def handle(self, request: Request) -> Response:
        query = parse_qs(urlsplit(request.target).query)
        if request.method != "PUT" or "partNumber" not in query:
            return await self.place(request)
        stated = request.headers.get(CHECKSUM) is not None
        self.asked.append((int(query["partNumber"][0]), stated))
        return await self.does(*self.asked[-1], request, self.place)


@contextmanager
def other(depot: Depot, does: Does, kind: type[Other] | None = None) -> Iterator[Other]:
    made = (kind or Other)(depot.served.gateway.handle, does)
    listener = depot.served.run(listen_http(made.handle))
    made.url = f"http://127.0.0.1:{listener.port}"
    try:
        yield made
    finally:
        depot.served.run(listener.close(0.5))


async def silent(number: int, stated: bool, request: Request, place: Handled) -> Response:
    answer = await place(request)
    answer.headers.remove(CHECKSUM)
    return answer


async def by_another(number: int, stated: bool, request: Request, place: Handled) -> Response:
    """Says what it found by an algorithm that nobody asked for."""
    answer = await silent(number, stated, request, place)
    answer.headers.set("x-amz-checksum-sha256", sum_of(SHA256, b"of the part").value)
    return answer


def refusing(status: int, code: str, *, reads: bool) -> Does:
    async def refuses(number: int, stated: bool, request: Request, place: Handled) -> Response:
        if stated:
            return await place(request)
        if reads:
            await request.body.read()
        said = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
        return Response(status, Headers.of([("Content-Type", "application/xml")]), said.encode())

    return refuses


@pytest.mark.parametrize(
    "does",
    [
        silent,
        by_another,
        refusing(400, "InvalidRequest", reads=True),
        refusing(400, "InvalidRequest", reads=False),
        refusing(501, "NotImplemented", reads=True),
    ],
)
def test_who_says_no_checksum_is_told_it_beforehand_from_then_on(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done], does: Does
) -> None:
    with other(depot, does) as endpoint:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, endpoint.url)), parallel=1)
        assert (done.failed, done.progress.retries) == ({}, 0)
        stated = sorted(number for number, said in endpoint.asked if said)
        unstated = [number for number, said in endpoint.asked if not said]
        assert stated == [1, 2, 3]
        assert unstated  # the first; and those that were on their way before it was answered
    assert depot.held(bucket) == {"large": large}
    assert [(key, known) for key, _, known, _ in done.arrived] == [("large", sum_of(CRC64, large))]


def test_it_is_found_out_once_a_transfer(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done]
) -> None:
    for name in ("later", "last"):
        (tmp_path / "files" / name).write_bytes(large)
    with other(depot, silent) as endpoint:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, endpoint.url)), parallel=1)
    assert done.failed == {}
    assert [number for number, said in endpoint.asked if said].count(3) == 3
    assert sum(not said for _, said in endpoint.asked) <= 3  # of the first file alone
    assert depot.held(bucket) == dict.fromkeys(("large", "later", "last"), large)


def test_a_second_implementation_of_s3_is_filled(large: bytes, tmp_path: Path, move: Callable[..., Done]) -> None:
    """Of parts it says no checksum that it was not told, nor the whole one's when they are put together."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: make peers")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url, keys = f"http://{host}:{port}", Keys("a", "b")
    try:
        s3 = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id=keys.access, aws_secret_access_key=keys.secret
        )
        s3.create_bucket(Bucket="elsewhere")
        done = move(lambda client: (Folder(tmp_path / "files"), Bucket(client, url, "elsewhere", keys)))
        assert s3.get_object(Bucket="elsewhere", Key="large")["Body"].read() == large
    finally:
        server.stop()
    assert (done.failed, done.progress.retries) == ({}, 0)
    assert [(key, known) for key, _, known, _ in done.arrived] == [("large", sum_of(CRC64, large))]


def lying(times: int, value: str = crc(b"another")) -> Does:
    """Says another checksum of the second part, so many times."""
    left = times

    async def lies(number: int, stated: bool, request: Request, place: Handled) -> Response:
        nonlocal left
        answer = await place(request)
        if number == 2 and left:
            left -= 1
            answer.headers.set(CHECKSUM, value)
        return answer

    return lies


def test_a_part_of_which_another_checksum_is_said_is_sent_again(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done]
) -> None:
    with other(depot, lying(2)) as endpoint:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, endpoint.url)))
    assert (done.failed, done.progress.retries) == ({}, 2)
    assert sorted(endpoint.asked) == [(1, False), (2, False), (2, False), (2, False), (3, False)]
    assert depot.held(bucket) == {"large": large}


def test_where_it_is_always_said_the_object_is_told_of_by_name_and_holds_up_nothing(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    (tmp_path / "files" / "one-part").write_bytes(large[:PART])

    def parts(url: str) -> Callable[[Any], Any]:
        return lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, url))

    with other(depot, lying(10**9)) as endpoint:
        done = move(parts(endpoint.url))
    assert done.failed == {"large": "large: part 2 did not arrive as it was sent"}
    assert [number for number, _ in endpoint.asked].count(2) == TRIES
    assert depot.held(bucket) == {"one-part": large[:PART]}
    assert [key for key, *_ in done.arrived] == ["one-part"]
    again = move(parts(depot.served.url))  # the journal has not heard of it either
    assert (again.failed, again.progress.sent) == ({}, 1)
    assert depot.held(bucket)["large"] == large


def not_taken(status: int, code: str) -> Does:
    """The second part, ever."""
    refuses = refusing(status, code, reads=True)

    async def does(number: int, stated: bool, request: Request, place: Handled) -> Response:
        return await (refuses(number, False, request, place) if number == 2 else place(request))

    return does


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "SlowDown"), (500, "InternalError"), (400, "BadDigest"), (400, "XAmzContentSHA256Mismatch")],
)
def test_an_object_of_which_a_part_is_never_taken_is_told_of_by_name_and_holds_up_nothing(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch,
    status: int, code: str, stated: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    (tmp_path / "files" / "one-part").write_bytes(large[:PART])
    with other(depot, not_taken(status, code)) as endpoint:

        def parts(client: HttpClient) -> tuple[Folder, Bucket]:
            made = depot.bucket(client, bucket, endpoint.url)
            made.tells = made.tells and not stated
            return Folder(tmp_path / "files"), made

        done = move(parts, give_up=20)
    assert done.failed.keys() == {"large"}
    assert code in done.failed["large"]
    assert depot.held(bucket) == {"one-part": large[:PART]}


def test_a_place_that_answers_nothing_else_either_is_waited_for(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy, which answers while the link is away."""
    monkeypatch.setattr("littoral.box.transfer.moving.PAUSE", (0.0, 0.0))
    away = 0

    async def goes_away(number: int, stated: bool, request: Request, place: Handled) -> Response:
        nonlocal away
        away = away or 5 * TRIES
        return await place(request)

    class Behind(Other):
        async def handle(self, request: Request) -> Response:
            nonlocal away
            if away > 1:
                away -= 1
                await request.body.read()
                return Response(502, Headers(), b"")
            return await super().handle(request)

    with other(depot, goes_away, Behind) as place:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, place.url)))
    assert done.failed == {}
    assert done.progress.retries > 3 * TRIES
    assert depot.held(bucket) == {"large": large}


def test_nor_where_another_is_said_of_the_whole(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done]
) -> None:
    class Completing(Other):
        async def handle(self, request: Request) -> Response:
            answer = await super().handle(request)
            if request.method == "POST" and isinstance(answer.body, bytes):
                answer.body = answer.body.replace(crc(large).encode(), crc(b"another").encode())
            return answer

    with other(depot, lying(0), Completing) as place:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, place.url)))
    assert done.failed.keys() == {"large"}
    assert done.arrived == []


# ------------------------------------------------------------------------------------------------ files that change


def rewritten(file: Path, data: bytes) -> bytes:
    made = os.urandom(len(data))
    file.write_bytes(made)
    return made


def grown(file: Path, data: bytes) -> bytes:
    with file.open("ab") as out:
        out.write(b"more")
    return data + b"more"


def shrunk(file: Path, data: bytes) -> bytes:
    os.truncate(file, PART + 3)
    return data[: PART + 3]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, Callable[[], None]], None]:
    """Do something before a stretch of a part is read, so many times."""

    def arranged(part: int, times: int, does: Callable[[], None]) -> None:
        read, left = folders.Stretch.read_into, times

        def read_into(self: folders.Stretch, at: int, room: memoryview) -> None:
            nonlocal left
            if left and self.begin == (part - 1) * PART and at == 2 * STRETCH:
                left -= 1
                does()
            read(self, at, room)

        monkeypatch.setattr(folders.Stretch, "read_into", read_into)

    return arranged


@pytest.mark.parametrize("changes", [rewritten, grown, shrunk])
def test_what_changes_while_it_is_sent_goes_again_as_it_is_then(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done],
    changes: Callable[[Path, bytes], bytes], meanwhile: Callable[..., None],
) -> None:  # fmt: skip
    file, held = tmp_path / "files" / "large", {"large": large}
    meanwhile(2, 1, lambda: held.update(large=changes(file, large)))
    done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)))
    assert held["large"] != large
    assert done.failed == {}
    assert depot.held(bucket) == held
    assert [(key, known) for key, _, known, _ in done.arrived] == [("large", sum_of(CRC64, held["large"]))]
    assert uploads(depot, bucket) == []


def test_what_never_rests_is_told_of_and_nothing_of_it_is_left(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done], meanwhile: Callable[..., None]
) -> None:
    file = tmp_path / "files" / "large"
    meanwhile(1, 10**9, lambda: os.utime(file))
    done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket)))
    assert done.failed == {"large": "it changes while it is read"}
    assert done.arrived == []
    assert depot.held(bucket) == {}
    assert uploads(depot, bucket) == []


def test_once_it_has_changed_no_further_part_is_begun(
    depot: Depot, bucket: str, tmp_path: Path, move: Callable[..., Done], meanwhile: Callable[..., None]
) -> None:
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / "large"
    with file.open("wb") as made:
        made.truncate(40 * PART)
    meanwhile(1, 10**9, lambda: os.utime(file))

    async def straight(number: int, stated: bool, request: Request, place: Handled) -> Response:
        return await place(request)

    with other(depot, straight) as endpoint:
        done = move(lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, endpoint.url)), parallel=1)
    assert done.failed.keys() == {"large"}
    assert max(number for number, _ in endpoint.asked) < 20


# ------------------------------------------------------------------------------------------------ going on


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The part and the length of each read that begins one."""
    seen: list[tuple[int, int]] = []
    before = folders.Stretch.read_into

    def read_into(self: folders.Stretch, at: int, room: memoryview) -> None:
        if at == 0:
            seen.append((self.begin // PART + 1, len(room)))
        before(self, at, room)

    monkeypatch.setattr(folders.Stretch, "read_into", read_into)
    return seen


@pytest.mark.parametrize("spoiled", [False, True])
def test_after_a_kill_parts_that_are_there_are_read_and_not_sent_unless_they_are_of_other_content(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    read: list[tuple[int, int]], spoiled: bool,
) -> None:  # fmt: skip
    answering = False

    async def all_but_the_last(number: int, stated: bool, request: Request, place: Handled) -> Response:
        return await place(request) if answering or number < 3 else Response(503, Headers(), b"")

    for name, value in keys_in_the_environment(depot, tmp_path).items():
        monkeypatch.setenv(name, value)
    with other(depot, all_but_the_last) as endpoint:
        words = ("transfer", str(tmp_path / "files"), f"s3://{bucket}", "--endpoint", endpoint.url)
        running = subprocess.Popen([sys.executable, "-m", "littoral", "box", *words], stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: there(depot, bucket) == [1, 2])
        finally:
            running.kill()
            running.wait()
        if spoiled:
            asked = {"ChecksumAlgorithm": "CRC64NVME", "PartNumber": 2, "Body": os.urandom(PART)}
            depot.s3.upload_part(Bucket=bucket, Key="large", UploadId=uploads(depot, bucket)[0]["UploadId"], **asked)
        endpoint.asked.clear()
        answering = True
        littoral("box", *words)
    assert sorted(number for number, _ in endpoint.asked) == ([2, 3] if spoiled else [3])
    assert (1, PIECE) in read
    assert (2, PIECE) in read  # as it is hashed, not as it is sent
    assert depot.held(bucket) == {"large": large}
    assert uploads(depot, bucket) == []


def test_an_upload_of_what_a_file_was_before_is_ended(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done]
) -> None:
    answering = False

    async def all_but_the_last(number: int, stated: bool, request: Request, place: Handled) -> Response:
        return await place(request) if answering or number < 3 else Response(503, Headers(), b"")

    with other(depot, all_but_the_last) as endpoint:

        def parts(client: HttpClient) -> tuple[Folder, Bucket]:
            return Folder(tmp_path / "files"), depot.bucket(client, bucket, endpoint.url)

        with pytest.raises(LinkLost):
            move(parts, give_up=0.3)
        assert len(uploads(depot, bucket)) == 1
        now = rewritten(tmp_path / "files" / "large", large)
        answering = True
        assert move(parts).failed == {}
    assert depot.held(bucket) == {"large": now}
    assert uploads(depot, bucket) == []


def below_what_goes_in_parts(file: Path) -> bytes:
    file.write_bytes(b"few")
    return b"few"


def middling(file: Path) -> bytes:
    file.write_bytes(bytes(MIB))
    return bytes(MIB)


def gone(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("becomes", [below_what_goes_in_parts, middling, gone])
@pytest.mark.parametrize("killed", [False, True])
def test_an_upload_of_what_goes_without_one_by_now_is_ended(
    depot: Depot, bucket: str, large: bytes, tmp_path: Path, move: Callable[..., Done],
    becomes: Callable[[Path], bytes | None], killed: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also by the run after one that was killed when it had sent the rest."""

    async def nothing(number: int, stated: bool, request: Request, place: Handled) -> Response:
        return Response(503, Headers(), b"")

    def parts(url: str) -> Callable[[Any], Any]:
        return lambda client: (Folder(tmp_path / "files"), depot.bucket(client, bucket, url))

    with other(depot, nothing) as endpoint, pytest.raises(LinkLost):
        move(parts(endpoint.url), give_up=0.3)
    assert len(uploads(depot, bucket)) == 1
    now = becomes(tmp_path / "files" / "large")
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(Mover, "_abandon", lambda self, uploads: asyncio.sleep(0))
            move(parts(depot.served.url))
    assert move(parts(depot.served.url)).failed == {}
    assert depot.held(bucket) == ({} if now is None else {"large": now})
    assert uploads(depot, bucket) == []


def there(depot: Depot, bucket: str) -> list[int]:
    """The parts of its one upload."""
    for one in uploads(depot, bucket):
        listed = depot.s3.list_parts(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
        return [part["PartNumber"] for part in listed.get("Parts", [])]
    return []


async def test_who_is_cancelled_goes_when_the_file_is_not_read_any_more() -> None:
    begun, goes_on = threading.Event(), threading.Event()
    read: list[int] = []

    class Slow:
        def __len__(self) -> int:
            return 2 * PIECE

        def read_into(self, at: int, room: memoryview) -> None:
            begun.set()
            goes_on.wait(20)
            read.append(at)

    async def at_once(ask: Callable[[], Awaitable[Any]]) -> Any:
        return await ask()

    client = HttpClient()
    try:
        upload = Upload("an-upload", CRC64, {1: (2 * PIECE, "etag", "sum")})
        passing = Passing(Bucket(client, "http://127.0.0.1:9", "b", Keys("a", "b")), "k", upload, at_once)
        task = asyncio.create_task(passing.part(1, Slow()))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert read == [0, PIECE]
    finally:
        await client.close()


def test_who_reads_again_from_its_begin_hashes_from_there(large: bytes, tmp_path: Path) -> None:
    file = tmp_path / "files" / "large"
    with file.open("rb") as opened:
        told = os.fstat(opened.fileno())
        item = Item("large", len(large), f"{len(large)}-{told.st_mtime_ns}-{told.st_ino}")
        summed = Summed(folders.Stretch(opened.fileno(), item, PART, PART))
        room = memoryview(bytearray(STRETCH))
        for at in (0, STRETCH, *range(0, PART, STRETCH)):
            summed.read_into(at, room)
        assert summed.sum == sum_of(CRC64, large[PART : 2 * PART])
        with pytest.raises(ValueError, match="is not what comes next"):
            summed.read_into(2 * STRETCH, room)
