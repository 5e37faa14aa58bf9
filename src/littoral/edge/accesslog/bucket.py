"""The region's buckets, as an edge location reaches them: a signed PutObject at the region's API."""

from __future__ import annotations

import time
from urllib.parse import quote

from littoral.aws.sign import sign
from littoral.edge.accesslog.delivery import NotDelivered
from littoral.edge.upstream import Credentials
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers


class RegionBuckets:
    def __init__(self, client: HttpClient, url: str, credentials: Credentials, region: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._region = region

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        """Durable when it returns. Raises NotDelivered."""
        url = f"{self._url}/{bucket}/{quote(key, safe='/-_.~')}"
        headers = Headers.of([("content-type", "application/x-gzip"), ("content-length", str(len(data)))])
        sign(
            "PUT",
            url,
            headers,
            access_key=self._credentials.id,
            secret=self._credentials.secret,
            service="s3",
            region=self._region,
            now=time.time(),
            payload=data,
        )
        try:
            response = await self._client.request("PUT", url, headers=headers, body=data, read_timeout=30.0)
            async with response:
                said = await response.body.read(64 * 1024)
        except (RequestFailed, BodyError) as problem:
            raise NotDelivered(f"{bucket}: {problem}") from problem
        if response.status != 200:
            raise NotDelivered(f"{bucket}: {response.status} {said[:200].decode(errors='replace')}")
