"""Forms of the query protocol: ``Filter.1.Value.member.2=x`` as a tree, then by the shape. Results are XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from littoral.aws.wire.scalars import text_reader
from littoral.aws.wire.unreadable import Beyond, Unreadable

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

ENVELOPE = frozenset(("Action", "Version"))  # what every form says beside its operation's members
DEEPEST = 64  # names within names; what is beyond is in no model, and a megabyte of dots is no reason for as many nodes


@dataclass(slots=True)
class Node:
    """What a form says under one name."""

    text: str | None = None
    parts: dict[str, Node] = field(default_factory=dict)

    def numbered(self) -> list[Node]:
        """The parts that are numbers, in their order."""
        numbers = [key for key in self.parts if key.isascii() and key.isdigit() and len(key) <= 6]
        return [self.parts[key] for key in sorted(numbers, key=int)]


NOTHING = Node()
Reader = Callable[[Node], Any]  # None where there is nothing of it


def tree(form: Mapping[str, str]) -> Node:
    root = Node()
    for name, text in form.items():
        if name in ENVELOPE or name.startswith("X-Amz-"):  # the latter of a presigned one
            continue
        node = root
        for part in name.split(".", DEEPEST):
            node = node.parts.setdefault(part, Node())
        node.text = text
    return root


class Readers:
    """Of one model's shapes."""

    def __init__(self) -> None:
        self._structures: dict[str, Reader] = {}

    def value(self, shape: Shape) -> Reader:
        kind = shape.type_name
        if kind == "structure":
            read = self.structure(shape)
            return lambda node: read(node) if node.parts else None
        if kind == "list":
            return _list_reader(self.value(shape.member), _wrapped(shape, shape.member, "member"))
        if kind == "map":
            key_name = shape.key.serialization.get("name", "key")
            value_name = shape.value.serialization.get("name", "value")
            base = "" if shape.serialization.get("flattened") else "entry"
            return _map_reader(key_name, value_name, self.value(shape.value), base)
        read_text = text_reader(shape)
        return lambda node: None if node.text is None else read_text(node.text)

    def structure(self, shape: Shape) -> Reader:
        known = self._structures.get(shape.name)
        if known is None:
            table: list[tuple[str, str, Reader]] = []
            known = self._structures[shape.name] = _table_reader(table)
            table += [
                (name, str(member.serialization.get("name", name)), self.value(member))
                for name, member in shape.members.items()
            ]
        return known


def _wrapped(shape: Shape, member: Shape, name: str) -> str:
    return "" if shape.serialization.get("flattened") else str(member.serialization.get("name", name))


def _table_reader(table: list[tuple[str, str, Reader]]) -> Reader:
    def read(node: Node) -> dict[str, Any]:
        found = {}
        for name, wire, member in table:
            part = node.parts.get(wire)
            if part is not None:
                try:
                    value = member(part)
                except Unreadable as problem:
                    raise problem.inside(name) from None
                if value is not None:
                    found[name] = value
        if len(found) < len(node.parts):  # seldom
            _look_beyond(node, {wire for _, wire, _ in table})
        return found

    return read


def _look_beyond(node: Node, known: set[str]) -> None:
    for wire, part in node.parts.items():
        if wire not in known and (part.text or part.parts):
            raise Beyond(wire)


def _list_reader(item: Reader, base: str) -> Reader:
    def read(node: Node) -> list[Any] | None:
        holder = node.parts.get(base) if base else node
        items = holder.numbered() if holder is not None else []
        return [value for each in items if (value := item(each)) is not None] or None

    return read


def _map_reader(key_name: str, value_name: str, value: Reader, base: str) -> Reader:
    def read(node: Node) -> dict[str, Any] | None:
        holder = node.parts.get(base) if base else node
        pairs = {}
        for entry in holder.numbered() if holder is not None else []:
            key, given = entry.parts.get(key_name, NOTHING), entry.parts.get(value_name, NOTHING)
            found = value(given)
            if found is not None:
                pairs[key.text or ""] = found
        return pairs or None

    return read
