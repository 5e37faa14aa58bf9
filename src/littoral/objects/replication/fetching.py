"""Objects asked back from where they were replicated to: what the scrub mends damage with, and whose bytes lie there
only.

A version is asked for by its id, which another Littoral keeps; a bucket of another kind of endpoint, or of this place,
has ids of its own, so there the current object is asked for, if it has the ETag or the checksum. What comes is not
trusted here: the scrub holds it against the checksums of what was lost.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from urllib.parse import quote

from littoral.aws.service import ServiceError
from littoral.aws.sign import sign
from littoral.net.client import ClientResponse, HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.objects.checksums import ALGORITHMS
from littoral.objects.cold import ARCHIVES
from littoral.objects.conditions import Span
from littoral.objects.content import Shelf
from littoral.objects.encryption import AES, Keys
from littoral.objects.facts import Stored
from littoral.objects.index import Index
from littoral.objects.replication.rules import rules_of
from littoral.objects.replication.targets import Elsewhere
from littoral.objects.tiering.rows import Away
from littoral.objects.versions import NULL
from littoral.store.contract import NotFound, StorageAway

SUMS_SHOWN = MappingProxyType({"x-amz-checksum-mode": "ENABLED"})


class Destinations:
    """The buckets that a bucket replicates to. Implements the scrub's ``Replica``."""

    def __init__(self, index: Index, shelf: Shelf, keys: Keys) -> None:
        self._index, self._shelf, self._keys = index, shelf, keys
        self.far: Mapping[str, FarBucket] = {}

    async def fetch(self, stored: Stored) -> AsyncIterator[bytes] | None:
        """Raises StorageAway where it breaks off."""
        for target in self._targets(stored.bucket, stored.key):
            far = self.far.get(target)
            found = self._here(target, stored) if far is None else await far.fetch(stored)
            if found is not None:
                return found
        return None

    def _targets(self, bucket: str, key: str) -> Sequence[str]:
        """Those elsewhere first."""
        kept = self._index.bucket(bucket).replication
        fitting = [rule.target for rule in rules_of(kept) if key.startswith(rule.prefix)] if kept is not None else []
        return sorted(dict.fromkeys(fitting), key=lambda target: target not in self.far)

    def _here(self, target: str, damaged: Stored) -> AsyncIterator[bytes] | None:
        """A replica at this place shares blobs, unless it was written by itself."""
        try:
            stored = self._index.get(target, damaged.key)
        except ServiceError:
            return None
        if stored.content.etag != damaged.content.etag:
            return None
        data_key = self._keys.opened(stored.facts.encryption, None)
        return self._shelf.read(stored.content, Span(0, stored.content.size), data_key)


class FarBucket:
    """A bucket of another S3 endpoint, to read from."""

    def __init__(
        self, client: HttpClient, place: Elsewhere, bucket: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client, self._place, self._clock = client, place, clock
        self._base = f"{place.url.rstrip('/')}/{bucket}"

    async def reach(self) -> None:
        """Whoever may not list the bucket is answered, too. Raises StorageAway."""
        try:
            response = await self._ask("HEAD", self._base, patience=10.0)
        except RequestFailed as problem:
            raise StorageAway(str(problem)) from problem
        response.release()
        if response.status not in (401, 403):
            _check_well(response)
        if response.status == 404:
            raise StorageAway(f"there is no {self._base}")

    async def fetch(self, stored: Stored) -> AsyncIterator[bytes] | None:
        """None where there is no such thing, or nobody answers."""
        version, etag = stored.version, stored.content.etag
        queries = ["", *([f"?versionId={quote(version, safe='')}"] if version is not None else [])]
        for query in reversed(queries):
            try:
                response = await self._ask("GET", f"{self._url(stored.key)}{query}", SUMS_SHOWN)
            except RequestFailed:
                return None
            named = (response.headers.get("etag") or "").strip('"') == etag
            if response.status == 200 and (named or _same(stored, response.headers)):
                return _chunks(response)
            response.release()
        return None

    async def confirm(self, stored: Stored) -> tuple[str, str] | None:
        """Id and ETag there of that version, where the far side says that it is the same by a checksum, and will be
        until somebody removes it: "null" is overwritten by the next write, and an archive gives nothing out. Raises
        StorageAway."""
        for query in (f"?versionId={quote(stored.version or '', safe='')}", ""):
            try:
                response = await self._ask("HEAD", f"{self._url(stored.key)}{query}", SUMS_SHOWN)
            except RequestFailed as problem:
                raise StorageAway(str(problem)) from problem
            response.release()
            _check_well(response)
            version = response.headers.get("x-amz-version-id")
            stays = version not in (None, NULL) and response.headers.get("x-amz-storage-class") not in ARCHIVES
            if response.status == 200 and version and stays and _same(stored, response.headers):
                return version, (response.headers.get("etag") or "").strip('"')
        return None

    async def span(self, away: Away, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Raises NotFound where that version is no more, StorageAway."""
        first = away.offset + offset
        wanted = {"if-match": f'"{away.etag}"', "range": f"bytes={first}-{first + length - 1}"}
        try:
            url = f"{self._url(away.key)}?versionId={quote(away.version, safe='')}"
            response = await self._ask("GET", url, wanted)
        except RequestFailed as problem:
            raise StorageAway(str(problem)) from problem
        if response.status != 206:
            response.release()
            if response.status < 400:  # to who asks for a part of a version
                raise StorageAway(f"{response.status} from above")
            raise NotFound(f"{away.key} is no more in {away.target}, which had it: {response.status}")
        async with aclosing(_chunks(response)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _url(self, key: str) -> str:
        return f"{self._base}/{quote(key, safe='/-_.~')}"

    async def _ask(
        self, method: str, url: str, wanted: Mapping[str, str] = MappingProxyType({}), patience: float = 60.0
    ) -> ClientResponse:
        headers = Headers.of(list(wanted.items()))
        credentials = self._place.credentials()
        sign(
            method,
            url,
            headers,
            access_key=credentials.key,
            secret=credentials.secret,
            token=credentials.token,
            service="s3",
            region=self._place.region,
            now=self._clock(),
        )
        return await self._client.request(method, url, headers=headers, read_timeout=patience)


def _check_well(response: ClientResponse) -> None:
    """Raises StorageAway: who sends elsewhere is not the place above, but what stands between (a hotel's page)."""
    if response.status >= 500 or 300 <= response.status < 400 or response.status in (401, 403, 408, 429):
        raise StorageAway(f"{response.status} from above")


def _same(stored: Stored, there: Headers) -> bool:
    """By the checksum that both keep, else by the ETag where it is of the bytes (MD5, or of parts) on both sides."""
    if there.get("content-length") != str(stored.content.size):
        return False
    checksum = stored.facts.checksum
    if checksum is not None and (said := there.get(ALGORITHMS[checksum.algorithm].header)):
        return said == checksum.value
    kept = stored.facts.encryption
    of_bytes = (kept is None or kept.kind == AES) and there.get("x-amz-server-side-encryption") in (None, AES)
    return of_bytes and (there.get("etag") or "").strip('"') == stored.content.etag


async def _chunks(response: ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async with response:
            async for chunk in response.body:
                yield chunk
    except BodyError as problem:
        raise StorageAway(f"the replica broke off: {problem}") from problem
