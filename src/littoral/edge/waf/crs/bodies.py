"""Request bodies as SecLang's collections: urlencoded, multipart, JSON and XML.

What cannot be read gives what could be read before; an XML document with entities of its own is not read at all.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

from littoral.edge.waf import jsonbody
from littoral.edge.waf.work import A_LOOK, Spend

Pair = tuple[str, bytes]
MOST_PARTS = 1000


@dataclass(slots=True)
class Content:
    """What a body says."""

    processor: str = ""
    arguments: list[Pair] = field(default_factory=list)
    files: list[Pair] = field(default_factory=list)  # field name, file name
    file_bytes: int = 0
    part_headers: list[Pair] = field(default_factory=list)
    xml_text: bytes | None = None
    xml_attributes: list[bytes] = field(default_factory=list)


def processor_of(content_type: str) -> str:
    """By the media type, as ModSecurity's recommended configuration sets it."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return "URLENCODED"
    if kind == "multipart/form-data":
        return "MULTIPART"
    if re.search(r"^(?:application|text)/(?:[a-z0-9.-]+\+)?xml$", kind):
        return "XML"
    return "JSON" if re.search(r"^application/(?:[a-z0-9.-]+\+)?json$", kind) else ""


def content_of(body: bytes, content_type: str, spend: Spend, *, is_cut: bool = False) -> Content:
    """``is_cut``: there is more body than that. Raises Exhausted."""
    made = Content(processor_of(content_type))
    if not body:
        return made
    if made.processor == "URLENCODED":
        made.arguments = arguments_of(body)
    elif made.processor == "MULTIPART":
        _multipart(body, content_type, made)
    elif made.processor == "JSON":
        _json(body, made, spend, is_cut=is_cut)
    elif made.processor == "XML":
        _xml(body, made)
    return made


def arguments_of(text: bytes) -> list[Pair]:
    """Names and values, decoded."""
    found = []
    for part in text.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            found.append((_decoded(name).decode("latin-1"), _decoded(value)))
    return found


def _decoded(text: bytes) -> bytes:
    if b"%" not in text and b"+" not in text:
        return text
    return unquote_to_bytes(text.replace(b"+", b" "))


def _json(body: bytes, made: Content, spend: Spend, *, is_cut: bool) -> None:
    """What is no JSON, or too deep, is looked at as one text as well: who reads it may be less strict. What ends only
    because no more of it is looked at has been read, up to the value that it ends in."""
    try:
        for item in jsonbody.items(body):
            if not item.is_key:
                name = "json" + item.path.replace("/", ".")
                spend(len(name) + A_LOOK)
                made.arguments.append((name, item.text))
    except jsonbody.Broken as broken:
        whole = not is_cut or broken.begun is None
        made.arguments.append(("json", body if whole else broken.begun or b""))


def _xml(body: bytes, made: Content) -> None:
    parser = expat.ParserCreate()
    texts: list[str] = []

    def attributes(_name: str, found: dict[str, str]) -> None:
        made.xml_attributes.extend(value.encode() for value in found.values())

    def refuse(*_: object) -> None:
        raise expat.error("entities are not expanded")

    parser.StartElementHandler = attributes
    parser.CharacterDataHandler = texts.append
    parser.EntityDeclHandler = refuse
    with contextlib.suppress(expat.error, ValueError):  # what came before is inspected
        parser.Parse(body, True)
    made.xml_text = "".join(texts).encode()


_DISPOSITION = re.compile(rb"""(?i);\s*(name|filename\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^;\s]*))""")


def _multipart(body: bytes, content_type: str, made: Content) -> None:
    boundary = re.search(r"""(?i)boundary\s*=\s*"?([^";,]+)"?""", content_type)
    if boundary is None:
        return
    mark = b"--" + boundary[1].strip().encode("latin-1", "replace")
    for part in body.split(mark)[1 : MOST_PARTS + 1]:
        if part.startswith(b"--"):
            return
        head, _, data = part.lstrip(b"\r\n").partition(b"\r\n\r\n" if b"\r\n\r\n" in part else b"\n\n")
        _part(head, data.removesuffix(b"\n").removesuffix(b"\r"), made)


def _part(head: bytes, data: bytes, made: Content) -> None:
    lines = [line.strip(b"\r") for line in re.split(rb"\r?\n(?![ \t])", head) if line.strip()]
    disposition = next((line for line in lines if line.lower().startswith(b"content-disposition")), b"")
    said = {found[0].lower(): found[1] or found[2] or found[3] for found in _DISPOSITION.findall(disposition)}
    name = said.get(b"name", b"").decode("latin-1")
    made.part_headers.extend((name, line) for line in lines)
    filename = said.get(b"filename", said.get(b"filename*"))
    if filename is None:
        made.arguments.append((name, data))
    else:
        made.files.append((name, filename))
        made.file_bytes += len(data)
