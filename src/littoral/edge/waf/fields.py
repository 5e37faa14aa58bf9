"""FieldToMatch: which values of a request a statement looks at.

``values_of`` compiles one to a function of a view. It returns the values, or True or False where oversize handling or
a fallback decides the match without looking ("Handling oversize web request components" in the AWS WAF guide).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from littoral.edge.waf import jsonbody
from littoral.edge.waf.transformations import Transformation
from littoral.edge.waf.view import Pair, View, pairs_of
from littoral.edge.waf.work import A_LOOK, BEGINNING, Exhausted

Values = Callable[[View], "Sequence[bytes] | bool"]
Document = Mapping[str, Any]
FINGERPRINTS = frozenset(("JA3Fingerprint", "JA4Fingerprint"))
MOST_BYTES, MOST_HEADERS = 8192, 200  # of headers, and of cookies


class UnknownField(ValueError):
    """No field to match that is known here."""


def values_of(field: Document, pre_parse: Transformation | None = None, times: int = 1) -> Values:
    """``times`` is how often a body is gone over for the statement. Raises UnknownField."""
    ((kind, setting),) = field.items()
    if kind == "SingleHeader":
        return _single_header(setting["Name"].lower().encode())
    if kind in {"SingleQueryArgument", "AllQueryArguments"}:
        return _arguments(setting["Name"].lower().encode() if setting else None, pre_parse)
    simple: dict[str, Values] = {
        "UriPath": lambda view: (view.path,),
        "QueryString": lambda view: (view.query,),
        "Method": lambda view: (view.request.method.encode(),),
    }
    if kind in simple:
        return simple[kind]
    makers: dict[str, Callable[[Document], Values]] = {
        "Body": lambda setting: _body(setting, times),
        "JsonBody": lambda setting: _json(setting, times),
        "Headers": _headers,
        "Cookies": _cookies,
        "HeaderOrder": _header_order,
        "JA3Fingerprint": lambda setting: _fingerprint(setting, lambda view: view.request.peer.ja3),
        "JA4Fingerprint": lambda setting: _fingerprint(setting, lambda view: view.request.peer.ja4),
        "UriFragment": _fragment,
    }
    if kind not in makers:
        raise UnknownField(kind)
    return makers[kind](setting or {})


def looks_at_body(field: Document) -> bool:
    return "Body" in field or "JsonBody" in field


def _single_header(name: bytes) -> Values:
    def values(view: View) -> Sequence[bytes]:
        value = view.header(name)
        return () if value is None else (value,)

    return values


def _arguments(name: bytes | None, pre_parse: Transformation | None) -> Values:
    def values(view: View) -> Sequence[bytes]:
        if not view.query:
            return ()
        pairs = view.arguments if pre_parse is None else pairs_of(pre_parse(view.query))
        if name is None:
            return [value for _, value in pairs]
        return [value for key, value in pairs if key.lower() == name]

    return values


def _oversize(setting: Document) -> bool | None:
    """What oversize handling decides; None is "go on with what is there"."""
    return {"MATCH": True, "NO_MATCH": False}.get(setting.get("OversizeHandling", "CONTINUE"))


def _fallback(setting: Document) -> bool:
    return setting.get("FallbackBehavior") == "MATCH"


def _body(setting: Document, times: int) -> Values:
    """A body that has cost as much as one may is oversize from then on: its beginning only is looked at."""
    decided = _oversize(setting)

    def values(view: View) -> Sequence[bytes] | bool:
        if view.truncated and decided is not None:
            return decided
        try:
            view.spend(len(view.body) * times)
        except Exhausted:
            return (view.body[:BEGINNING],) if decided is None else decided
        return (view.body,)

    return values


def _json(setting: Document, times: int) -> Values:
    decided, invalid = _oversize(setting), setting.get("InvalidFallbackBehavior")
    scope, paths = setting["MatchScope"], setting["MatchPattern"].get("IncludedPaths")

    def taken(item: jsonbody.Item, view: View) -> bool:
        view.spend(len(item.text) * times + A_LOOK)
        if scope != "ALL" and item.is_key != (scope == "KEY"):
            return False
        if paths is None:
            return True
        place = item.path
        view.spend(len(place))
        return any(path in ("/", place) or place.startswith(path + "/") for path in paths)

    def values(view: View) -> Sequence[bytes] | bool:
        if view.truncated and decided is not None:
            return decided
        if not view.body:
            return ()
        found: list[bytes] = []
        try:
            found.extend(item.text for item in jsonbody.items(view.body) if taken(item, view))
        except jsonbody.Broken:
            if invalid == "EVALUATE_AS_STRING":
                return (view.body,)
            if invalid in {"MATCH", "NO_MATCH"}:
                return bool(invalid == "MATCH")
        except Exhausted:
            return found if decided is None else decided
        return found

    return values


def _names(pattern: Document, included: str, excluded: str) -> Callable[[bytes], bool]:
    """Which names a match pattern takes."""
    if included in pattern:
        wanted = frozenset(name.lower().encode() for name in pattern[included])
        return wanted.__contains__
    unwanted = frozenset(name.lower().encode() for name in pattern.get(excluded, ()))
    return (lambda name: name not in unwanted) if unwanted else (lambda _name: True)


def _within(pairs: Sequence[Pair]) -> tuple[Sequence[Pair], bool]:
    """What is inspected of headers or cookies, and whether there was more."""
    if len(pairs) <= MOST_HEADERS and sum(len(name) + len(value) for name, value in pairs) <= MOST_BYTES:
        return pairs, False
    kept, room = [], MOST_BYTES
    for name, value in pairs[:MOST_HEADERS]:
        if room <= 0:
            break
        kept.append((name[:room], value[: max(0, room - len(name))]))
        room -= len(name) + len(value)
    return kept, True


def _map(setting: Document, included: str, excluded: str, pairs: Callable[[View], Sequence[Pair]]) -> Values:
    decided, scope = _oversize(setting), setting["MatchScope"]
    takes = _names(setting["MatchPattern"], included, excluded)

    def values(view: View) -> Sequence[bytes] | bool:
        kept, oversize = _within(pairs(view))
        if oversize and decided is not None:
            return decided
        found: list[bytes] = []
        for name, value in kept:
            if takes(name.lower()):
                if scope != "VALUE":
                    found.append(name)
                if scope != "KEY":
                    found.append(value)
        return found

    return values


def _headers(setting: Document) -> Values:
    return _map(setting, "IncludedHeaders", "ExcludedHeaders", lambda view: view.raw)


def _cookies(setting: Document) -> Values:
    return _map(setting, "IncludedCookies", "ExcludedCookies", lambda view: view.cookies)


def _header_order(setting: Document) -> Values:
    decided = _oversize(setting)

    def values(view: View) -> Sequence[bytes] | bool:
        kept, oversize = _within(view.raw)
        return decided if oversize and decided is not None else (b":".join(name for name, _ in kept),)

    return values


def _fingerprint(setting: Document, get: Callable[[View], str]) -> Values:
    """Of the viewer's ClientHello. There is none without TLS, behind a front, and on a connection that is older than
    the first rule that asks: the fallback decides."""
    decided = _fallback(setting)

    def values(view: View) -> Sequence[bytes] | bool:
        found = get(view)
        return (found.encode(),) if found else decided

    return values


def _fragment(setting: Document) -> Values:
    decided = _fallback(setting)

    def values(view: View) -> Sequence[bytes] | bool:
        fragment = view.request.target.partition("#")[2]
        return (fragment.encode("latin-1", "replace"),) if fragment else decided

    return values


class SizeTest:
    """Whether the length of any of the values, after their transformations, ``fits``. ``plain``: it may match a plain
    query."""

    __slots__ = ("_fits", "_transform", "_values", "plain")

    def __init__(self, values: Values, transform: Transformation, fits: Callable[[int], bool], *, plain: bool) -> None:
        self._values = values
        self._transform = transform
        self._fits = fits
        self.plain = plain

    def __call__(self, view: View) -> bool:
        found = self._values(view)
        return found if isinstance(found, bool) else any(self._fits(len(self._transform(value))) for value in found)
