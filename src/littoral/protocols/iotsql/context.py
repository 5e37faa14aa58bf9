"""What one message brings to the evaluation of rules. One per message, shared by every rule that it matches."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from littoral.protocols.iotsql.values import UNDEFINED, Value, parse_json


class EvaluationError(Exception):
    """This message cannot be evaluated by this statement; the rule has failed for it (not merely not matched)."""


T = TypeVar("T")


class _once(Generic[T]):
    """Worked out when first asked for, then an attribute. ``functools.cached_property`` takes a lock for it (3.11)."""

    def __init__(self, of: Callable[[Any], T]) -> None:
        self._of = of
        self._name = of.__name__

    def __get__(self, context: Any, owner: type) -> T:
        value = context.__dict__[self._name] = self._of(context)
        return value


def _new_uuid() -> str:
    return str(uuid.uuid4())


@dataclass
class Context:
    """``timestamp`` is in milliseconds. ``topic`` is without any Basic Ingest prefix."""

    topic: str
    payload: bytes
    timestamp: int
    client_id: str | None = None  # None: not sent over MQTT
    principal: str | None = None
    trace_id: str | None = None
    source_ip: str | None = None
    account: str = ""
    user_properties: Sequence[tuple[str, str]] = ()
    mqtt_properties: Mapping[str, str] = field(default_factory=dict)  # by the names of get_mqtt_property
    new_uuid: Callable[[], str] = _new_uuid
    random: Callable[[], float] = random.random

    @_once
    def document(self) -> Value:
        """The payload as JSON; an empty payload is an empty object, what is not JSON is Undefined."""
        return parse_json(self.payload) if self.payload else {}

    @_once
    def row(self) -> dict[str, Value]:
        """Where names are looked up: the payload if it is a JSON object, else nothing."""
        document = self.document
        return document if type(document) is dict else {}

    @_once
    def variables(self) -> dict[Any, Value]:
        """What the SET clause of a statement has found, by its definitions: of several rules, each with its own."""
        return {}

    @_once
    def answers(self) -> dict[Any, Any]:
        """Of external functions, by question."""
        return {}

    @_once
    def segments(self) -> list[str]:
        return self.topic.split("/")

    def segment(self, number: Value) -> Value:
        """``topic(n)``, counting from 1."""
        if type(number) is int and 0 < number <= len(self.segments):
            return self.segments[number - 1]
        return UNDEFINED
