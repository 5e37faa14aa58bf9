"""JSON documents of a shape, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from littoral.aws.wire.scalars import BITS, as_moment, from_base64, in_range, moment_of, time_text, to_base64
from littoral.aws.wire.unreadable import Beyond, Unreadable, bounded

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

Reader = Callable[[Any], Any]
Writer = Callable[[Any], Any]
Members = Mapping[str, "Shape"]
TYPE = "__type"  # what some write into a structure: the name of its shape
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def load(data: bytes) -> Any:
    if not data.strip():
        return {}
    try:
        text = data.decode()
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # half of a surrogate pair is no character: kept, it would break every later answer that names it
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"could not be parsed as JSON: {problem}") from problem
    return value


def dump(value: Any) -> bytes:
    return _encode(value).encode()


# ------------------------------------------------------------------------------------------------- reading


class Readers:
    """Of one model's shapes."""

    def __init__(self) -> None:
        self._structures: dict[str, Reader] = {}

    def value(self, shape: Shape) -> Reader:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return _list_reader(self.value(shape.member))
        if kind == "map":
            return _map_reader(self.value(shape.value))
        if kind in BITS:
            return _integer_reader(kind)
        return _READERS[kind]

    def _structure(self, shape: Shape) -> Reader:
        if getattr(shape, "is_document_type", False):
            return _same
        known = self._structures.get(shape.name)
        if known is None:
            table: list[tuple[str, str, Reader]] = []
            known = _table_reader(table)
            self._structures[shape.name] = bounded(known)  # for what is within it
            table += self._table(shape.members)
            self._structures[shape.name] = known
        return known

    def members(self, members: Members, elsewhere: Members) -> Reader:
        """Of those members that are in the body. What is elsewhere may be said there once more, for nothing."""
        return _table_reader(self._table(members), frozenset(elsewhere))

    def _table(self, members: Members) -> list[tuple[str, str, Reader]]:
        return [(name, member.serialization.get("name", name), self.value(member)) for name, member in members.items()]


def _table_reader(table: list[tuple[str, str, Reader]], ignored: frozenset[str] = frozenset()) -> Reader:
    """The table may be filled later."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unreadable("must be an object")
        found = {}
        for name, wire, member in table:
            given = value.get(wire)
            if given is not None:
                try:
                    found[name] = member(given)
                except Unreadable as problem:
                    raise problem.inside(name) from None
        if len(found) < len(value):  # seldom: most say no more than the model has
            _look_beyond(value, ignored.union(wire for _, wire, _ in table))
        return found

    return read


def _look_beyond(value: dict[str, Any], known: frozenset[str]) -> None:
    """Empty values say nothing, of members that are known neither (``registry.arguments``)."""
    for name, given in value.items():
        if name not in known and name != TYPE and given not in (None, "", [], {}):
            raise Beyond(name)


def _list_reader(item: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Unreadable("must be a list")
        found = []
        for at, each in enumerate(value):
            if each is not None:
                try:
                    found.append(item(each))
                except Unreadable as problem:
                    raise problem.inside(f"[{at}]") from None
        return found

    return read


def _map_reader(item: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unreadable("must be an object")
        found = {}
        for key, each in value.items():
            if each is not None:
                try:
                    found[key] = item(each)
                except Unreadable as problem:
                    raise problem.inside(key) from None
        return found

    return read


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Unreadable("must be of type string")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Unreadable("must be of type boolean")


def _integer_reader(kind: str) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unreadable(f"must be of type {kind}")
        return in_range(kind, value)

    return read


def _real(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise Unreadable("is not within the range of its type, double") from None
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return float(value)
    raise Unreadable("must be of type double")


def _blob(value: Any) -> bytes:
    return from_base64(_text(value))


_READERS: dict[str, Reader] = {
    "string": _text,
    "character": _text,
    "boolean": _flag,
    "float": _real,
    "double": _real,
    "blob": _blob,
    "timestamp": moment_of,
}


# ------------------------------------------------------------------------------------------------- writing


class Writers:
    """Of one model's shapes. What a result holds beyond its shape is left out."""

    def __init__(self) -> None:
        self._structures: dict[str, Writer] = {}

    def value(self, shape: Shape) -> Writer:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            item = self.value(shape.member)
            return lambda value: [item(each) for each in value]
        if kind == "map":
            entry = self.value(shape.value)
            return lambda value: {key: entry(each) for key, each in value.items()}
        if kind == "timestamp":
            return _time_writer(shape.serialization.get("timestampFormat", "unixTimestamp"))
        return _WRITERS.get(kind, _same)

    def _structure(self, shape: Shape) -> Writer:
        if getattr(shape, "is_document_type", False):
            return _same
        known = self._structures.get(shape.name)
        if known is None:
            table: dict[str, tuple[str, Writer]] = {}
            known = self._structures[shape.name] = _table_writer(table)
            table |= self._table(shape.members)
        return known

    def members(self, members: Members) -> Writer:
        """Of those members that are in the body."""
        return _table_writer(self._table(members))

    def _table(self, members: Members) -> dict[str, tuple[str, Writer]]:
        return {name: (member.serialization.get("name", name), self.value(member)) for name, member in members.items()}


def _table_writer(table: Mapping[str, tuple[str, Writer]]) -> Writer:
    def write(value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, each in value.items():
            if each is not None and name in table:
                wire, member = table[name]
                found[wire] = member(each)
        return found

    return write


def _time_writer(format_: str) -> Writer:
    def write(value: Any) -> Any:
        moment = as_moment(value)
        if format_ != "unixTimestamp":
            return time_text(moment, format_)
        stamp = round(moment.timestamp(), 3)
        return int(stamp) if stamp.is_integer() else stamp

    return write


def _number(value: Any) -> Any:
    return "NaN" if value != value else value  # noqa: PLR0124 - JSON has no word for it


_WRITERS: dict[str, Writer] = {"blob": to_base64, "float": _number, "double": _number}
