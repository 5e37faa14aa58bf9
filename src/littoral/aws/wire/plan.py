"""The plan of one operation: how its input is read and held against the model, and how its result is written.

Made once, at the operation's first call. A call runs through the plan's closures and asks the model for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from littoral.aws import models
from littoral.aws.escaping import quoteattr
from littoral.aws.wire import formbody, jsonbody, rest, xmlbody
from littoral.aws.wire.constraints import Checker, Checkers
from littoral.aws.wire.events import EventBody, event_writers
from littoral.aws.wire.parts import Parts
from littoral.aws.wire.s3roots import ROOTS
from littoral.net.message import Response, ResponseBody
from littoral.protocols import eventstream

if TYPE_CHECKING:  # botocore is loaded with the first call
    from botocore.model import OperationModel, Shape

Input = dict[str, Any]
Read = Callable[[Parts], Input]
Write = Callable[[Mapping[str, Any], Response, str], None]  # the result, the response to be filled, the request's id
Document = Callable[[bytes], Any]
Body = tuple[str, Callable[[Any], ResponseBody]]  # its type, and what a value is as it

MAX_RAW = 16 * 1024 * 1024  # bytes of a body that is one member, held rather than streamed
MAX_DOCUMENT = 80 * 1024 * 1024  # of a parsed one: a zip of 50 MB arrives as base64 in JSON
SMALLER_DOCUMENTS = dict.fromkeys(("dynamodb", "dynamodbstreams", "s3"), 16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Plan:
    """``holds`` is the most bytes of a body that is read whole before ``read``; None where it is handed on as it is.
    ``check`` gives the first problems, in words."""

    operation: str
    status: int
    holds: int | None
    read: Read
    check: Checker | None
    write: Write


@cache
def plan_of(service: str, operation: str) -> Plan:
    model = models.operation_model(service, operation)
    codecs = _codecs(service)
    kind = models.protocol(service)
    shape = model.input_shape
    holds, read = _reading(codecs, kind, shape)
    return Plan(
        operation,
        model.http.get("responseCode", 200),
        holds,
        read,
        codecs.checkers.of(shape) if shape is not None else None,
        _writing(codecs, kind, model),
    )


class Codecs:
    """Of one service's shapes, shared by its operations."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.from_json, self.to_json = jsonbody.Readers(), jsonbody.Writers()
        self.from_xml, self.to_xml = xmlbody.Readers(), xmlbody.Writers()
        self.from_form = formbody.Readers()
        self.checkers = Checkers(service)


@cache
def _codecs(service: str) -> Codecs:
    return Codecs(service)


# ------------------------------------------------------------------------------------------------- reading


def _reading(codecs: Codecs, kind: str, shape: Shape | None) -> tuple[int | None, Read]:
    if shape is None:
        return None, lambda parts: {}
    if kind == "query":
        form = codecs.from_form.structure(shape)
        return None, lambda parts: form(formbody.tree(parts.form))
    if kind == "json":
        document = codecs.from_json.value(shape)
        return most_of(codecs.service), lambda parts: document(jsonbody.load(parts.data))
    outside, within = rest.located(shape.members)
    payload = shape.serialization.get("payload")
    readers = [rest.remembered(outside)] if outside else []
    holds = None
    if payload is not None:
        holds, body = _payload_reader(codecs, payload, shape.members[payload], xml=kind == "rest-xml")
        readers.append(body)
    elif within:
        holds = most_of(codecs.service)
        elsewhere = {name: member for name, member in shape.members.items() if name not in within}
        readers.append(_document_reader(codecs, within, elsewhere, xml=kind == "rest-xml"))
    return holds, _all_of(readers)


def most_of(service: str) -> int:
    """Bytes of a request that is read whole."""
    return SMALLER_DOCUMENTS.get(service, MAX_DOCUMENT)


def _all_of(readers: list[rest.Reader]) -> Read:
    def read(parts: Parts) -> Input:
        found: Input = {}
        for reader in readers:
            reader(parts, found)
        return found

    return read


def _document_reader(
    codecs: Codecs, members: Mapping[str, Shape], elsewhere: Mapping[str, Shape], *, xml: bool
) -> rest.Reader:
    if xml:
        document = _xml_loaded(codecs.from_xml.members(members))
    else:
        document = _json_loaded(codecs.from_json.members(members, elsewhere))

    def read(parts: Parts, found: Input) -> None:
        if parts.data.strip():
            found |= document(parts.data)

    return read


def _payload_reader(codecs: Codecs, name: str, member: Shape, *, xml: bool) -> tuple[int | None, rest.Reader]:
    """Of the member that is the body."""
    if member.type_name not in {"blob", "string"}:
        reader = codecs.from_xml.value(member, name) if xml else codecs.from_json.value(member)
        document = _xml_loaded(reader) if xml else _json_loaded(reader)
        return most_of(codecs.service), _put(name, lambda parts: document(parts.data) if parts.data.strip() else None)
    if member.serialization.get("streaming"):
        return None, _stream_reader(name)
    if member.type_name == "blob":
        return MAX_RAW, _put(name, lambda parts: parts.data or None)
    return MAX_RAW, _put(name, lambda parts: parts.data.decode("utf-8", "replace") or None)


def _stream_reader(name: str) -> rest.Reader:
    def read(parts: Parts, found: Input) -> None:
        found[name] = parts.body

    return read


