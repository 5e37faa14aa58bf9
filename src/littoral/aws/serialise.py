"""Result of an operation to an HTTP response, by the model: the mirror image of botocore's parser."""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import AsyncIterator, Mapping
from email.utils import format_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from botocore.model import OperationModel, Shape

from littoral.aws import models
from littoral.net.message import Headers, Response, ResponseBody
from littoral.protocols import eventstream

UNSAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def response_of(service: str, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> Response:
    """Headers, status and body for a result in the model's names."""
    kind = models.protocol(service)
    override = result.get("ResponseMetadata", {})
    response = Response(override.get("HTTPStatusCode", operation.http.get("responseCode", 200)))
    if kind == "query":
        _query(service, operation, result, request_id, response)
    elif kind == "json":
        version = models.service_model(service).metadata.get("jsonVersion", "1.0")
        response.headers.set("content-type", f"application/x-amz-json-{version}")
        shape = operation.output_shape
        response.body = _dump(_members(shape.members, result) if shape else {})
    else:
        _rest(service, operation, result, response, xml=kind == "rest-xml")
    for name, value in override.get("HTTPHeaders", {}).items():
        response.headers.set(name, str(value))
    return response


# ------------------------------------------------------------------------------------------------- REST


def _rest(service: str, operation: OperationModel, result: Mapping[str, Any], response: Response, *, xml: bool) -> None:
    shape = operation.output_shape
    if shape is None:
        return
    located, in_body, payload = _places(shape)
    for place, name, member in located:
        value = result.get(name)
        if value is not None:
            _place(place, name, member, value, response)
    if payload is not None:
        if result.get(payload) is not None:
            _payload(shape.members[payload], payload, result[payload], response, operation, xml=xml)
    elif in_body:
        _document(service, operation, shape, in_body, result, response, xml=xml)


@lru_cache(maxsize=4096)
def _places(shape: Shape) -> tuple[list[tuple[str, str, Shape]], dict[str, Shape], str | None]:
    """The members of an operation's output: (location, name, shape) of those outside the body, those in the body, and
    the one that is the body."""
    located, in_body = [], {}
    for name, member in shape.members.items():
        place = member.serialization.get("location")
        if place is None:
            in_body[name] = member
        else:
            located.append((place, name, member))
    return located, in_body, shape.serialization.get("payload")


def _place(place: str, name: str, member: Shape, value: Any, response: Response) -> None:
    wire = member.serialization.get("name", name)
    if place == "statusCode":
        response.status = int(value)
    elif place == "headers":
        for key, text in value.items():
            response.headers.set(wire + key, header_text(str(text)))
    elif member.serialization.get("jsonvalue"):
        response.headers.set(wire, base64.b64encode(_dump(value)).decode())
    elif member.type_name == "list":
        response.headers.set(wire, ", ".join(_text(member.member, item, "rfc822") for item in value))
    else:
        response.headers.set(wire, header_text(_text(member, value, "rfc822")))


def header_text(text: str) -> str:
    """A header holds Latin-1 without line ends; what else there is travels percent-encoded."""
    if "\r" in text or "\n" in text:
        text = text.replace("\r", " ").replace("\n", " ")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return quote(text)
    return text


def _payload(member: Shape, name: str, value: Any, response: Response, operation: OperationModel, *, xml: bool) -> None:
    if member.type_name in {"blob", "string"}:
        body: ResponseBody = value.encode() if isinstance(value, str) else value
        response.body = body
        if "content-type" not in response.headers:
            plain = member.type_name == "string"
            response.headers.set("content-type", "text/plain" if plain else "application/octet-stream")
    elif member.serialization.get("eventstream"):
        response.body = EventBody(member, value)
        if "content-type" not in response.headers:
            response.headers.set("content-type", eventstream.CONTENT_TYPE)
    elif xml:
        root = member.serialization.get("name", name)
        response.body = (XML_HEAD + _element(member, value, root, member)).encode()
        response.headers.set("content-type", "application/xml")
    else:
        response.body = _dump(_value(member, value))
        response.headers.set("content-type", "application/json")


def _document(
    service: str,
    operation: OperationModel,
    shape: Shape,
    members: Mapping[str, Shape],
    result: Mapping[str, Any],
    response: Response,
    *,
    xml: bool,
) -> None:
    if not xml:
        response.body = _dump(_members(members, result))
        response.headers.set("content-type", "application/json")
        return
    if operation.name == "GetBucketLocation":  # the one S3 answer whose root is the member itself
        text = escape(str(result.get("LocationConstraint") or ""))
        root = f'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{text}</LocationConstraint>'
    else:
        name = shape.serialization.get("name") or shape.name
        inner = "".join(
            _member(members[key], value, key) for key, value in result.items() if key in members and value is not None
        )
        root = f"<{name}{_namespace(service)}>{inner}</{name}>"
    response.body = (XML_HEAD + root).encode()
    response.headers.set("content-type", "application/xml")


def _namespace(service: str) -> str:
    return ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if service == "s3" else ""


# --------------------------------------------------------------------------------------- event streams


class EventBody:
    """An operation's events, (name, members) each, as the bytes of an event stream (REST with JSON)."""

    def __init__(self, shape: Shape, events: AsyncIterator[tuple[str, Mapping[str, Any]]]) -> None:
        self._shapes: Mapping[str, Shape] = shape.members
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        name, members = await anext(self._events)
        return eventstream.encode(event_message(self._shapes[name], name, members))

    async def aclose(self) -> None:
        """The caller has gone, or has all."""
        aclose = getattr(self._events, "aclose", None)
        if aclose is not None:
            await aclose()


def event_message(shape: Shape, name: str, members: Mapping[str, Any]) -> eventstream.Message:
    headers = {":message-type": eventstream.text("event"), ":event-type": eventstream.text(name)}
    for key, member in shape.members.items():
        if member.serialization.get("eventpayload") and member.type_name == "blob":
            headers[":content-type"] = eventstream.text("application/octet-stream")
            return eventstream.Message(headers, members.get(key) or b"")
    headers[":content-type"] = eventstream.text("application/json")
    return eventstream.Message(headers, _dump(_members(shape.members, members)))


# ------------------------------------------------------------------------------------------------- JSON


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _members(members: Mapping[str, Shape], value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        members[name].serialization.get("name", name): _value(members[name], item)
        for name, item in value.items()
        if item is not None and name in members
    }


def _value(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return value if getattr(shape, "is_document_type", False) else _members(shape.members, value)
    if kind == "list":
        return [_value(shape.member, item) for item in value]
    if kind == "map":
        return {key: _value(shape.value, item) for key, item in value.items()}
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind == "timestamp":
        format_ = shape.serialization.get("timestampFormat", "unixTimestamp")
        moment = _moment(value)
        if format_ == "unixTimestamp":
            stamp = round(moment.timestamp(), 3)
            return int(stamp) if stamp.is_integer() else stamp
        return time_text(moment, format_)
    if kind in {"float", "double"} and value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    return value


# -------------------------------------------------------------------------------------------------- XML


def _member(shape: Shape, value: Any, name: str) -> str:
    wire = shape.serialization.get("name", name)
    if shape.serialization.get("flattened"):
        if shape.type_name == "list":
            tag = shape.member.serialization.get("name") or wire
            tag = wire if "name" in shape.serialization else tag
            return "".join(_element(shape.member, item, tag, shape.member) for item in value)
        return "".join(_entry(shape, key, item, wire) for key, item in value.items())
    return _element(shape, value, wire, shape)


def _element(shape: Shape, value: Any, tag: str, at: Shape) -> str:
    kind = shape.type_name
    space = at.serialization.get("xmlNamespace")
    attributes = ""
    if space:
        prefix = space.get("prefix")
        attributes = f" xmlns{':' + prefix if prefix else ''}={quoteattr(space['uri'])}"
    if kind == "structure":
        inner = ""
        for name, item in value.items():
            member = shape.members.get(name)
            if member is None or item is None:
                continue
            if member.serialization.get("xmlAttribute"):
                attributes += f" {member.serialization.get('name', name)}={quoteattr(str(item))}"
            else:
                inner += _member(member, item, name)
        return f"<{tag}{attributes}>{inner}</{tag}>"
    if kind == "list":
        inner_tag = shape.member.serialization.get("name", "member")
        inner = "".join(_element(shape.member, item, inner_tag, shape.member) for item in value)
        return f"<{tag}{attributes}>{inner}</{tag}>"
    if kind == "map":
        inner = "".join(_entry(shape, key, item, "entry") for key, item in value.items())
        return f"<{tag}{attributes}>{inner}</{tag}>"
    return f"<{tag}{attributes}>{xml_text(_text(shape, value, 'iso8601'))}</{tag}>"


def _entry(shape: Shape, key: str, value: Any, tag: str) -> str:
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    inner = _element(shape.value, value, value_name, shape.value)
    return f"<{tag}><{key_name}>{xml_text(key)}</{key_name}>{inner}</{tag}>"


def xml_text(text: str) -> str:
    """Escaped; a carriage return as a reference, or a parser would make it a line feed. What XML cannot say at all
    (control characters) becomes U+FFFD."""
    return escape(UNSAYABLE.sub("\ufffd", text), {"\r": "&#13;"})


# ------------------------------------------------------------------------------------------------ query


def _query(
    service: str, operation: OperationModel, result: Mapping[str, Any], request_id: str, response: Response
) -> None:
    name = operation.name
    space = quoteattr(models.service_model(service).metadata.get("xmlNamespace", ""))
    inner = ""
    shape = operation.output_shape
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
        members = "".join(
            _member(shape.members[key], value, key)
            for key, value in result.items()
            if key in shape.members and value is not None
        )
        inner = f"<{wrapper}>{members}</{wrapper}>"
    meta = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    response.body = f"<{name}Response xmlns={space}>{inner}{meta}</{name}Response>".encode()
    response.headers.set("content-type", "text/xml")


# ---------------------------------------------------------------------------------------------- scalars


def _text(shape: Shape, value: Any, time_format: str) -> str:
    kind = shape.type_name
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return time_text(_moment(value), shape.serialization.get("timestampFormat", time_format))
    if kind == "blob":
        return base64.b64encode(value).decode()
    if kind in {"float", "double"} and float(value).is_integer():
        return str(int(value))
    return str(value)


def _moment(value: Any) -> datetime.datetime:
    """Results may hold datetimes or Unix seconds."""
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return datetime.datetime.fromtimestamp(value, datetime.UTC)


def time_text(moment: datetime.datetime, format_: str) -> str:
    moment = moment.astimezone(datetime.UTC)
    if format_ == "rfc822":
        return format_datetime(moment, usegmt=True)
    if format_ == "unixTimestamp":
        return str(int(moment.timestamp()))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def set_ids(headers: Headers, service: str, request_id: str) -> None:
    """The request id under the name that the service's clients read."""
    if service == "s3":
        headers.set("x-amz-request-id", request_id)
        headers.set("x-amz-id-2", base64.b64encode(request_id.encode()).decode())
    else:
        headers.set("x-amzn-requestid", request_id)
