"""Clients that change objects until their place dies, and look afterwards whether all is as they were told.

boto3, a thread a worker, keys of its own for each, in a bucket that keeps versions and in one that does not: puts of
all sizes, copies, deletes (also of versions), uploads in parts that are completed, aborted or left for the next round.
What a content must be follows from its name, which is in its metadata.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from littoral.drills.ledger import Plain, Upload, Versions

BUCKETS = {"plain": False, "kept": True}  # and whether it keeps versions
SIZES = (0, 100, 5_000, 5_000, 40_000, 40_000, 700_000, 2_500_000)
KEYS = 6  # a worker and bucket
MOST_VERSIONS = 5  # of a key, until some are removed
PART = 5 * 1024 * 1024  # the least size of a part that is not the last


class Gone(Exception):
    """The place did not answer, or not surely before it died."""


def content(name: str) -> bytes:
    """No two blocks of it are alike."""
    size = PART + 70_000 if name.startswith("large") else SIZES[zlib.crc32(name.encode()) % len(SIZES)]
    return random.Random(name).randbytes(size)


class Worker:
    """``run`` until the place dies, ``check`` when it is back, under the same address."""

    def __init__(self, client: Any, number: int, seed: int, doubtful: Callable[[], bool]) -> None:
        self._client = client
        self._number = number
        self._chance = random.Random(f"{seed}/{number}")
        self._doubtful = doubtful
        self._count = 0
        self._touched: set[tuple[str, str]] = set()
        self._plain = {f"w{number}/{n}": Plain() for n in range(KEYS)}
        self._kept = {f"w{number}/{n}": Versions() for n in range(KEYS)}
        self._uploads: dict[str, Upload] = {}
        self.acknowledged = 0
        self.problems: list[str] = []

    # ------------------------------------------------------------------------------------------- changes

    def run(self) -> None:
        try:
            while True:
                self._step()
        except Gone:
            pass
        except ClientError as refused:
            self.problems.append(f"w{self._number}: {refused}")

    def _step(self) -> None:
        key = f"w{self._number}/{self._chance.randrange(KEYS)}"
        bucket = self._chance.choice(list(BUCKETS))
        held = self._kept[key]
        if bucket == "kept" and len(held.certain) > MOST_VERSIONS:
            self._remove_version(key, held)
            return
        steps = (self._put, self._put, self._put, self._delete, self._copy, self._copy, self._upload, self._go_on)
        self._chance.choice(steps)(bucket, key)

    def _ask(self, operation: str, **members: Any) -> Any:
        """Raises Gone, ClientError for what is refused."""
        try:
            answer = getattr(self._client, operation)(**members)
        except ClientError as problem:
            if problem.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise Gone from problem
            raise
        except (BotoCoreError, HTTPClientError, OSError) as problem:
            raise Gone from problem
        if self._doubtful():
            raise Gone
        self.acknowledged += 1
        return answer

    def _name(self, kind: str = "small") -> str:
        self._count += 1
        return f"{kind}-{self._number}-{self._count}"

    def _change(self, bucket: str, key: str, name: str | None, operation: str, **members: Any) -> None:
        """One that makes ``name`` the content of the key."""
        self._touched.add((bucket, key))
        held: Plain | Versions = self._kept[key] if BUCKETS[bucket] else self._plain[key]
        held.begin(name)
        answer = self._ask(operation, Bucket=bucket, Key=key, **members)
        if isinstance(held, Plain):
            held.settle()
        else:
            held.settle(answer["VersionId"])

    def _put(self, bucket: str, key: str) -> None:
        name = self._name()
        self._change(bucket, key, name, "put_object", Body=content(name), Metadata={"name": name})

    def _delete(self, bucket: str, key: str) -> None:
        self._change(bucket, key, None, "delete_object")

    def _copy(self, bucket: str, key: str) -> None:
        """From another key of the bucket that keeps none: its blobs are shared then."""
        sources = [(source, held.certain) for source, held in self._plain.items() if held.certain is not None]
        if sources:
            source, name = self._chance.choice(sources)
            if bucket != "plain" or source != key:
                self._change(bucket, key, name, "copy_object", CopySource={"Bucket": "plain", "Key": source})

    def _remove_version(self, key: str, held: Versions) -> None:
        self._touched.add(("kept", key))
        version = self._chance.choice(list(held.certain))
        held.begin_removal(version)
        self._ask("delete_object", Bucket="kept", Key=key, VersionId=version)
        held.settle_removal(version)

    # ------------------------------------------------------------------------------------------- uploads

    def _upload(self, bucket: str, key: str) -> None:
        """Into the bucket that keeps none: begun, and gone on with later."""
        name = self._name("large" if self._chance.random() < 0.1 else "small")
        begun = self._ask("create_multipart_upload", Bucket="plain", Key=key, Metadata={"name": name})
        self._uploads[begun["UploadId"]] = Upload(key, name)
        self._go_on(bucket, key)

    def _go_on(self, bucket: str, key: str) -> None:
        """The next part of some upload, or its end."""
        if not self._uploads:
            return
        upload_id, upload = self._chance.choice(list(self._uploads.items()))
        data = content(upload.name)
        number = len(upload.parts) + 1
        rest = data[PART * (number - 1) : PART * number]
        of = {"Bucket": "plain", "Key": upload.key, "UploadId": upload_id}
        if self._chance.random() < 0.1:
            upload.ending = True
            self._ask("abort_multipart_upload", **of)
            del self._uploads[upload_id]
        elif rest or number == 1:
            upload.parts[number] = self._ask("upload_part", **of, PartNumber=number, Body=rest)["ETag"]
        else:
            self._complete(upload_id, upload)

    def _complete(self, upload_id: str, upload: Upload) -> None:
        upload.ending = True
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in upload.parts.items()]
        self._change(
            *("plain", upload.key, upload.name, "complete_multipart_upload"),
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
        del self._uploads[upload_id]

    # -------------------------------------------------------------------------------------------- checks

    def check(self, *, all_keys: bool = False) -> None:
        """What was touched since the last check, or everything; what is wrong is added to ``problems``."""
        keys = self._touched
        if all_keys:
            keys = {(bucket, key) for bucket in BUCKETS for key in self._plain}
        for bucket, key in sorted(keys):
            found = self._check_versions(key) if BUCKETS[bucket] else self._plain[key].check(self._seen(bucket, key))
            self.problems += [f"{bucket}/{key}: {each}" for each in found]
        for upload_id, upload in list(self._uploads.items()):
            seen = self._parts(upload_id, upload)
            self.problems += upload.check(seen)
            if seen is None:
                del self._uploads[upload_id]
            else:
                upload.ending = False
        self._touched = set()

    def _check_versions(self, key: str) -> list[str]:
        listed = self._client.list_object_versions(Bucket="kept", Prefix=key)
        markers: dict[str, str | None] = {row["VersionId"]: None for row in listed.get("DeleteMarkers", ())}
        versions = [row["VersionId"] for row in listed.get("Versions", ())]
        seen = markers | {each: self._seen("kept", key, VersionId=each) for each in versions}
        rows = [*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())]
        newest = next((row["VersionId"] for row in rows if row["IsLatest"]), None)
        wrong = self._kept[key].check(seen, newest)
        current = self._seen("kept", key)
        shown = None if newest is None else seen[newest]
        return wrong if current == shown else [*wrong, f"{current} is the current one, not {shown}"]

    def _seen(self, bucket: str, key: str, **version: str) -> str | None:
        """The name of what is there; what is not whole has one that nobody wrote."""
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key, **version)
        except ClientError as refused:
            if refused.response["Error"]["Code"] == "NoSuchKey":
                return None
            return f"an error: {refused}"
        data = answer["Body"].read()
        name = str(answer["Metadata"]["name"])
        return name if data == content(name) else f"{name} torn ({len(data)} bytes)"

    def _parts(self, upload_id: str, upload: Upload) -> dict[int, str] | None:
        try:
            found = self._client.list_parts(Bucket="plain", Key=upload.key, UploadId=upload_id)
        except ClientError as refused:
            if refused.response["Error"]["Code"] == "NoSuchUpload":
                return None
            raise
        return {part["PartNumber"]: part["ETag"] for part in found.get("Parts", ())}


def make_buckets(client: Any) -> None:
    for bucket, versioned in BUCKETS.items():
        client.create_bucket(Bucket=bucket)
        if versioned:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


class Load:
    """Some workers, each in a thread of its own. ``client`` asks once and does not try again; what is answered while
    ``doubtful`` is not held to."""

    def __init__(self, client: Any, workers: int, seed: int, doubtful: Callable[[], bool] = lambda: False) -> None:
        self._workers = [Worker(client, number, seed, doubtful) for number in range(workers)]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._threads = [threading.Thread(target=worker.run) for worker in self._workers]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """When the place is gone."""
        for thread in self._threads:
            thread.join()

    def check(self, *, all_keys: bool = False) -> None:
        """What was touched since the last check, or everything."""
        for worker in self._workers:
            worker.check(all_keys=all_keys)

    @property
    def acknowledged(self) -> int:
        return sum(worker.acknowledged for worker in self._workers)

    @property
    def problems(self) -> list[str]:
        return [problem for worker in self._workers for problem in worker.problems]