def _put(name: str, value_of: Callable[[Parts], Any]) -> rest.Reader:
    def read(parts: Parts, found: Input) -> None:
        value = value_of(parts)
        if value is not None:
            found[name] = value

    return read


def _json_loaded(reader: jsonbody.Reader) -> Document:
    return lambda data: reader(jsonbody.load(data))


def _xml_loaded(reader: xmlbody.Reader) -> Document:
    return lambda data: reader(xmlbody.load(data))


# ------------------------------------------------------------------------------------------------- writing


def _writing(codecs: Codecs, kind: str, model: OperationModel) -> Write:
    shape = model.output_shape
    if kind == "query":
        return _query_writer(codecs, model, shape)
    if kind == "json":
        version = model.service_model.metadata.get("jsonVersion", "1.0")
        content_type = f"application/x-amz-json-{version}"
        if shape is None:
            return _body_writer(content_type, lambda result: b"")
        document = codecs.to_json.value(shape)
        return _body_writer(content_type, lambda result: jsonbody.dump(document(result)))
    return _rest_writer(codecs, model, shape, xml=kind == "rest-xml") if shape is not None else _no_output


def _no_output(result: Mapping[str, Any], response: Response, request_id: str) -> None:
    """The model has none."""


def _body_writer(content_type: str, made_of: Callable[[Any], ResponseBody]) -> Write:
    header = b"content-type", content_type.encode()

    def write(result: Any, response: Response, request_id: str) -> None:
        response.body = made_of(result)
        response.headers.raw.append(header)

    return write


def _query_writer(codecs: Codecs, model: OperationModel, shape: Shape | None) -> Write:
    space = quoteattr(model.service_model.metadata.get("xmlNamespace", ""))
    start, end = f"<{model.name}Response xmlns={space}>", f"</{model.name}Response>"
    document = codecs.to_xml.members(shape.members) if shape is not None else None
    wrapper = shape.serialization.get("resultWrapper", f"{model.name}Result") if shape is not None else ""

    def write(result: Mapping[str, Any], response: Response, request_id: str) -> None:
        inner = f"<{wrapper}>{document(result)[1]}</{wrapper}>" if document is not None else ""
        meta = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        response.body = f"{start}{inner}{meta}{end}".encode()
        response.headers.raw.append((b"content-type", b"text/xml"))

    return write


def _rest_writer(codecs: Codecs, model: OperationModel, shape: Shape, *, xml: bool) -> Write:
    outside, within = rest.located(shape.members)
    headers = {name: rest.writer(member, name) for name, member in outside.items()}
    payload = shape.serialization.get("payload")
    body: Body | None = None
    if payload is not None:
        body = _payload(codecs, payload, shape.members[payload], xml=xml)
    elif within:
        body = _document(codecs, model, shape, within, xml=xml)
    content_type = (b"content-type", body[0].encode()) if body is not None else (b"", b"")
    types = [each for each, member in outside.items() if member.serialization.get("name", "").lower() == "content-type"]
    typed = types[0] if types else ""

    def write(result: Mapping[str, Any], response: Response, request_id: str) -> None:
        for name, value in result.items():
            if value is not None and (writer := headers.get(name)) is not None:
                writer(value, response)
        given = result if payload is None else result.get(payload)
        if body is not None and given is not None:
            response.body = body[1](given)
            if result.get(typed) is None:
                response.headers.raw.append(content_type)

    return write


def _document(codecs: Codecs, model: OperationModel, shape: Shape, members: Mapping[str, Shape], *, xml: bool) -> Body:
    """Of the members in the body."""
    if not xml:
        values = codecs.to_json.members(members)
        return "application/json", lambda result: jsonbody.dump(values(result))
    space = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if codecs.service == "s3" else ""
    if model.name == "GetBucketLocation":  # the one S3 answer whose root is the member itself
        text = xmlbody.xml_text
        start, end = f"{xmlbody.HEAD}<LocationConstraint{space}>", "</LocationConstraint>"
        return "application/xml", lambda result: f"{start}{text(result.get('LocationConstraint') or '')}{end}".encode()
    root = ROOTS.get(model.name) if codecs.service == "s3" else None
    name = root or shape.serialization.get("name") or shape.name
    content = codecs.to_xml.members(members)
    start, end = f"{xmlbody.HEAD}<{name}{space}>", f"</{name}>"
    return "application/xml", lambda result: f"{start}{content(result)[1]}{end}".encode()


def _payload(codecs: Codecs, name: str, member: Shape, *, xml: bool) -> Body:
    """Of the member that is the body."""
    if member.type_name == "blob":
        return "application/octet-stream", _bytes_of
    if member.type_name == "string":
        return "text/plain", _bytes_of
    if member.serialization.get("eventstream"):
        events = event_writers(member, codecs.to_json)
        return eventstream.CONTENT_TYPE, lambda value: EventBody(events, value)
    if xml:
        element = codecs.to_xml.element(member, member.serialization.get("name", name))
        return "application/xml", lambda value: (xmlbody.HEAD + element(value)).encode()
    document = codecs.to_json.value(member)
    return "application/json", lambda value: jsonbody.dump(document(value))


def _bytes_of(value: Any) -> ResponseBody:
    return value.encode() if isinstance(value, str) else value
