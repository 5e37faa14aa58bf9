"""Ids of requests: UUIDs of RFC 9562's version 4 form, made with every call and every event.

One names a request and guards nothing, so it need not cost a system call, nor new randomness each time.
"""

from __future__ import annotations

import itertools
import os
from random import getrandbits

_RUN = 0xFFFF  # so many ids and one share the random bits behind their first group
_STRIDE = 0x9E3779B1  # odd, so that its multiples are all different; large, so that ids in a row do not look alike
_next = itertools.count(1).__next__
_end = ""


def _renew() -> None:
    global _end  # noqa: PLW0603 - an attribute of an object would be another look-up for every id
    text = f"{getrandbits(88):022x}"
    _end = f"-{text[:4]}-4{text[4:7]}-a{text[7:10]}-{text[10:]}"


_renew()
os.register_at_fork(after_in_child=_renew)


def new_request_id() -> str:
    number = _next()
    if not number & _RUN:
        _renew()
    return "%08x%s" % (number * _STRIDE & 0xFFFFFFFF, _end)  # noqa: UP031 - two thirds of what an f-string takes
