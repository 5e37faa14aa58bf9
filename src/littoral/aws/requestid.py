"""Ids of requests: random UUIDs (version 4), made with every call and every event.

One names a request and guards nothing, so it need not cost a system call.
"""

from __future__ import annotations

import random

_VERSION_4 = 0x4 << 76 | 0x8 << 60  # the bits of a UUID that say which kind it is, in the places of its number
_RANDOM = ~(0xF << 76 | 0xC << 60)  # and all others


def new_request_id() -> str:
    text = f"{random.getrandbits(128) & _RANDOM | _VERSION_4:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
