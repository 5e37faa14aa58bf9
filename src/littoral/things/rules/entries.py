"""A matched message as it waits in the stream: one entry per message and rule.

The time and the trace id are fixed when the message arrives, and ``newuuid()`` is derived from the trace id, so that
an action that runs twice (a crash between doing and acknowledging) computes the same key and overwrites itself.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from itertools import count

from littoral.protocols.iotsql import Context
from littoral.store.contract import Message, Outgoing


def entry(rule: str, context: Context, message_id: str | None) -> Outgoing:
    """``message_id`` is the sender's: the same message matched by the same rule is stored once."""
    described = {
        "topic": context.topic,
        "timestamp": context.timestamp,
        "client": context.client_id,
        "principal": context.principal,
        "ip": context.source_ip,
        "user": list(context.user_properties),
        "mqtt": dict(context.mqtt_properties),
    }
    headers = {"rule": rule, "trace": context.trace_id or str(uuid.uuid4()), "message": json.dumps(described)}
    return Outgoing(context.payload, None if message_id is None else f"{message_id}/{rule}", headers)


def rule_of(message: Message) -> str:
    return message.headers["rule"]


def lane_of(message: Message) -> tuple[str, str]:
    """Entries of one rule and topic run in order; others beside each other."""
    return message.headers["rule"], json.loads(message.headers["message"])["topic"]


def context_of(message: Message, account: str) -> Context:
    described = json.loads(message.headers["message"])
    return Context(
        topic=described["topic"],
        payload=message.data,
        timestamp=described["timestamp"],
        client_id=described["client"],
        principal=described["principal"],
        trace_id=message.headers["trace"],
        source_ip=described.get("ip"),  # entries of before 2026-11-28 have none
        account=account,
        user_properties=[(name, value) for name, value in described["user"]],
        mqtt_properties=described["mqtt"],
    )


def uuids(trace_id: str | None, phase: str) -> Callable[[], str]:
    """Repeatable identifiers for one step of one entry."""
    space = uuid.UUID(trace_id) if trace_id else uuid.uuid4()
    numbers = count()
    return lambda: str(uuid.uuid5(space, f"{phase}/{next(numbers)}"))
