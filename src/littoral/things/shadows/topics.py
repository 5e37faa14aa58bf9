"""The reserved topics of shadows: ``$aws/things/{thing}/shadow[/name/{shadow}]/{get,update,delete}`` and answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from littoral.things.names import SHADOW_NAME, THING_NAME

CLASSIC: Final = ""  # the name of the unnamed shadow

_REQUEST = re.compile(
    rf"\$aws/things/(?P<thing>{THING_NAME.pattern})/shadow(?:/name/(?P<name>{SHADOW_NAME.pattern}))?"
    r"/(?P<operation>get|update|delete)"
)


@dataclass(frozen=True, slots=True)
class ShadowRequest:
    thing: str
    name: str  # CLASSIC for the unnamed one
    operation: str  # "get", "update" or "delete"


def parse_topic(topic: str) -> ShadowRequest | None:
    """None when a publication to this topic asks nothing of a shadow."""
    match = _REQUEST.fullmatch(topic)
    return None if match is None else ShadowRequest(match["thing"], match["name"] or CLASSIC, match["operation"])


def prefix(thing: str, name: str = CLASSIC) -> str:
    return f"$aws/things/{thing}/shadow/name/{name}" if name else f"$aws/things/{thing}/shadow"
