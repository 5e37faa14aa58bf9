"""Which parts of a request a statement's answer depends on, and how such a part is found in a view.

A part is named by a text: ``path``, ``header user-agent``. ``reads`` says None for a statement that depends on more
than the request's head (bodies, labels, the geo database), or that leaves something behind: it is asked every time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter
from typing import Any

from littoral.edge.waf.view import View

Document = Mapping[str, Any]
Part = Callable[[View], Hashable]
_OF_FIELDS = {
    "UriPath": "path",
    "QueryString": "query",
    "SingleQueryArgument": "query",
    "AllQueryArguments": "query",
    "Method": "method",
    "Cookies": "header cookie",
    "Headers": "headers",
    "HeaderOrder": "headers",
    "UriFragment": "target",
}
_MATCHES = frozenset(
    (
        "ByteMatchStatement",
        "RegexMatchStatement",
        "RegexPatternSetReferenceStatement",
        "SizeConstraintStatement",
        "SqliMatchStatement",
        "XssMatchStatement",
    )
)


def reads(statement: Document) -> frozenset[str] | None:
    """The names of the parts."""
    ((kind, setting),) = statement.items()
    if kind == "NotStatement":
        return reads(setting["Statement"])
    if kind in {"AndStatement", "OrStatement"}:
        found = [reads(each) for each in setting["Statements"]]
        known = [each for each in found if each is not None]
        return frozenset().union(*known) if len(known) == len(found) else None
    if kind == "IPSetReferenceStatement":
        forwarded = setting.get("IPSetForwardedIPConfig")
        return frozenset((_header(forwarded["HeaderName"]) if forwarded else "address",))
    if kind not in _MATCHES:
        return None
    ((field, chosen),) = setting["FieldToMatch"].items()
    if field == "SingleHeader":
        return frozenset((_header(chosen["Name"]),))
    return frozenset((_OF_FIELDS[field],)) if field in _OF_FIELDS else None


def needs_label(statement: Document) -> bool:
    """Whether it can match no request without labels."""
    ((kind, setting),) = statement.items()
    if kind == "AndStatement":
        return any(map(needs_label, setting["Statements"]))
    if kind == "OrStatement":
        return all(map(needs_label, setting["Statements"]))
    return kind == "LabelMatchStatement"


def leaves_label(statement: Document) -> bool:
    """Whether asking it may leave labels, as looking for the place of an address does."""
    ((kind, setting),) = statement.items()
    within = [setting[each] for each in ("Statement", "ScopeDownStatement") if each in setting]
    inner = setting.get("Statements") or within
    return kind in {"GeoMatchStatement", "AsnMatchStatement"} or any(map(leaves_label, inner))


def _header(name: str) -> str:
    return f"header {name.lower()}"


def part(name: str) -> Part:
    """Raises KeyError."""
    kind, _, header = name.partition(" ")
    if kind == "header":
        wanted = header.encode()
        return lambda view: view.header(wanted)
    parts: Mapping[str, Part] = {
        "path": attrgetter("path"),
        "query": attrgetter("query"),
        "method": attrgetter("request.method"),
        "address": attrgetter("ip"),
        "headers": lambda view: tuple(view.raw),
        "target": attrgetter("request.target"),
    }
    return parts[kind]
