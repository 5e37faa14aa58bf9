"""Parts and objects by way of the store's spool, through a real gateway."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from awscrt import checksums
from botocore.exceptions import ClientError

from littoral.store.spool import SUMS, Tray
from littoral.store.sums import BLOCK, Summing
from tests.objects.conftest import S3Place

DATA = os.urandom(5 * 1024 * 1024 + 2 * BLOCK + 17)


def sums_of(data: bytes) -> bytes:
    summing = Summing()
    summing.update(data)
    return summing.finish()


def crc_of(data: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8)).decode()


@pytest.fixture
def tray(place: S3Place) -> Iterator[Tray]:
    with Tray.within(place.served.folder / "store" / "spool") as made:
        assert made is not None
        yield made


def laid(tray: Tray, data: bytes = DATA) -> Path:
    file = tray.place()
    file.write_bytes(data)
    return file


@pytest.fixture
def spooled(place: S3Place) -> Callable[..., Any]:
    """A client whose parts and heads name a place in a tray."""

    def client(named: str) -> Any:
        def names(request: Any, **_: Any) -> None:
            request.headers["x-littoral-spool"] = named
            request.headers["x-littoral-etag"] = "checksum"

        made = place.client(request_checksum_calculation="when_required")
        for operation in ("UploadPart", "HeadObject"):
            made.meta.events.register(f"before-sign.s3.{operation}", names)
        return made

    return client


def begun(s3: Any, bucket: str, key: str = "a", **more: Any) -> dict[str, Any]:
    made = s3.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="CRC64NVME", **more)
    return {"Bucket": bucket, "Key": key, "UploadId": made["UploadId"]}


def test_a_part_is_a_file_that_lay_in_the_spool(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    upload, before = begun(s3, bucket, Metadata={"n": "1"}), place.blobs()
    files = [laid(tray), laid(tray, DATA[:1000])]
    inodes = {file.stat().st_ino for file in files}
    parts = []
    for number, (file, data) in enumerate(zip(files, (DATA, DATA[:1000]), strict=True), 1):
        told = spooled(Tray.name(file)).upload_part(
            **upload, PartNumber=number, Body=sums_of(data), ChecksumCRC64NVME=crc_of(data)
        )
        assert told["ChecksumCRC64NVME"] == crc_of(data)
        assert not file.exists()
        parts.append({"PartNumber": number, "ETag": told["ETag"], "ChecksumCRC64NVME": crc_of(data)})
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["Size"], part["ChecksumCRC64NVME"]) for part in listed] == [
        (len(data), crc_of(data)) for data in (DATA, DATA[:1000])
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    there = s3.get_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert there["Body"].read() == DATA + DATA[:1000]
    assert there["ChecksumCRC64NVME"] == crc_of(DATA + DATA[:1000])
    assert there["Metadata"] == {"n": "1"}
    folder = place.served.folder / "store" / "blobs" / "objects"
    assert {(folder / name).stat().st_ino for name in place.blobs() - before} == inodes


def test_what_was_written_otherwise_than_it_is_said_is_never_given_out(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    upload = begun(s3, bucket)
    other = bytes([DATA[0] ^ 1]) + DATA[1:]
    told = spooled(Tray.name(laid(tray, other))).upload_part(
        **upload, PartNumber=1, Body=sums_of(DATA), ChecksumCRC64NVME=crc_of(DATA)
    )
    part = {"PartNumber": 1, "ETag": told["ETag"], "ChecksumCRC64NVME": crc_of(DATA)}
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    with pytest.raises(ClientError, match="damaged"):
        s3.get_object(Bucket=bucket, Key="a")


def test_what_cannot_be_taken_so_is_refused_and_stays(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    upload, before, file = begun(s3, bucket), place.blobs(), laid(tray)
    sent = {"PartNumber": 1, "Body": sums_of(DATA), "ChecksumCRC64NVME": crc_of(DATA)}
    client, stranger = spooled(Tray.name(file)), spooled(f"{'0' * 32}/1")
    plain = place.client(request_checksum_calculation="when_required")
    plain.meta.events.register(
        "before-sign.s3.UploadPart",
        lambda request, **_: request.headers.add_header("x-littoral-spool", Tray.name(file)),
    )
    sealed = begun(s3, bucket, "sealed", ServerSideEncryption="AES256")
    none = begun(s3, bucket, "none")
    s3.abort_multipart_upload(**none)
    for asks, code in (
        (lambda: stranger.upload_part(**upload, **sent), "NotSpooled"),
        (lambda: client.upload_part(**upload, **(sent | {"Body": sent["Body"][:-4]})), "NotSpooled"),
        (lambda: client.upload_part(**upload, **(sent | {"Body": bytes(1024 * 1024)})), "EntityTooLarge"),
        (lambda: client.upload_part(**upload, PartNumber=1, Body=sums_of(DATA)), "NotSpooled"),  # no checksum
        (lambda: plain.upload_part(**upload, **sent), "NotSpooled"),  # its ETag shall be an MD5
        (lambda: client.upload_part(**sealed, **sent), "NotSpooled"),
        (lambda: client.upload_part(**none, **sent), "NoSuchUpload"),
        (lambda: client.upload_part(**upload, **(sent | {"PartNumber": 10_001})), "InvalidArgument"),
        (lambda: client.upload_part(**upload, **(sent | {"ChecksumCRC64NVME": "x"})), "InvalidRequest"),
    ):
        with pytest.raises(ClientError) as refused:
            asks()
        assert refused.value.response["Error"]["Code"] == code
    assert file.read_bytes() == DATA
    assert place.blobs() == before
    assert s3.list_parts(**upload).get("Parts", []) == []


def test_who_may_not_write_there_may_not_so_either(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    upload, file = begun(s3, bucket), laid(tray)
    client = spooled(Tray.name(file))
    client._request_signer._credentials.secret_key = "another"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.upload_part(**upload, PartNumber=1, Body=sums_of(DATA), ChecksumCRC64NVME=crc_of(DATA))
    assert file.read_bytes() == DATA


def test_an_object_is_laid_out_in_its_pieces(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    upload = begun(s3, bucket)
    parts = []
    for number, data in enumerate((DATA, DATA[:100_000]), 1):
        told = s3.upload_part(**upload, PartNumber=number, Body=data, ChecksumCRC64NVME=crc_of(data))
        parts.append({"PartNumber": number, "ETag": told["ETag"], "ChecksumCRC64NVME": crc_of(data)})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    folder = tray.place()
    asked = partial(spooled(Tray.name(folder)).head_object, Bucket=bucket, Key="a")
    told = asked()
    assert told["ResponseMetadata"]["HTTPHeaders"]["x-littoral-spool"] == Tray.name(folder)
    assert told["ContentLength"] == len(DATA) + 100_000
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    assert [file.read_bytes() for file in files] == [DATA, DATA[:100_000]]
    assert (folder / SUMS).read_bytes() == sums_of(DATA) + sums_of(DATA[:100_000])
    s3.delete_object(Bucket=bucket, Key="a")
    assert files[0].read_bytes() == DATA


def test_what_cannot_be_laid_out_is_told_of_as_ever(
    place: S3Place, s3: Any, bucket: str, tray: Tray, spooled: Callable[..., Any]
) -> None:
    s3.put_object(Bucket=bucket, Key="small", Body=b"in the index")
    s3.put_object(Bucket=bucket, Key="sealed", Body=DATA, ServerSideEncryption="AES256")
    s3.put_object(Bucket=bucket, Key="large", Body=DATA)
    folder = tray.place()
    for key, named, more in (
        ("small", Tray.name(folder), {}),
        ("sealed", Tray.name(folder), {}),
        ("large", Tray.name(folder), {"Range": "bytes=0-1"}),
        ("large", "0" * 32 + "/1", {}),
        ("large", "../../x", {}),
    ):
        told = spooled(named).head_object(Bucket=bucket, Key=key, **more)
        assert "x-littoral-spool" not in told["ResponseMetadata"]["HTTPHeaders"]
        assert not folder.exists()
    with pytest.raises(ClientError) as refused:
        spooled(Tray.name(folder)).head_object(Bucket=bucket, Key="none")
    assert refused.value.response["Error"]["Code"] == "404"
    with pytest.raises(ClientError) as refused:
        spooled(Tray.name(folder)).head_object(Bucket=bucket, Key="large", IfMatch='"other"')
    assert refused.value.response["Error"]["Code"] == "412"
    assert not folder.exists()
