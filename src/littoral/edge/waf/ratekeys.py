"""What a rate-based rule counts by: the aggregation key of a request, or none.

``key_of`` compiles the statement's settings. A request that lacks a part of the key is not counted, as at AWS.
``told_of`` makes what a log says of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from littoral.edge.geo import Locator
from littoral.edge.waf.addresses import address_of
from littoral.edge.waf.transformations import WAF, Transformation, chain
from littoral.edge.waf.view import View

Document = Mapping[str, Any]
Key = Callable[[View], "Hashable | bool | None"]  # True: limited without counting; None, False: not counted
Part = Callable[[View], "str | bytes | bool | None"]  # True, None: as of a key, whatever the other parts are


def key_of(statement: Document, locator: Locator) -> Key:
    """Raises KeyError for a kind of key that is not there."""
    kind = statement["AggregateKeyType"]
    if kind == "IP":
        return lambda view: view.ip
    if kind == "FORWARDED_IP":
        return address_of(statement["ForwardedIPConfig"])
    if kind == "CONSTANT":
        return lambda _view: "constant"
    parts = [_part(each, statement, locator) for each in statement["CustomKeys"]]

    def custom(view: View) -> Hashable | bool | None:
        found = tuple(part(view) for part in parts)
        if None in found:
            return None
        return True if True in found else found

    return custom


LOGGED = {
    "Header": "HEADER",
    "Cookie": "COOKIE",
    "QueryArgument": "QUERY_ARGUMENT",
    "QueryString": "QUERY_STRING",
    "UriPath": "URI_PATH",
    "HTTPMethod": "HTTP_METHOD",
    "IP": "IP",
    "ForwardedIP": "FORWARDED_IP",
    "ASN": "ASN",
    "JA3Fingerprint": "JA3_FINGERPRINT",
    "JA4Fingerprint": "JA4_FINGERPRINT",
    "LabelNamespace": "LABEL_NAMESPACE",
}
LONGEST_LOGGED = 32  # characters of a value


def told_of(name: str, statement: Document, locator: Locator) -> Callable[[View], dict[str, Any]]:
    """An entry of a log's ``rateBasedRuleList``, for a request that the rule acted on."""
    kind = statement["AggregateKeyType"]
    common = {
        "rateBasedRuleId": name,
        "rateBasedRuleName": name,
        "limitKey": "CUSTOMKEYS" if kind == "CUSTOM_KEYS" else kind,
        "maxRateAllowed": int(statement["Limit"]),
        "evaluationWindowSec": str(statement.get("EvaluationWindowSec") or 300),
    }
    if kind == "CONSTANT":
        return lambda _view: common
    if kind != "CUSTOM_KEYS":
        key = key_of(statement, locator)
        return lambda view: {**common, "limitValue": found if isinstance(found := key(view), str) else "INVALID"}
    parts: list[tuple[dict[str, str], Part]] = []
    for each in statement["CustomKeys"]:
        ((part, setting),) = each.items()
        called = setting.get("Name") or setting.get("Namespace")
        parts.append(({"key": LOGGED[part], **({"name": called} if called else {})}, _part(each, statement, locator)))
    return lambda view: {
        **common,
        "customValues": [{**said, "value": _shown(part(view))} for said, part in parts],
    }


def _shown(value: str | bytes | bool | None) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    return (value if isinstance(value, str) else value.decode("latin-1"))[:LONGEST_LOGGED]


def _transform(setting: Document) -> Transformation:
    steps = sorted(setting["TextTransformations"], key=lambda each: int(each["Priority"]))
    return chain([step["Type"] for step in steps], WAF)


def _part(key: Document, statement: Document, locator: Locator) -> Part:
    ((kind, setting),) = key.items()
    makers: dict[str, Callable[[], Part]] = {
        "Header": lambda: _text(lambda view: view.header(setting["Name"].lower().encode()), setting),
        "Cookie": lambda: _text(lambda view: _named(view.cookies, setting["Name"], exact=True), setting),
        "QueryArgument": lambda: _text(lambda view: _named(view.arguments, setting["Name"]), setting),
        "QueryString": lambda: _text(lambda view: view.query, setting),
        "UriPath": lambda: _text(lambda view: view.path, setting),
        "HTTPMethod": lambda: lambda view: view.request.method,
        "IP": lambda: lambda view: view.ip,
        "ForwardedIP": lambda: _forwarded(statement["ForwardedIPConfig"]),
        "ASN": lambda: lambda view: locator.locate(view.ip).asn or None,
        "JA3Fingerprint": lambda: _fingerprint(lambda view: view.request.peer.ja3, setting),
        "JA4Fingerprint": lambda: _fingerprint(lambda view: view.request.peer.ja4, setting),
        "LabelNamespace": lambda: _labels(setting["Namespace"]),
    }
    return makers[kind]()


def _text(get: Callable[[View], bytes | None], setting: Document) -> Part:
    transform = _transform(setting)

    def part(view: View) -> bytes | None:
        value = get(view)
        return None if value is None else transform(value)

    return part


def _named(pairs: list[tuple[bytes, bytes]], name: str, exact: bool = False) -> bytes | None:
    wanted = name.encode() if exact else name.lower().encode()
    return next((value for key, value in pairs if (key if exact else key.lower()) == wanted), None)


def _forwarded(config: Document) -> Part:
    address = address_of(config)

    def part(view: View) -> str | None:
        found = address(view)
        return found if isinstance(found, str) else None

    return part


def _fingerprint(get: Callable[[View], str], setting: Document) -> Part:
    without = True if setting["FallbackBehavior"] == "MATCH" else None
    return lambda view: get(view) or without


def _labels(namespace: str) -> Part:
    """The labels of the namespace, joined; none is no key."""

    def part(view: View) -> str | None:
        found = sorted(label for label in view.labels if label.startswith(namespace))
        return ",".join(found) if found else None

    return part
