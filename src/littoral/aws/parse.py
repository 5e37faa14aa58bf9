"""Input of an operation from an HTTP request, by the model: the mirror image of botocore's serializer.

rest-xml, rest-json, json and query. What cannot be read is a ServiceError in the service's own words. A streaming
member is not read: it is handed on as the request's body.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from botocore.model import OperationModel, Shape

from littoral.aws import models
from littoral.aws.recognise import Recognised
from littoral.aws.service import ServiceError
from littoral.net.message import Body, BodyTooLarge, Request

MAX_DOCUMENT = 16 * 1024 * 1024  # bytes of a body that is parsed rather than streamed
MAX_BLOB = 80 * 1024 * 1024  # a zip of 50 MB arrives as base64 in JSON
INTEGER = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


class _Unreadable(Exception):
    """A value that is not of its shape; the message names the member."""


async def parse_input(
    recognised: Recognised, request: Request, query: list[tuple[str, str]], body: Body
) -> dict[str, Any]:
    """The operation's input in the model's names. Raises ServiceError."""
    operation = models.operation_model(recognised.service, recognised.operation)
    shape = operation.input_shape
    if shape is None:
        return {}
    kind = models.protocol(recognised.service)
    try:
        if kind == "query":
            return _from_form(shape, recognised.form, "")
        if kind == "json":
            return _structure_from_json(shape, _load_json(await _whole(body)), "")
        return await _from_rest(operation, recognised, request, query, body, xml=kind == "rest-xml")
    except _Unreadable as problem:
        raise unreadable(recognised.service, str(problem)) from problem
    except RecursionError as problem:
        raise unreadable(recognised.service, "The body is nested too deeply") from problem
    except BodyTooLarge as problem:
        raise ServiceError("RequestTooLargeException", str(problem), status=413) from problem


def unreadable(service: str, message: str) -> ServiceError:
    """The service's own error for input that is not of the model's form."""
    codes = {
        "s3": "InvalidArgument",
        "lambda": "InvalidRequestContentException",
        "cloudfront": "InvalidArgument",
        "iot": "InvalidRequestException",
        "iot-data": "InvalidRequestException",
        "greengrassv2": "ValidationException",
    }
    if service == "s3" and message.startswith("XML"):
        return ServiceError("MalformedXML", "The XML you provided was not well-formed or did not validate.", status=400)
    return ServiceError(codes.get(service, "SerializationException"), message, status=400)


# ------------------------------------------------------------------------------------------------- REST


async def _from_rest(
    operation: OperationModel,
    recognised: Recognised,
    request: Request,
    query: list[tuple[str, str]],
    body: Body,
    *,
    xml: bool,
) -> dict[str, Any]:
    shape = operation.input_shape
    found: dict[str, Any] = {}
    located, in_body, payload = _places(shape)
    for place, name, wire, member in located:
        value = _located(place, name, wire, member, recognised, request, query)
        if value is not None:
            found[name] = value
    if payload is not None:
        value = await _payload(shape.members[payload], body, request, xml=xml)
        if value is not None:
            found[payload] = value
    elif in_body:
        data = await _whole(body)
        if data.strip():
            found |= (
                _from_xml(shape, _load_xml(data), in_body) if xml else _members_from_json(in_body, _load_json(data), "")
            )
    return found


@lru_cache(maxsize=4096)
def _places(shape: Shape) -> tuple[list[tuple[str, str, str, Shape]], dict[str, Shape], str | None]:
    """Where the members of an operation's input are: (location, name, name on the wire, shape) of those outside the
    body, those in the body, and the one that is the body."""
    located, in_body = [], {}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        if place is None:
            in_body[name] = member
        else:
            located.append((place, name, str(member.serialization.get("name", name)), member))
    return located, in_body, shape.serialization.get("payload")


def _located(
    place: str,
    name: str,
    wire: str,
    member: Shape,
    recognised: Recognised,
    request: Request,
    query: list[tuple[str, str]],
) -> Any:
    if place == "uri":
        text = recognised.labels.get(wire)
        return None if text is None else _scalar(member, text, "iso8601")
    if place == "querystring" and not query:
        return None
    if place == "header":
        value = request.headers.get(wire)
        if value is None:
            return None
        if member.serialization.get("jsonvalue"):
            return _load_json(_blob(value, wire))
        if member.type_name == "list":
            return [_scalar(member.member, part.strip(), "rfc822") for part in value.split(",")]
        return _scalar(member, value, "rfc822")
    if place == "headers":
        prefix = wire.lower()
        pairs = {key[len(prefix) :]: text for key, text in request.headers.items() if key.startswith(prefix)}
        return pairs or None
    if place == "querystring":
        return _from_query(member, wire, query)
    raise _Unreadable(f"{name} has an unknown location")


def _from_query(member: Shape, wire: str, query: list[tuple[str, str]]) -> Any:
    if member.type_name == "map":
        pairs: dict[str, Any] = {}
        for key, value in query:
            if member.value.type_name == "list":
                pairs.setdefault(key, []).append(value)
            else:
                pairs[key] = value
        return pairs or None
    values = [value for key, value in query if key == wire]
    if not values:
        return None
    if member.type_name == "list":
        return [_scalar(member.member, value, "iso8601") for value in values]
    return _scalar(member, values[0], "iso8601")


async def _payload(member: Shape, body: Body, request: Request, *, xml: bool) -> Any:
    if member.type_name in {"blob", "string"}:
        if member.serialization.get("streaming"):
            return body
        data = await body.read(MAX_DOCUMENT)
        if not data:
            return None
        return data if member.type_name == "blob" else data.decode("utf-8", "replace")
    data = await _whole(body)
    if not data.strip():
        return None
    return _value_from_xml(member, _load_xml(data), "") if xml else _from_json(member, _load_json(data), "")


async def _whole(body: Body) -> bytes:
    return await body.read(MAX_BLOB)


# ------------------------------------------------------------------------------------------------- JSON


def _load_json(data: bytes) -> Any:
    if not data.strip():
        return {}
    try:
        text = data.decode()
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # half of a surrogate pair is no character: kept, it would break every later answer that names it
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise _Unreadable(f"Could not parse request body into json: {problem}") from problem
    return value


def _structure_from_json(shape: Shape, value: Any, path: str) -> dict[str, Any]:
    return _members_from_json(shape.members, value, path)


def _members_from_json(members: Mapping[str, Shape], value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unreadable(f"{path or 'The body'} must be an object")
    found = {}
    for name, member in members.items():
        wire = member.serialization.get("name", name)
        given = value.get(wire)
        if given is not None:
            found[name] = _from_json(member, given, f"{path}.{name}" if path else name)
    return found


def _from_json(shape: Shape, value: Any, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return value
        return _structure_from_json(shape, value, path)
    if kind == "list":
        if not isinstance(value, list):
            raise _Unreadable(f"{path} must be a list")
        return [_from_json(shape.member, item, f"{path}[{at}]") for at, item in enumerate(value) if item is not None]
    if kind == "map":
        if not isinstance(value, dict):
            raise _Unreadable(f"{path} must be an object")
        return {key: _from_json(shape.value, item, f"{path}.{key}") for key, item in value.items() if item is not None}
    return _scalar_from_json(shape, value, path)


def _scalar_from_json(shape: Shape, value: Any, path: str) -> Any:
    kind = shape.type_name
    if kind in {"string", "character"}:
        if isinstance(value, str):
            return value
    elif kind == "boolean":
        if isinstance(value, bool):
            return value
    elif kind in {"integer", "long"}:
        if isinstance(value, int) and not isinstance(value, bool):
            return _integer(shape, value, path)
        if isinstance(value, float) and value.is_integer():
            return _integer(shape, int(value), path)
    elif kind in {"float", "double"}:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
            return float(value)
    elif kind == "blob":
        if isinstance(value, str):
            return _blob(value, path)
    elif kind == "timestamp":
        return _time(value, path)
    raise _Unreadable(f"{path} must be of type {kind}")


# -------------------------------------------------------------------------------------------------- XML


def _load_xml(data: bytes) -> ElementTree.Element:
    try:
        text = data.decode("utf-8-sig")  # a document type in UTF-16 would not be seen below
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise _Unreadable("XML with a document type is not taken")
        return ElementTree.fromstring(text)  # noqa: S314 - no DTD, so no entities, gets here
    except (ElementTree.ParseError, UnicodeDecodeError) as problem:
        raise _Unreadable(f"XML is not well-formed: {problem}") from problem


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _from_xml(shape: Shape, element: ElementTree.Element, members: Mapping[str, Shape]) -> dict[str, Any]:
    children: dict[str, list[ElementTree.Element]] = {}
    for child in element:
        children.setdefault(_local(child.tag), []).append(child)
    found = {}
    for name, member in members.items():
        wire = member.serialization.get("name", name)
        if member.serialization.get("xmlAttribute"):
            value = _attribute(element, wire)
            if value is not None:
                found[name] = _scalar(member, value, "iso8601")
            continue
        if member.type_name in {"list", "map"} and member.serialization.get("flattened"):
            inner = getattr(member, "member", None)
            tag = inner.serialization.get("name", wire) if inner is not None and wire not in children else wire
            if tag in children:
                found[name] = _flat(member, children[tag], name)
        elif wire in children:
            found[name] = _value_from_xml(member, children[wire][0], name)
    return found


def _attribute(element: ElementTree.Element, wire: str) -> str | None:
    prefix, _, local = wire.rpartition(":")
    return element.get(XSI + local) if prefix == "xsi" else element.get(wire)


def _flat(member: Shape, elements: list[ElementTree.Element], path: str) -> Any:
    if member.type_name == "list":
        return [_value_from_xml(member.member, element, path) for element in elements]
    return dict(_entry(member, element, path) for element in elements)


def _entry(member: Shape, element: ElementTree.Element, path: str) -> tuple[str, Any]:
    key_name = member.key.serialization.get("name", "key")
    value_name = member.value.serialization.get("name", "value")
    parts = {_local(child.tag): child for child in element}
    if key_name not in parts or value_name not in parts:
        raise _Unreadable(f"XML: an entry of {path} lacks its key or value")
    return parts[key_name].text or "", _value_from_xml(member.value, parts[value_name], path)


def _value_from_xml(shape: Shape, element: ElementTree.Element, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _from_xml(shape, element, shape.members)
    if kind == "list":
        tag = shape.member.serialization.get("name", "member")
        wrong = [child for child in element if _local(child.tag) != tag]
        if wrong:
            raise _Unreadable(f"XML: {path} holds {_local(wrong[0].tag)!r} where {tag!r} is expected")
        return [_value_from_xml(shape.member, child, path) for child in element]
    if kind == "map":
        return dict(_entry(shape, child, path) for child in element)
    return _scalar(shape, element.text or "", "iso8601")


# ------------------------------------------------------------------------------------------------ query


def _from_form(shape: Shape, form: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        wire = prefix + str(member.serialization.get("name", name))
        value = _form_value(member, form, wire)
        if value is not None:
            found[name] = value
    return found


def _form_value(shape: Shape, form: Mapping[str, str], wire: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        if not any(key.startswith(wire + ".") for key in form):
            return None
        return _from_form(shape, form, wire + ".")
    if kind == "list":
        flat = shape.serialization.get("flattened")
        base = wire if flat else f"{wire}.{shape.member.serialization.get('name', 'member')}"
        numbers = _numbers(form, base)
        return [_form_value(shape.member, form, f"{base}.{number}") for number in numbers] if numbers else None
    if kind == "map":
        base = wire if shape.serialization.get("flattened") else f"{wire}.entry"
        pairs = {}
        for number in _numbers(form, base):
            key = form.get(f"{base}.{number}.{shape.key.serialization.get('name', 'key')}", "")
            at = f"{base}.{number}.{shape.value.serialization.get('name', 'value')}"
            pairs[key] = _form_value(shape.value, form, at)
        return pairs or None
    return _scalar(shape, form[wire], "iso8601") if wire in form else None


def _numbers(form: Mapping[str, str], base: str) -> list[int]:
    found = {int(m[1]) for key in form if (m := re.match(re.escape(base) + r"\.(\d{1,6})(?:\.|$)", key))}
    return sorted(found)


# ---------------------------------------------------------------------------------------------- scalars


def _scalar(shape: Shape, text: str, time_format: str) -> Any:
    """A scalar from text (XML, header, query, path)."""
    kind = shape.type_name
    try:
        if kind in {"integer", "long"}:
            if not INTEGER.fullmatch(text):
                raise ValueError(text)
            return _integer(shape, int(text), "The value")
        if kind in {"float", "double"}:
            return float(text)
    except ValueError:
        raise _Unreadable(f"{text[:100]!r} is not a number") from None
    if kind == "boolean":
        if text.lower() not in {"true", "false"}:
            raise _Unreadable(f"{text[:100]!r} is neither true nor false")
        return text.lower() == "true"
    if kind == "timestamp":
        return _time(text, shape.serialization.get("timestampFormat", time_format))
    if kind == "blob":
        return _blob(text, "The value")
    return text


def _integer(shape: Shape, value: int, path: str) -> int:
    limit = 2**31 if shape.type_name == "integer" else 2**63
    if not -limit <= value < limit:
        raise _Unreadable(f"{path} is not within the range of its type, {shape.type_name}")
    return value


def _blob(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Unreadable(f"{path} is not valid base64") from None


def _time(value: Any, path: str) -> datetime.datetime:
    """Epoch seconds, ISO 8601 or an HTTP date, whichever it is: clients differ."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.datetime.fromtimestamp(value, datetime.UTC)
        text = str(value).strip()
        if re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", text):
            return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
        if text[:1].isdigit():
            found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        else:
            found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise _Unreadable(f"{str(value)[:60]!r} ({path}) is not a time") from None
