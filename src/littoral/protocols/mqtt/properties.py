"""Properties of MQTT 5 (s. 2.2.2): one table says each property's number, form and the packets that may carry it.

Packets are given their properties as a plain dict by attribute name, except PUBLISH (and the will), which has a class
of its own because its properties travel with the message through the whole of Littoral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from littoral.protocols.mqtt.wire import (
    MalformedPacket,
    ProtocolViolation,
    Reader,
    decode_text,
    encode_binary,
    encode_text,
    encode_variable,
)

Properties = dict[str, Any]

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 1, 2, 3, 4, 8, 9, 10, 11
DISCONNECT, AUTH, WILL = 14, 15, 0
PUBREC, PUBREL, PUBCOMP = 5, 6, 7
_ACKS = (PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK)


class Property(NamedTuple):
    number: int
    name: str
    form: str  # byte, two, four, variable, text, binary, pair
    packets: frozenset[int]
    flag: bool = False  # a byte that may be 0 or 1 only
    positive: bool = False  # 0 is a protocol error


def _row(number: int, name: str, form: str, *packets: int, flag: bool = False, positive: bool = False) -> Property:
    return Property(number, name, form, frozenset(packets), flag, positive)


TABLE: Final = (
    _row(0x01, "payload_format", "byte", PUBLISH, WILL, flag=True),
    _row(0x02, "message_expiry", "four", PUBLISH, WILL),
    _row(0x03, "content_type", "text", PUBLISH, WILL),
    _row(0x08, "response_topic", "text", PUBLISH, WILL),
    _row(0x09, "correlation_data", "binary", PUBLISH, WILL),
    _row(0x0B, "subscription_identifiers", "variable", PUBLISH, SUBSCRIBE, positive=True),
    _row(0x11, "session_expiry", "four", CONNECT, CONNACK, DISCONNECT),
    _row(0x12, "assigned_client_id", "text", CONNACK),
    _row(0x13, "server_keep_alive", "two", CONNACK),
    _row(0x15, "authentication_method", "text", CONNECT, CONNACK, AUTH),
    _row(0x16, "authentication_data", "binary", CONNECT, CONNACK, AUTH),
    _row(0x17, "request_problem_information", "byte", CONNECT, flag=True),
    _row(0x18, "will_delay", "four", WILL),
    _row(0x19, "request_response_information", "byte", CONNECT, flag=True),
    _row(0x1A, "response_information", "text", CONNACK),
    _row(0x1C, "server_reference", "text", CONNACK, DISCONNECT),
    _row(0x1F, "reason_string", "text", CONNACK, *_ACKS, DISCONNECT, AUTH),
    _row(0x21, "receive_maximum", "two", CONNECT, CONNACK, positive=True),
    _row(0x22, "topic_alias_maximum", "two", CONNECT, CONNACK),
    _row(0x23, "topic_alias", "two", PUBLISH),
    _row(0x24, "maximum_qos", "byte", CONNACK, flag=True),
    _row(0x25, "retain_available", "byte", CONNACK, flag=True),
    _row(
        0x26,
        "user_properties",
        "pair",
        *(CONNECT, CONNACK, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE, *_ACKS, DISCONNECT, AUTH),
    ),
    _row(0x27, "maximum_packet_size", "four", CONNECT, CONNACK, positive=True),
    _row(0x28, "wildcard_subscription_available", "byte", CONNACK, flag=True),
    _row(0x29, "subscription_identifier_available", "byte", CONNACK, flag=True),
    _row(0x2A, "shared_subscription_available", "byte", CONNACK, flag=True),
)
_BY_NUMBER: Final = {row.number: row for row in TABLE}
_BY_NAME: Final = {row.name: row for row in TABLE}
_LISTS: Final = frozenset({"user_properties", "subscription_identifiers"})
MAX_USER_PROPERTIES: Final = 256  # a bound of ours on what one packet may make us hold


@dataclass(slots=True)
class PublishProperties:
    """What a v5 publisher said about its message; goes with it to every subscriber."""

    payload_format: int | None = None  # 1: the payload is UTF-8 text
    message_expiry: int | None = None  # seconds from publication
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: list[tuple[str, str]] = field(default_factory=list)
    subscription_identifiers: list[int] = field(default_factory=list)  # from server to client only
    topic_alias: int | None = None  # of one connection; never forwarded

    def as_mapping(self) -> Properties:
        values = ((name, getattr(self, name)) for name in PUBLISH_NAMES)
        return {name: value for name, value in values if value is not None and value != []}

    @classmethod
    def of(cls, found: Properties) -> PublishProperties:
        return cls(**found)


PUBLISH_NAMES: Final = tuple(row.name for row in TABLE if PUBLISH in row.packets)


def read_properties(reader: Reader, packet: int) -> Properties:
    """The properties at the reader's place. Raises MalformedPacket; ProtocolViolation for one that is not allowed."""
    length = reader.variable()
    if not length:
        return {}
    end = reader.at + length
    if end > reader.end:
        raise MalformedPacket("the properties are longer than the packet")
    inner = Reader(reader.data, reader.at, end)
    found: Properties = {}
    while inner.at < end:
        row = _BY_NUMBER.get(inner.variable())
        if row is None:
            raise MalformedPacket("an unknown property")
        if packet not in row.packets:
            raise ProtocolViolation(f"{row.name} does not belong in this packet")
        _keep(found, row, _read(inner, row))
    reader.at = end
    return found


def _keep(found: Properties, row: Property, value: Any) -> None:
    if row.name in _LISTS:
        values = found.setdefault(row.name, [])
        if len(values) >= MAX_USER_PROPERTIES:
            raise ProtocolViolation(f"more than {MAX_USER_PROPERTIES} of {row.name}")
        values.append(value)
    elif row.name in found:
        raise ProtocolViolation(f"{row.name} is there twice")
    else:
        found[row.name] = value


def _read(reader: Reader, row: Property) -> Any:
    if row.form == "pair":
        return decode_text(reader.binary()), decode_text(reader.binary())
    value = getattr(reader, row.form)()
    if row.flag and value > 1:
        raise ProtocolViolation(f"{row.name} is {value}")
    if row.positive and not value:
        raise ProtocolViolation(f"{row.name} is 0")
    return value


def encode_properties(values: Mapping[str, Any]) -> bytes:
    """With their length in front. A value of None, and an empty list, is left out."""
    out = properties_block(values)
    return encode_variable(len(out)) + out


def properties_block(values: Mapping[str, Any]) -> bytes:
    """Without their length: several of these are joined."""
    return b"".join(_encode(_BY_NAME[name], value) for name, value in values.items() if value is not None)


def _encode(row: Property, value: Any) -> bytes:
    prefix = bytes((row.number,))
    if row.form == "pair":
        return b"".join(prefix + encode_text(name) + encode_text(text) for name, text in value)
    if row.name in _LISTS:
        return b"".join(prefix + encode_variable(each) for each in value)
    if row.form == "text":
        return prefix + encode_text(value)
    if row.form == "binary":
        return prefix + encode_binary(value)
    if row.form == "variable":
        return prefix + encode_variable(value)
    return prefix + int(value).to_bytes({"byte": 1, "two": 2, "four": 4}[row.form], "big")
