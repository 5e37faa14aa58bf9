"""The routes of REST services: which operation a method and a path stand for."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from littoral.aws import models

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import OperationModel


@dataclass(frozen=True, slots=True)
class Route:
    """How one operation of a REST service is told from the others."""

    operation: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    literal_query: tuple[tuple[str, str | None], ...]  # "?uploads" → ("uploads", None); "?list-type=2"
    required_query: frozenset[str]
    required_headers: frozenset[str]
    deprecated: bool
    literals: int  # characters of the path that are not labels: more is more specific


@cache
def routes(service: str) -> dict[str, list[Route]]:
    """The routes of a REST service by HTTP method, the most specific path first."""
    found: dict[str, list[Route]] = {}
    model = models.service_model(service)
    for name in model.operation_names:
        route = _route(service, model.operation_model(name))
        found.setdefault(route.method, []).append(route)
    for each in found.values():
        each.sort(key=lambda route: -route.literals)
    return found


# labels that take slashes though the model does not say so: devices send topics as they are
GREEDY = {("iot-data", "topic")}


def _route(service: str, operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    labels: list[str] = []
    pattern, literals = "", 0
    for piece in re.split(r"(\{[^}]+\})", path):
        if piece.startswith("{"):
            greedy = piece.endswith("+}") or (service, piece.strip("{}")) in GREEDY
            labels.append(piece.strip("{}+"))
            pattern += "(.+)" if greedy else "([^/]+)"
        else:
            pattern += re.escape(piece)
            literals += len(piece)
    literal = tuple(
        (name, value or None) for name, _, value in (part.partition("=") for part in query.split("&") if part)
    )
    required: dict[str, set[str]] = {"querystring": set(), "header": set()}
    shape = operation.input_shape
    for member in shape.required_members if shape else ():
        place = shape.members[member].serialization
        if place.get("location") in required:
            required[place["location"]].add(place.get("name", member).lower())
    return Route(
        operation.name,
        operation.http["method"],
        re.compile(f"^{pattern}/?$" if not path.endswith("}") else f"^{pattern}$", re.DOTALL),
        tuple(labels),
        literal,
        frozenset(required["querystring"]),
        frozenset(required["header"]),
        operation.deprecated,
        literals,
    )


@cache
def literals(service: str) -> dict[str, frozenset[str]]:
    """The names, without values, that each operation has in its query to be told by."""
    return {
        route.operation: frozenset(name for name, value in route.literal_query if value is None)
        for each in routes(service).values()
        for route in each
    }


def only_route(service: str, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """What ``match`` finds whatever the query and the headers are: where the path is one operation's alone. None where
    it must be asked."""
    found = _on_path(service, method, path).routes
    if len(found) != 1 or found[0][0].literal_query:
        return None
    route, labels = found[0]
    return route.operation, labels.copy()


def bare_route(service: str, method: str, path: str, fields: Collection[bytes]) -> tuple[str, dict[str, str]] | None:
    """What ``match`` finds where there is no query. Of the headers only those count that a route of the path requires,
    so what was found before is found again."""
    found = _on_path(service, method, path)
    telling = found.telling.intersection(fields) if found.telling else found.telling
    known = found.bare.get(telling)
    if known is None:
        known = match(service, method, path, {}, {name.decode("latin-1") for name in telling})
        if known is None:
            return None
        found.bare[telling] = known
    return known[0], known[1].copy()


def match(
    service: str, method: str, path: str, query: dict[str, str], headers: set[str]
) -> tuple[str, dict[str, str]] | None:
    """The operation that a REST request asks for, and its path labels, decoded.

    Of the routes whose path and literal query agree, those with the most of it: who names a sub-resource means nothing
    else. Of them the one whose required query and headers are all there and are most; where none has all, the one that
    lacks least, so that validation can say what is missing.
    """
    best: tuple[tuple[int, ...], Route, dict[str, str]] | None = None
    lower = {name.lower() for name in query}
    for route, labels in _on_path(service, method, path).routes:
        if not all(name in query and (value is None or query[name] == value) for name, value in route.literal_query):
            continue
        lacking = len(route.required_query - lower) + len(route.required_headers - headers)
        constraints = len(route.required_query) + len(route.required_headers)
        rank = (len(route.literal_query), -lacking, route.literals, constraints, not route.deprecated)
        if best is None or rank > best[0]:
            best = rank, route, labels
    if best is None:
        return None
    return best[1].operation, dict(best[2])


@dataclass(frozen=True, slots=True)
class OnPath:
    """The routes that a path fits, with its labels decoded."""

    routes: list[tuple[Route, dict[str, str]]]
    telling: frozenset[bytes]  # the headers that one of them requires
    bare: dict[frozenset[bytes], tuple[str, dict[str, str]]]  # what was found without a query, by those that came


@lru_cache(maxsize=4096)
def _on_path(service: str, method: str, path: str) -> OnPath:
    """Kept: a hot function's path is asked for all the time, and matching it against every route of its service took
    40 µs. Of S3's routes many have the same form, which is tried once."""
    found: list[tuple[Route, dict[str, str]]] = []
    tried: dict[tuple[re.Pattern[str], tuple[str, ...]], dict[str, str] | None] = {}
    for route in routes(service).get(method, ()):
        form = route.path, route.labels
        if form not in tried:
            match_ = route.path.match(path)
            values = [] if match_ is None else [unquote(value) for value in match_.groups()]
            tried[form] = None if match_ is None else dict(zip(route.labels, values, strict=True))
        labels = tried[form]
        if labels is not None:
            found.append((route, labels))
    telling = frozenset(name.encode("latin-1") for route, _ in found for name in route.required_headers)
    return OnPath(found, telling, {})
