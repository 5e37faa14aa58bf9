"""Members of a REST operation outside the body: in path, query and headers of a request, headers and status of a
response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from littoral.aws.wire import jsonbody
from littoral.aws.wire.parts import Parts
from littoral.aws.wire.scalars import TextReader, TextWriter, from_base64, text_reader, text_writer, to_base64
from littoral.aws.wire.unreadable import Unreadable
from littoral.net.message import Response

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

_CHANGEABLE = frozenset(("list", "map", "structure"))  # values that who is given them might change
MOST_KEPT = 256  # ways to ask for one operation that are remembered
SHORT = 512  # characters of one

Reader = Callable[[Parts, dict[str, Any]], None]  # puts what it finds
Writer = Callable[[Any, Response], None]


def located(members: Mapping[str, Shape]) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Those outside the body, those in it."""
    outside = {name: member for name, member in members.items() if member.serialization.get("location")}
    return outside, {name: member for name, member in members.items() if name not in outside}


def _wire(shape: Shape, name: str) -> str:
    return str(shape.serialization.get("name", name))


# ------------------------------------------------------------------------------------------------- reading


def readers(members: Mapping[str, Shape]) -> list[Reader]:
    """One for each place where any of these members is."""
    by_place: dict[str, dict[str, Shape]] = {}
    for name, member in members.items():
        by_place.setdefault(member.serialization["location"], {})[name] = member
    return [_PLACES[place](those) for place, those in by_place.items()]


def remembered(members: Mapping[str, Shape]) -> Reader:
    """One for all of them. A client's calls have the same outside the body again and again: where it is a path and
    headers, it is read once."""
    by_place = readers(members)
    places = {member.serialization["location"] for member in members.values()}
    if not places <= {"uri", "header", "querystring"} or any(
        member.type_name in _CHANGEABLE or member.serialization.get("jsonvalue") for member in members.values()
    ):
        return _one_by_one(by_place)
    names = [
        _wire(member, name).lower().encode()
        for name, member in members.items()
        if member.serialization["location"] == "header"
    ]
    none_of = frozenset(names).isdisjoint
    kept: dict[tuple[str | bytes | None, ...], dict[str, Any]] = {}

    def read(parts: Parts, found: dict[str, Any]) -> None:
        fields = parts.fields
        key: tuple[str | bytes | None, ...] = tuple(parts.labels.values())
        if not none_of(fields):
            key += tuple(map(fields.get, names))
        known = kept.get(key) if not parts.query else None
        if known is not None:
            found.update(known)
            return
        for reader in by_place:
            reader(parts, found)
        if not parts.query and sum(map(len, filter(None, key))) <= SHORT:
            if len(kept) >= MOST_KEPT:
                kept.clear()
            kept[key] = found.copy()

    return read


def _one_by_one(by_place: list[Reader]) -> Reader:
    def read(parts: Parts, found: dict[str, Any]) -> None:
        for reader in by_place:
            reader(parts, found)

    return read


def _path_reader(members: Mapping[str, Shape]) -> Reader:
    table = [(name, _wire(member, name), text_reader(member)) for name, member in members.items()]

    def read(parts: Parts, found: dict[str, Any]) -> None:
        labels = parts.labels
        for name, wire, reader in table:
            if wire in labels:
                try:
                    found[name] = reader(labels[wire])
                except Unreadable as problem:
                    raise problem.inside(name) from None

    return read


def _header_reader(members: Mapping[str, Shape]) -> Reader:
    table = {_wire(member, name).lower().encode(): (name, _header(member)) for name, member in members.items()}
    none_of = frozenset(table).isdisjoint

    def read(parts: Parts, found: dict[str, Any]) -> None:
        if none_of(parts.fields):
            return
        for key, value in parts.fields.items():
            if key in table:
                name, reader = table[key]
                try:
                    found[name] = reader(value.decode("latin-1"))
                except Unreadable as problem:
                    raise problem.inside(name) from None

    return read


