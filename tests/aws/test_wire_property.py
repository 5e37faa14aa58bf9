"""Random input and output of every operation that is served: botocore writes and we read, we write and botocore reads.

The values are drawn from the shapes alone, members left out at random.
"""

from __future__ import annotations

import asyncio
import datetime
import math
import string
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.model import Shape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.aws import models
from littoral.aws.output import response_of
from littoral.aws.wire.plan import plan_of

from .test_round_trip import OPERATIONS, SAME_REQUEST, client_parse, read_back, wire_request

SERVED = (
    "cloudfront-keyvaluestore",
    "dynamodb",
    "dynamodbstreams",
    "events",
    "iot-jobs-data",
    "iotsecuretunneling",
    "kinesis",
    "logs",
    "scheduler",
)
ALL = sorted(
    set(OPERATIONS)
    | {
        (service, operation)
        for service in SERVED
        for operation in models.service_model(service).operation_names
        if not models.operation_model(service, operation).has_event_stream_output
        and not models.operation_model(service, operation).has_event_stream_input
        and not models.operation_model(service, operation).deprecated
    }
)
PLAIN = string.ascii_letters + string.digits + "._~-"
AWKWARD = PLAIN + " \t&<>\"'%+=;,/\\?#[]{}|^`é\u00a0日\u2028😀"
DEEPEST = 4


class Values:
    """Values of shapes, from a source of chance that hypothesis can replay and make smaller."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def members(self, shape: Shape, deep: int = 0) -> dict[str, Any]:
        """Required ones, and any of the others; where there are any, not none."""
        others = [
            name
            for name, member in shape.members.items()
            if name not in shape.required_members
            and not (deep >= DEEPEST and member.type_name in {"structure", "list", "map"})
            and member.serialization.get("location") != "statusCode"
        ]
        few = self._chance.sample(others, min(len(others), self._chance.randint(1 if deep else 0, 4)))
        return {name: self.value(shape.members[name], deep + 1) for name in (*shape.required_members, *few)}

    def value(self, shape: Shape, deep: int) -> Any:
        kind, some = shape.type_name, range(self._chance.randint(1, 3))
        if kind == "structure":
            free = getattr(shape, "is_document_type", False)
            return {self.text(PLAIN): self._chance.randint(0, 9)} if free else self.members(shape, deep)
        outside = "location" in shape.serialization
        if kind == "list":
            return [self._item(shape.member, deep, outside) for _ in some]
        if kind == "map":
            return {self.text(PLAIN): self._item(shape.value, deep, outside) for _ in some}
        if kind in {"string", "character"}:  # a label, a header, or what may be the whole body, is not empty
            return self.text(PLAIN if outside else AWKWARD, 1 if outside or deep == 1 else 0)
        return self.scalar(kind)

    def _item(self, shape: Shape, deep: int, outside: bool) -> Any:
        return self.text(PLAIN) if outside and shape.type_name == "string" else self.value(shape, deep + 1)

    def text(self, characters: str, shortest: int = 1) -> str:
        return "".join(self._chance.choices(characters, k=self._chance.randint(shortest, 9)))

    def scalar(self, kind: str) -> Any:
        chance = self._chance
        made: dict[str, Callable[[], Any]] = {
            "boolean": lambda: chance.random() < 0.5,
            "integer": lambda: chance.randint(-(2**31), 2**31 - 1),
            "long": lambda: chance.randint(-(2**63), 2**63 - 1),
            "float": lambda: chance.uniform(-1e6, 1e6),
            "double": lambda: chance.choice((0.0, 1.5, chance.uniform(-1e12, 1e12))),
            "timestamp": lambda: datetime.datetime.fromtimestamp(chance.randint(0, 2**32), datetime.UTC),
            "blob": lambda: bytes(chance.choices(range(256), k=chance.randint(1, 9))),
        }
        return made[kind]()


@pytest.mark.parametrize("service", sorted({service for service, _ in ALL}))
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_what_botocore_writes_we_read(service: str, chance: Random) -> None:
    operation = chance.choice([name for each, name in ALL if each == service and (each, name) not in SAME_REQUEST])
    shape = models.operation_model(service, operation).input_shape
    sent = Values(chance).members(shape) if shape is not None else {}
    sent.pop("ContentLength", None)  # the transport's, not the serializer's
    name, found = asyncio.run(read_back(service, wire_request(service, operation, sent)))
    if name == operation:  # else the members left out make it another's request
        assert same(found, sent)


@pytest.mark.parametrize("service", sorted({service for service, _ in ALL}))
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False))
def test_what_we_write_botocore_reads(service: str, chance: Random) -> None:
    operation = chance.choice([name for each, name in ALL if each == service and name != "GetBucketLocation"])
    shape = models.operation_model(service, operation).output_shape
    result = Values(chance).members(shape) if shape is not None else {}
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload is not None and payload not in result:
        result[payload] = Values(chance).value(shape.members[payload], 1)  # botocore's parser wants one
    parsed = client_parse(service, response_of(service, plan_of(service, operation), result, "request-1"), shape)
    parsed.pop("ResponseMetadata")
    if "ContentType" not in result:
        parsed.pop("ContentType", None)  # S3's member is the header that every answer has
    for name, member in (shape.members if shape is not None else {}).items():
        if member.serialization.get("location") == "statusCode":
            assert parsed.pop(name) == 200
    assert same(parsed, result)


def same(found: Any, expected: Any) -> bool:
    """What has nothing in it cannot be said everywhere, and may be missing."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            same(found[name], expected[name]) if name in found and name in expected else hollow(either[name])
            for either in (expected, found)
            for name in either
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9)
    if isinstance(expected, datetime.datetime):
        return bool(as_moment(found) == expected)
    return bool(found == expected)


def hollow(value: Any) -> bool:
    return value in ("", b"", None, []) or (isinstance(value, dict) and all(map(hollow, value.values())))


def as_moment(value: Any) -> datetime.datetime:
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
