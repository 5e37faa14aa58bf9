"""Large objects as clients send them: whole, hashed, in chunks, sealed; each received by a thread as far as may be."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from littoral.net import lending
from littoral.net.lending import Lent
from littoral.store.strides import STRIDE
from tests.objects.conftest import S3Place

MIB = 1024 * 1024
Refusal = Callable[..., tuple[str, int]]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes threads have received, each time a connection was given back."""
    found: list[int] = []
    give_back = Lent.give_back

    def counted(lent: Lent) -> None:
        found.append(lent.taken)
        give_back(lent)

    monkeypatch.setattr(Lent, "give_back", counted)
    return found


def content(size: int) -> bytes:
    return hashlib.shake_128(b"%d" % size).digest(size)


def none_lent() -> None:
    until = time.monotonic() + 20
    while lending.free() < lending.MOST:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("size", [2 * MIB, 3 * STRIDE, 9 * MIB + 77])
@pytest.mark.parametrize(
    "config",
    [
        {"request_checksum_calculation": "when_required"},  # one signed hash
        {"request_checksum_calculation": "when_supported"},  # a checksum beside it
    ],
    ids=["hashed", "with a checksum"],
)
def test_what_is_put_is_what_is_got(
    place: S3Place, bucket: str, taken: list[int], config: dict[str, str], size: int
) -> None:
    s3, data = place.client(**config), content(size)
    answer = s3.put_object(Bucket=bucket, Key="k", Body=data)
    assert answer["ETag"] == f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data
    assert sum(taken) > size // 2


def test_what_is_sealed_on_its_way_is_what_is_got(place: S3Place, bucket: str, taken: list[int]) -> None:
    s3, data = place.client(), content(7 * MIB + 5)
    own = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    s3.put_object(Bucket=bucket, Key="k", Body=data, **own)
    assert s3.get_object(Bucket=bucket, Key="k", **own)["Body"].read() == data
    assert sum(taken) > 3 * MIB


def test_many_at_once_are_all_whole(place: S3Place, bucket: str) -> None:
    sizes = [(2 + number % 5) * MIB + number for number in range(lending.MOST + 8)]

    def put(number: int) -> bool:
        s3, data = place.client(), content(sizes[number])
        s3.put_object(Bucket=bucket, Key=str(number), Body=data)
        return bool(s3.get_object(Bucket=bucket, Key=str(number))["Body"].read() == data)

    with ThreadPoolExecutor(len(sizes)) as pool:
        assert all(pool.map(put, range(len(sizes))))
    none_lent()


def test_one_whose_checksum_is_another_leaves_nothing(
    place: S3Place, s3: Any, bucket: str, refusal: Refusal, taken: list[int]
) -> None:
    before = place.blobs()
    wrong = {"Bucket": bucket, "Key": "k", "Body": content(5 * MIB), "ChecksumCRC32": "AAAAAA=="}
    assert refusal(s3.put_object, **wrong) == ("BadDigest", 400)
    assert sum(taken) > 2 * MIB
    assert place.blobs() <= before


@pytest.fixture
def full_at() -> Iterator[Callable[[int], None]]:
    """No file of this process may be longer than so many bytes: the disk refuses, as a full one does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fails_refuses_it_and_nothing_is_left(
    place: S3Place,
    s3: Any,
    bucket: str,
    refusal: Refusal,
    taken: list[int],
    full_at: Callable[[int], None],
) -> None:
    before = place.blobs()
    full_at(32 * MIB)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=content(48 * MIB))[1] in (500, 503)
    assert sum(taken) > 16 * MIB
    assert place.blobs() <= before
    none_lent()
    s3.put_object(Bucket=bucket, Key="k", Body=b"it goes on")
