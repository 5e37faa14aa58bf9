"""The device shadow: a document of desired and reported state, and what one request makes of it.

Owns: the rules of https://docs.aws.amazon.com/iot/latest/developerguide/device-shadow-document.html: merge, delta,
versions, metadata, limits, error codes and messages. Refuses to know: topics, storage, things, the clock (``now`` is
whole Unix seconds). Pure: a request gives a new ``Shadow`` and the documents to send, or a ``ShadowError``.

=============  =================================================================================
in a request   effect
=============  =================================================================================
``null``       removes the attribute; for a whole section, the section
an object      is merged, attribute by attribute
an array       replaces; it may not hold null
``version``    must be the current one, else 409
=============  =================================================================================

A deleted shadow leaves its version behind for 48 hours: who makes it again within them goes on counting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Json = Any
Section = dict[str, Json]

MAX_DOCUMENT: Final = 8 * 1024  # bytes of state; metadata does not count
ENVELOPE: Final = 8 * 1024  # bytes that a request may have beside its state
MAX_DEPTH: Final = 8
MAX_TOKEN: Final = 64
LONGER: Final = 8  # times as long may a value be when it is written again: 1e5, and 100000.0; never more than 24 for 3
REMEMBERED: Final = 48 * 3600  # seconds that the version of a deleted shadow is kept
SECTIONS: Final = ("desired", "reported")


class ShadowError(Exception):
    """A refusal. ``code`` is the HTTP status that AWS puts into the rejected document."""

    def __init__(self, code: int, message: str, client_token: str | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.client_token = client_token

    def document(self, now: int) -> dict[str, Json]:
        """What goes to ``…/rejected``."""
        return _with_token({"code": self.code, "message": self.message, "timestamp": now}, self.client_token)


@dataclass(frozen=True, slots=True)
class Shadow:
    """``deleted`` keeps the version of what is no longer there. Sections that are empty are absent."""

    version: int = 0
    state: dict[str, Section] = field(default_factory=dict)
    metadata: dict[str, Section] = field(default_factory=dict)
    timestamp: int = 0
    deleted: bool = False
    bound: int | None = field(default=None, compare=False)  # its state has no more bytes than this

    @property
    def exists(self) -> bool:
        return self.version > 0 and not self.deleted

    def to_json(self) -> dict[str, Json]:
        return {
            "version": self.version,
            "state": self.state,
            "metadata": self.metadata,
            "timestamp": self.timestamp,
            "deleted": self.deleted,
        }

    @classmethod
    def from_json(cls, found: dict[str, Json]) -> Shadow:
        return cls(**found)

    def document(self, now: int, client_token: str | None = None) -> dict[str, Json]:
        """The whole of it, delta included: the answer to a get."""
        state, metadata = dict(self.state), dict(self.metadata)
        difference = delta(self.state.get("desired"), self.state.get("reported"))
        if difference:
            state["delta"] = difference
            metadata["delta"] = _along(difference, self.metadata.get("desired", {}))
        return _with_token(
            {"state": state, "metadata": metadata, "version": self.version, "timestamp": now}, client_token
        )


NONE: Final = Shadow()


@dataclass(frozen=True, slots=True)
class Updated:
    """What an accepted update gives: what to store, and what to send to the topics of those names, made when it is
    asked for."""

    previous: Shadow
    shadow: Shadow
    request: Request

    @property
    def accepted(self) -> dict[str, Json]:
        """Only what was in the request, with the metadata of what it set."""
        request, new = self.request, self.shadow
        metadata = {
            name: _along(section, new.metadata[name])
            for name, section in request.state.items()
            if section and name in new.metadata
        }
        return _with_token(
            {"state": request.state, "metadata": metadata, "version": new.version, "timestamp": new.timestamp},
            request.client_token,
        )

    @property
    def documents(self) -> dict[str, Json]:
        def side(shadow: Shadow) -> dict[str, Json]:
            return {"state": shadow.state, "metadata": shadow.metadata, "version": shadow.version}

        return _with_token(
            {"previous": side(self.previous), "current": side(self.shadow), "timestamp": self.shadow.timestamp},
            self.request.client_token,
        )

    @property
    def delta(self) -> dict[str, Json] | None:
        """None: desired and reported agree."""
        new = self.shadow
        difference = delta(new.state.get("desired"), new.state.get("reported"))
        if not difference:
            return None
        return _with_token(
            {
                "version": new.version,
                "timestamp": new.timestamp,
                "state": difference,
                "metadata": _along(difference, new.metadata.get("desired", {})),
            },
            self.request.client_token,
        )


# ------------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Request:
    state: dict[str, Section | None]
    version: int | None
    client_token: str | None
    size: int  # bytes that it adds to a state at the most


def parse_update(payload: bytes, limit: int = MAX_DOCUMENT) -> Request:
    """``limit`` is that of the state. Raises ShadowError: 400, 413, 415."""
    if len(payload) > limit + ENVELOPE:
        raise ShadowError(413, "The payload exceeds the maximum size allowed")
    root = _parse(payload)
    token = _token(root)
    version = root.get("version")
    if version is not None and (type(version) is not int or version < 0):
        raise ShadowError(400, "Invalid version", token)
    if "state" not in root:
        raise ShadowError(400, "Missing required node: state", token)
    state = root["state"]
    if state is None:  # clears the shadow without deleting it
        return Request({"desired": None, "reported": None}, version, token, 0)
    if not isinstance(state, dict):
        raise ShadowError(400, "State node must be an object", token)
    for name, section in state.items():
        _check_section(name, section, token)
    return Request(state, version, token, len(payload) * LONGER)


def parse_token(payload: bytes) -> str | None:
    """The client token of a get or delete, whose payload is otherwise ignored. Raises ShadowError for a bad one."""
    try:
        found = _parse(payload)
    except ShadowError:
        return None
    return _token(found)


def _parse(payload: bytes) -> dict[str, Json]:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise ShadowError(415, "Unsupported documented encoding; supported encoding is UTF-8") from None
    try:
        root = _decode(text)
    except (ValueError, RecursionError):
        raise ShadowError(400, "Invalid JSON") from None
    if not isinstance(root, dict):
        raise ShadowError(400, "Invalid JSON")
    return root


def _refuse_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


_decode: Final = json.JSONDecoder(parse_constant=_refuse_number, parse_float=_finite).decode
_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def _token(root: dict[str, Json]) -> str | None:
    token = root.get("clientToken")
    if token is None:
        return None
    if not isinstance(token, str) or len(token.encode("utf-8", "surrogatepass")) > MAX_TOKEN:
        raise ShadowError(400, "Invalid clientToken")
    return token


def _check_section(name: str, section: Json, token: str | None) -> None:
    if name not in SECTIONS:
        raise ShadowError(400, f"State contains an invalid node: '{name}'", token)
    if section is not None and not isinstance(section, dict):
        raise ShadowError(400, f"{name.capitalize()} node must be an object", token)
    try:
        levels = _levels(section) if section else 0
    except _NullInArray:
        raise ShadowError(400, "State contains an invalid node: an array may not hold null", token) from None
    if levels > MAX_DEPTH:
        raise ShadowError(400, f"JSON contains too many levels of nesting; maximum is {MAX_DEPTH}", token)


class _NullInArray(ValueError):
    """An attribute is removed by null; an element cannot be."""


def _levels(value: dict[str, Json] | list[Json]) -> int:
    """Of objects and arrays in each other; an empty object is none. Raises _NullInArray."""
    if type(value) is dict:
        children: Iterable[Json] = value.values()
    elif None in value:
        raise _NullInArray
    else:
        children = value
    deepest = 0
    for child in children:
        if (type(child) is dict and child) or type(child) is list:
            deepest = max(deepest, _levels(child))
    return deepest + 1


# ----------------------------------------------------------------------------------------------- operations


def update(current: Shadow, request: Request, now: int, limit: int = MAX_DOCUMENT) -> Updated:
    """Raises ShadowError: 409 for another version, 413 when the result is too big."""
    if current.deleted and now - current.timestamp > REMEMBERED:
        current = NONE
    if request.version is not None and request.version != current.version:
        raise ShadowError(409, "Version conflict", request.client_token)
    state, metadata, stamp = dict(current.state), dict(current.metadata), {"timestamp": now}
    for name, section in request.state.items():
        state[name], metadata[name] = _merge(state.get(name, {}), metadata.get(name, {}), section, stamp)
        if not state[name]:
            del state[name], metadata[name]
    bound = _bound(current) + request.size
    if bound > limit:
        bound = len(_compact(state))
        if bound > limit:
            raise ShadowError(413, "The payload exceeds the maximum size allowed", request.client_token)
    return Updated(current, Shadow(current.version + 1, state, metadata, now, bound=bound), request)


def _bound(shadow: Shadow) -> int:
    return len(_compact(shadow.state)) if shadow.bound is None else shadow.bound


def get(current: Shadow, name: str, now: int, client_token: str | None = None) -> dict[str, Json]:
    """``name`` as errors show it: "thing", or "thing~shadow" for a named one. Raises ShadowError 404."""
    _require(current, name, client_token)
    return current.document(now, client_token)


def delete(current: Shadow, name: str, now: int, client_token: str | None = None) -> tuple[Shadow, dict[str, Json]]:
    """What remains, and the accepted document. Raises ShadowError 404."""
    _require(current, name, client_token)
    remains = Shadow(version=current.version, timestamp=now, deleted=True)
    return remains, _with_token({"version": current.version, "timestamp": now}, client_token)


def _require(current: Shadow, name: str, client_token: str | None) -> None:
    if not current.exists:
        raise ShadowError(404, f"No shadow exists with name: '{name}'", client_token)


def _with_token(document: dict[str, Json], client_token: str | None) -> dict[str, Json]:
    return document if client_token is None else {**document, "clientToken": client_token}


def _compact(value: Json) -> bytes:
    return _encode(value).encode("utf-8", "surrogatepass")


# --------------------------------------------------------------------------------------------------- merging


def _merge(old: Section, old_times: Section, change: Section | None, stamp: Json) -> tuple[Section, Section]:
    """A section after a change, and its metadata, which has the same shape with ``stamp`` for leaves."""
    if change is None:
        return {}, {}
    state, times = dict(old), dict(old_times)
    for name, value in change.items():
        if value is None:
            state.pop(name, None)
            times.pop(name, None)
        elif type(value) is dict:
            inside = state.get(name)
            before: tuple[Section, Section] = (inside, times[name]) if type(inside) is dict else ({}, {})
            state[name], times[name] = _merge(before[0], before[1], value, stamp)
        else:
            state[name], times[name] = value, stamp if type(value) is not list else _stamped(value, stamp)
    return state, times


def _stamped(value: Json, stamp: Json) -> Json:
    if isinstance(value, dict):
        return {name: _stamped(child, stamp) for name, child in value.items()}
    if isinstance(value, list):
        return [_stamped(child, stamp) for child in value]
    return stamp


def _along(shape: Section, metadata: Section) -> Section:
    """The metadata of the attributes that ``shape`` has; null has none."""
    return {
        name: _along(value, metadata[name]) if type(value) is dict else metadata[name]
        for name, value in shape.items()
        if value is not None
    }


def delta(desired: Section | None, reported: Section | None) -> Section:
    """What is desired and not so reported. What is only reported does not count; arrays compare as one value."""
    difference: Section = {}
    have = reported or {}
    for name, value in (desired or {}).items():
        if name not in have:
            difference[name] = value
        elif isinstance(value, dict) and isinstance(have[name], dict):
            if inner := delta(value, have[name]):
                difference[name] = inner
        elif not same(value, have[name]):
            difference[name] = value
    return difference


def same(left: Json, right: Json) -> bool:
    """JSON equality: true is not 1, at any depth."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)