def _header(member: Shape) -> TextReader:
    if member.serialization.get("jsonvalue"):
        return lambda text: jsonbody.load(from_base64(text))
    if member.type_name == "list":
        item = text_reader(member.member)
        return lambda text: [item(part.strip()) for part in text.split(",")]
    return text_reader(member)


def _prefix_reader(members: Mapping[str, Shape]) -> Reader:
    table = [(name, _wire(member, name).lower().encode()) for name, member in members.items()]

    def read(parts: Parts, found: dict[str, Any]) -> None:
        for name, prefix in table:
            pairs = {
                key[len(prefix) :].decode("latin-1"): value.decode("latin-1")
                for key, value in parts.fields.items()
                if key.startswith(prefix)
            }
            if pairs:
                found[name] = pairs

    return read


def _query_reader(members: Mapping[str, Shape]) -> Reader:
    table = [(name, _query(member, _wire(member, name))) for name, member in members.items()]

    def read(parts: Parts, found: dict[str, Any]) -> None:
        if not parts.query:
            return
        for name, reader in table:
            try:
                value = reader(parts.query)
            except Unreadable as problem:
                raise problem.inside(name) from None
            if value is not None:
                found[name] = value

    return read


def _query(member: Shape, wire: str) -> Callable[[Iterable[tuple[str, str]]], Any]:
    if member.type_name == "map":
        return _gathered if member.value.type_name == "list" else lambda query: dict(query) or None
    if member.type_name == "list":
        item = text_reader(member.member)
        return lambda query: [item(value) for key, value in query if key == wire] or None
    read = text_reader(member)
    return lambda query: next((read(value) for key, value in query if key == wire), None)


def _gathered(query: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    pairs: dict[str, list[str]] = {}
    for key, value in query:
        pairs.setdefault(key, []).append(value)
    return pairs


_PLACES: dict[str, Callable[[Mapping[str, Shape]], Reader]] = {
    "uri": _path_reader,
    "header": _header_reader,
    "headers": _prefix_reader,
    "querystring": _query_reader,
}


# ------------------------------------------------------------------------------------------------- writing


def writer(member: Shape, name: str) -> Writer:
    place, wire = member.serialization["location"], _wire(member, name)
    if place == "statusCode":
        return _status
    if place == "headers":
        return _prefix_writer(wire)
    name_of_it = wire.lower().encode()
    if member.type_name in ("integer", "long"):
        return _number_writer(name_of_it)
    text = _header_text(member)
    return _text_writer(name_of_it) if text is str else _header_writer(name_of_it, text)


def _status(value: Any, response: Response) -> None:
    response.status = int(value)


def _prefix_writer(prefix: str) -> Writer:
    def write(value: Mapping[str, Any], response: Response) -> None:
        for key, text in value.items():
            response.headers.raw.append(((prefix + key).lower().encode("latin-1"), header_value(str(text))))

    return write


def _header_text(member: Shape) -> TextWriter:
    if member.serialization.get("jsonvalue"):
        return lambda value: to_base64(jsonbody.dump(value))
    if member.type_name == "list":
        item = text_writer(member.member, "rfc822")
        return lambda value: ", ".join(map(item, value))
    return text_writer(member, "rfc822")


def _number_writer(wire: bytes) -> Writer:
    def write(value: Any, response: Response) -> None:
        response.headers.raw.append((wire, b"%d" % value))

    return write


def _text_writer(wire: bytes) -> Writer:
    def write(value: Any, response: Response) -> None:
        text = str(value)
        plain = text.isascii() and text.isprintable()
        response.headers.raw.append((wire, text.encode() if plain else header_value(text)))

    return write


def _header_writer(wire: bytes, text: TextWriter) -> Writer:
    def write(value: Any, response: Response) -> None:
        response.headers.raw.append((wire, header_value(text(value))))

    return write


def header_value(text: str) -> bytes:
    """A header holds Latin-1 without line ends; what else there is travels percent-encoded."""
    if text.isascii() and text.isprintable():
        return text.encode()
    text = text.replace("\r", " ").replace("\n", " ")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return quote(text).encode()
