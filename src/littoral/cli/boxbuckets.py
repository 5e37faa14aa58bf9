"""What an import leaves on its box: the buckets there that its job does not name."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from littoral.aws.sign import sign
from littoral.aws.wire.xmlbody import BadDocument, load
from littoral.cli.transfer import End, How
from littoral.net.client import HttpClient, RequestFailed
from littoral.net.message import BodyError, Headers

MOST: Final = 16 * 1024 * 1024  # bytes of the answer


async def beside(http: HttpClient, box: End, how: How, named: Collection[str]) -> list[str]:
    """Names. Raises OSError where the box does not say."""
    url, headers, keys = f"{box.url.rstrip('/')}/", Headers(), box.keys
    sign(
        "GET",
        url,
        headers,
        access_key=keys.access,
        secret=keys.secret,
        service="s3",
        region=keys.region,
        now=time.time(),
    )
    try:
        response = await http.request("GET", url, headers=headers, tls=box.tls, read_timeout=how.patience)
        async with response:
            document = load(await response.body.read(MOST))
    except (RequestFailed, BodyError, BadDocument) as problem:
        raise OSError(f"{box.url} did not say which buckets it has: {problem}") from problem
    if response.status != 200:
        raise OSError(f"{box.url} did not say which buckets it has: {document.findtext('Code')}")
    found = [one.text or "" for one in document.iterfind("{*}Buckets/{*}Bucket/{*}Name")]
    return [name for name in found if name not in named]
