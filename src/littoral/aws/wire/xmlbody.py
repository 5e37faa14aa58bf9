"""XML documents of a shape, both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from littoral.aws.escaping import escape, quoteattr
from littoral.aws.wire.scalars import text_reader, text_writer
from littoral.aws.wire.unreadable import Beyond, Unreadable, bounded

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import Shape

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_UNSAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PLAIN = re.compile("[^\x00-\x08\x0b-\x1f\ufffe\uffff&<>]*").fullmatch  # what stands in a document as it is
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

Element = ElementTree.Element
Children = Mapping[str, list[Element]]  # by local name
Reader = Callable[[Element], Any]
MemberReader = Callable[[Element, Children], Any]  # None where the member is not there
Writer = Callable[[Any], str]
Content = Callable[[Mapping[str, Any]], tuple[str, str]]  # attributes, inner


class BadDocument(Unreadable):
    """What is no well-formed XML, or not the document that was expected."""

    def __str__(self) -> str:
        return f"XML: {self.says}"


def load(data: bytes) -> Element:
    try:
        text = data.decode("utf-8-sig")  # a document type in UTF-16 would not be seen below
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise BadDocument("a document type is not taken")
        return ElementTree.fromstring(text)  # noqa: S314 - no DTD, so no entities, gets here
    except (ElementTree.ParseError, UnicodeDecodeError) as problem:
        raise BadDocument(f"it is not well-formed: {problem}") from problem


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _renamed(shape: Shape, name: str) -> str:
    return str(shape.serialization.get("name", name))


# ------------------------------------------------------------------------------------------------- reading


class Readers:
    """Of one model's shapes. ``name`` is the member's, for what is said of it."""

    def __init__(self) -> None:
        self._structures: dict[str, Reader] = {}

    def value(self, shape: Shape, name: str) -> Reader:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return _list_reader(self.value(shape.member, name), _renamed(shape.member, "member"), name)
        if kind == "map":
            entry = self._entry(shape, name)
            return lambda element: dict(map(entry, element))
        return _scalar_reader(text_reader(shape), name)

    def _structure(self, shape: Shape) -> Reader:
        known = self._structures.get(shape.name)
        if known is None:
            table: list[tuple[str, MemberReader]] = []
            wires: set[str] = set()
            known = _table_reader(table, wires)
            self._structures[shape.name] = bounded(known)  # for what is within it
            table += self._table(shape.members)
            wires |= _wires(shape.members)
            self._structures[shape.name] = known
        return known

    def members(self, members: Mapping[str, Shape]) -> Reader:
        """Of those members that are in the body."""
        return _table_reader(self._table(members), _wires(members))

    def _table(self, members: Mapping[str, Shape]) -> list[tuple[str, MemberReader]]:
        return [(name, self._member(member, name)) for name, member in members.items()]

    def _member(self, shape: Shape, name: str) -> MemberReader:
        wire = _renamed(shape, name)
        if shape.serialization.get("xmlAttribute"):
            return _attribute_reader(wire, text_reader(shape))
        if shape.serialization.get("flattened") and shape.type_name == "list":
            inner = _renamed(shape.member, wire)
            item = self.value(shape.member, name)
            return lambda _, children: _each(item, children.get(wire) or children.get(inner))
        if shape.serialization.get("flattened") and shape.type_name == "map":
            entry = self._entry(shape, name)
            return lambda _, children: dict(map(entry, children[wire])) if wire in children else None
        return _once_reader(self.value(shape, name), wire)

    def _entry(self, shape: Shape, name: str) -> Callable[[Element], tuple[str, Any]]:
        key_name, value_name = _renamed(shape.key, "key"), _renamed(shape.value, "value")
        read = self.value(shape.value, name)

        def entry(element: Element) -> tuple[str, Any]:
            parts = {_local(child.tag): child for child in element}
            if len(element) != 2 or key_name not in parts or value_name not in parts:
                raise BadDocument(f"an entry of {name} is not one key and one value")
            return parts[key_name].text or "", read(parts[value_name])

        return entry


def _wires(members: Mapping[str, Shape]) -> set[str]:
    """The elements that may be there. A flattened list has two names that are met."""
    named = {name: member for name, member in members.items() if not member.serialization.get("xmlAttribute")}
    found = {_renamed(member, name) for name, member in named.items()}
    flat = {name: m for name, m in named.items() if m.type_name == "list" and m.serialization.get("flattened")}
    return found | {_renamed(member.member, _renamed(member, name)) for name, member in flat.items()}


def _table_reader(table: list[tuple[str, MemberReader]], wires: set[str]) -> Reader:
    """Both may be filled later."""

    def read(element: Element) -> dict[str, Any]:
        children: dict[str, list[Element]] = {}
        for child in element:
            children.setdefault(_local(child.tag), []).append(child)
        if not wires.issuperset(children):
            raise Beyond(next(tag for tag in children if tag not in wires))
        found = {}
        for name, member in table:
            try:
                value = member(element, children)
            except Unreadable as problem:
                raise problem.inside(name) from None
            if value is not None:
                found[name] = value
        return found

    return read


def _once_reader(read: Reader, wire: str) -> MemberReader:
    """Of a member that is no list: which of two was meant is not for us to say."""

    def once(_: Element, children: Children) -> Any:
        if wire not in children:
            return None
        first, *more = children[wire]
        if more:
            raise BadDocument(f"{wire!r} is there {len(more) + 1} times")
        return read(first)

    return once


def _scalar_reader(read: Callable[[str], Any], name: str) -> Reader:
    def scalar(element: Element) -> Any:
        if len(element):
            raise BadDocument(f"{name} holds elements where text is expected")
        return read(element.text or "")

    return scalar


def _list_reader(item: Reader, tag: str, name: str) -> Reader:
    def read(element: Element) -> list[Any]:
        for child in element:
            if _local(child.tag) != tag:
                raise BadDocument(f"{name} holds {_local(child.tag)!r} where {tag!r} is expected")
        return [item(child) for child in element]

    return read


def _each(item: Reader, elements: list[Element] | None) -> list[Any] | None:
    return None if elements is None else [item(element) for element in elements]


def _attribute_reader(wire: str, read: Callable[[str], Any]) -> MemberReader:
    prefix, _, local = wire.rpartition(":")
    key = _XSI + local if prefix == "xsi" else wire

    def attribute(element: Element, _: Children) -> Any:
        value = element.get(key)
        return None if value is None else read(value)

    return attribute


# ------------------------------------------------------------------------------------------------- writing


class Writers:
    """Of one model's shapes. What a result holds beyond its shape is left out."""

    def __init__(self) -> None:
        self._contents: dict[str, Content] = {}

    def element(self, shape: Shape, tag: str) -> Writer:
        """A value as an element of that name."""
        kind, start, end = shape.type_name, f"<{tag}{_namespace(shape)}", f"</{tag}>"
        if kind == "structure":
            content = self._content(shape)

            def write(value: Mapping[str, Any]) -> str:
                attributes, inner = content(value)
                return f"{start}{attributes}>{inner}{end}"

            return write
        if kind == "list":
            item = self.element(shape.member, _renamed(shape.member, "member"))
            return lambda value: f"{start}>{''.join(map(item, value))}{end}"
        if kind == "map":
            entry = self._entry(shape, "entry")
            return lambda value: f"{start}>{''.join(map(entry, value.items()))}{end}"
        text, start = text_writer(shape), f"{start}>"
        if kind == "string":
            return lambda value: f"{start}{xml_text(value if type(value) is str else str(value))}{end}"
        return lambda value: f"{start}{text(value)}{end}"  # numbers, flags, times, base64: nothing to escape

    def members(self, members: Mapping[str, Shape]) -> Content:
        """Of those members that are in the body."""
        attributes, elements = self._table(members)
        return _content_writer(attributes, elements)

    def _content(self, shape: Shape) -> Content:
        known = self._contents.get(shape.name)
        if known is None:
            attributes: dict[str, str] = {}
            elements: dict[str, Writer] = {}
            known = self._contents[shape.name] = _content_writer(attributes, elements)
            found = self._table(shape.members)
            attributes |= found[0]
            elements |= found[1]
        return known

    def _table(self, members: Mapping[str, Shape]) -> tuple[dict[str, str], dict[str, Writer]]:
        attributes, elements = {}, {}
        for name, member in members.items():
            if member.serialization.get("xmlAttribute"):
                attributes[name] = _renamed(member, name)
            else:
                elements[name] = self._member(member, name)
        return attributes, elements

    def _member(self, shape: Shape, name: str) -> Writer:
        wire = _renamed(shape, name)
        if not shape.serialization.get("flattened"):
            return self.element(shape, wire)
        if shape.type_name == "map":
            entry = self._entry(shape, wire)
            return lambda value: "".join(map(entry, value.items()))
        item = self.element(shape.member, wire if "name" in shape.serialization else _renamed(shape.member, wire))
        return lambda value: "".join(map(item, value))

    def _entry(self, shape: Shape, tag: str) -> Callable[[tuple[str, Any]], str]:
        key_name = _renamed(shape.key, "key")
        value = self.element(shape.value, _renamed(shape.value, "value"))

        def entry(pair: tuple[str, Any]) -> str:
            return f"<{tag}><{key_name}>{xml_text(pair[0])}</{key_name}>{value(pair[1])}</{tag}>"

        return entry


def _content_writer(attributes: Mapping[str, str], elements: Mapping[str, Writer]) -> Content:
    def content(value: Mapping[str, Any]) -> tuple[str, str]:
        inner, outer = [], ""
        for name, each in value.items():
            if each is None:
                continue
            if name in elements:
                inner.append(elements[name](each))
            elif name in attributes:
                outer += f" {attributes[name]}={quoteattr(str(each))}"
        return outer, "".join(inner)

    return content


def _namespace(shape: Shape) -> str:
    space = shape.serialization.get("xmlNamespace")
    if not space:
        return ""
    prefix = space.get("prefix")
    return f" xmlns{':' + prefix if prefix else ''}={quoteattr(space['uri'])}"


def xml_text(text: str) -> str:
    """Escaped; a carriage return as a reference, or a parser would make it a line feed. What XML cannot say at all
    (control characters) becomes U+FFFD."""
    if _PLAIN(text):
        return text
    return escape(_UNSAYABLE.sub("\ufffd", text)).replace("\r", "&#13;")
