"""decode(x, 'proto', …): what a rule makes of protobuf messages, by a descriptor set as protoc writes it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from littoral.protocols.iotsql import Asked, Context, SqlError, compile_rule, compile_template
from littoral.things.rules.protobuf import LONG, MAX_DESCRIPTORS, MAX_PAYLOAD, BadMessage, Schemas

WHERE = "'proto', 'schemas', 'beds.desc', 'beds', 'Reading'"


def descriptors() -> FileDescriptorSet:
    """package ward; message Reading { string bed_name = 1; int64 at = 2; repeated sint32 samples = 3; bytes raw = 4;
    Kind kind = 5; Reading before = 6; } enum Kind { UNKNOWN = 0; PPG = 1; }"""
    found = FileDescriptorSet()
    file = found.file.add(name="beds.proto", package="ward", syntax="proto3")
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="UNKNOWN", number=0)
    kind.value.add(name="PPG", number=1)
    reading = file.message_type.add(name="Reading")
    for number, (name, type_, more) in enumerate(
        [
            ("bed_name", Field.TYPE_STRING, {}),
            ("at", Field.TYPE_INT64, {}),
            ("samples", Field.TYPE_SINT32, {"label": Field.LABEL_REPEATED}),
            ("raw", Field.TYPE_BYTES, {}),
            ("kind", Field.TYPE_ENUM, {"type_name": ".ward.Kind"}),
            ("before", Field.TYPE_MESSAGE, {"type_name": ".ward.Reading"}),
        ],
        1,
    ):
        reading.field.add(**{"name": name, "number": number, "type": type_, "label": Field.LABEL_OPTIONAL, **more})
    return found


def message(**values: Any) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptors().file[0])
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("ward.Reading"))(**values)
    return bytes(made.SerializeToString())


async def decoded(raw: bytes, *, by: bytes | None = None, file: str = "beds", name: str = "Reading") -> Any:
    by = descriptors().SerializeToString() if by is None else by
    return await Schemas().decode(by, file, name, base64.b64encode(raw).decode())


@pytest.mark.parametrize("file", ["beds", "beds.proto"])
@pytest.mark.parametrize("name", ["Reading", "ward.Reading"])
async def test_a_message_becomes_json_as_protobuf_says(file: str, name: str) -> None:
    raw = message(bed_name="7", at=2**60, samples=[-1, 2], raw=b"\0\xff", kind=1, before={"bed_name": "6"})
    assert await decoded(raw, file=file, name=name) == {
        "bedName": "7",
        "at": str(2**60),
        "samples": [-1, 2],
        "raw": "AP8=",
        "kind": "PPG",
        "before": {"bedName": "6"},
    }
    assert await decoded(b"", file=file, name=name) == {}


async def test_a_long_message_is_decoded_as_well() -> None:
    samples = [n % 100 for n in range(LONG)]
    assert (await decoded(message(samples=samples)))["samples"] == samples


@pytest.mark.parametrize(
    ("raw", "more", "why"),
    [
        (b"\xff\xff", {}, "cannot be read as Reading"),
        (b"", {"file": "wards"}, "no 'wards' in the descriptor set"),
        (b"", {"name": "Writing"}, "no message 'Writing' in beds.proto"),
        (b"", {"name": "Kind"}, "no message 'Kind'"),
        (b"", {"by": b"\xff\xff"}, "invalid protobuf file descriptor"),
        (b"", {"by": bytes(MAX_DESCRIPTORS + 1)}, "more than 32768 bytes"),
        (bytes(MAX_PAYLOAD + 1), {}, "more than 131072 bytes"),
        (b"\x1a\xc0\x84\x3d" + bytes(1_000_000), {}, "more than 131072 bytes"),
    ],
)
async def test_what_cannot_be_decoded_says_why(raw: bytes, more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        await decoded(raw, **more)


async def test_a_small_message_may_not_become_a_large_document() -> None:
    with pytest.raises(BadMessage, match="as JSON"):
        await decoded(message(samples=[0] * 100_000))


async def test_a_set_that_lacks_an_import_is_refused() -> None:
    lacking = descriptors()
    lacking.file[0].dependency.append("other.proto")
    with pytest.raises(BadMessage, match="invalid protobuf file descriptor"):
        await decoded(b"", by=lacking.SerializeToString())


@pytest.mark.parametrize("field", ["seconds", "second6"])
async def test_a_set_has_its_own_idea_of_a_time(field: str) -> None:
    """Protobuf's JSON takes that message by its name for what it knows."""
    odd = descriptors()
    time = odd.file.add(name="google/protobuf/timestamp.proto", package="google.protobuf", syntax="proto3")
    time.message_type.add(name="Timestamp").field.add(name=field, number=1, type=Field.TYPE_INT64, label=1)
    time.message_type[0].field.add(name="nanos", number=2, type=Field.TYPE_INT32, label=1)
    more = odd.file.add(name="more.proto", syntax="proto3", dependency=[time.name])
    more.message_type.add(name="At").field.add(
        name="at", number=1, type=Field.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=1
    )
    reading = decoded(b"\x0a\x02\x08\x01", by=odd.SerializeToString(), file="more", name="At")
    if field == "seconds":
        assert await reading == {"at": "1970-01-01T00:00:01Z"}
    else:
        with pytest.raises(BadMessage, match="cannot be read as At"):
            await reading


async def test_what_is_no_base64_is_refused() -> None:
    with pytest.raises(BadMessage, match="not base64"):
        await Schemas().decode(descriptors().SerializeToString(), "beds", "Reading", "§")


@pytest.mark.parametrize(
    ("value", "payload", "asked"),
    [
        ("*", b"\x0a\x017", "CgE3"),
        ("*", b'"CgE3"', "CgE3"),
        ("*", b'{"data": 1}', base64.b64encode(b'{"data": 1}').decode()),
        ("*", b"", ""),
        ("a.b", b'{"a": {"b": "CgE3"}}', "CgE3"),
        ("a.b", b'{"a": {"b": 7}}', None),
        ("no", b"{}", None),
    ],
)
def test_what_is_asked(value: str, payload: bytes, asked: str | None) -> None:
    rule = compile_rule(f"SELECT decode({value}, {WHERE}) AS it FROM 'a'")
    assert rule.external
    context = Context("a", payload, 1000)
    if asked is None:
        assert rule.evaluate(context) == (b"{}", True)
        return
    with pytest.raises(Asked) as stopped:
        rule.evaluate(context)
    question = stopped.value.question
    assert (question.function, question.list()) == ("decode", [asked, "schemas", "beds.desc", "beds", "Reading"])
    context.answers[question] = {"bedName": "7"}
    selected = rule.evaluate(context)
    assert selected is not None and json.loads(selected.payload) == {"it": {"bedName": "7"}}


def test_where_it_may_not_stand() -> None:
    one = f"decode(*, {WHERE})"
    compile_rule(f"SELECT {one}.a AS a FROM 'a' WHERE {one}.b = 1")
    with pytest.raises(SqlError, match="2 times"):
        compile_rule(f"SET @a = {one} SELECT {one} AS a FROM 'a' WHERE {one}.b = 1")
    with pytest.raises(SqlError, match="SET a variable"):
        compile_template(f"${{{one}}}")
    with pytest.raises(SqlError, match="6 argument"):
        compile_rule("SELECT decode(*, 'proto', 'b', 'k', 'f') FROM 'a'")
    with pytest.raises(SqlError, match="'base64' only"):
        compile_rule("SELECT encode(*, 'proto') FROM 'a'")
