"""Ids of requests: random UUIDs (version 4), made with every call and every event.

One names a request and guards nothing, so it need not cost a system call.
"""

from __future__ import annotations

from random import getrandbits


def new_request_id() -> str:
    """120 bits of it are random; that it is of RFC 9562's version 4 and variant is written out."""
    text = getrandbits(120).to_bytes(15, "little").hex()
    return f"{text[:8]}-{text[8:12]}-4{text[12:15]}-a{text[15:18]}-{text[18:]}"
