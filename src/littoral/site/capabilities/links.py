"""URLs of objects that whoever holds them may read for a while."""

from __future__ import annotations

import time
from urllib.parse import quote

from littoral.aws.identity import AccessKey
from littoral.aws.sign import presign


def presigned(base: str, bucket: str, key: str, seconds: int, by: AccessKey, region: str) -> str:
    url = f"{base}/{bucket}/{quote(key, safe='/~')}"
    return presign(url, access_key=by.id, secret=by.secret, region=region, now=time.time(), seconds=seconds)
