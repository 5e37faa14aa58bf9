"""Refusals: counted each, logged within a bound, and never more expensive to a device than to the place."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from littoral.aws.service import Call
from littoral.things.control import Iot
from littoral.things.names import Names
from littoral.things.permissions import Caller, Permissions
from littoral.things.refusals import MOST, Refusals
from tests.things.conftest import ARN, Clock
from tests.things.test_control import iot  # noqa: F401 - the fixture


@pytest.fixture
def refusals(iot: Iot, clock: Clock) -> Refusals:  # noqa: F811
    return Refusals(Permissions(iot.registry, Names("us-east-1", "000000000000")), clock)


def test_a_flood_is_counted_and_does_not_fill_the_log(
    refusals: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = Caller("f" * 64, "x", "10.0.0.9")
    with caplog.at_level(logging.WARNING, "littoral.things.refusals"):
        for _ in range(1000):
            refusals.note(stranger, "iot:Connect", "client", "x" * 10_000)
        clock.now += 1
        refusals.note(Caller("", None, "10.0.0.9"), "iot:Publish", "topic", "t")
    assert refusals.counts == {("iot:Connect", "NOT_REGISTERED"): 1000, ("iot:Publish", "NO_CERTIFICATE"): 1}
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == MOST + 2 and f"{1000 - MOST} more" in lines[MOST]
    assert all(len(line) < 600 for line in lines) and "10.0.0.9" in lines[0]


async def test_the_reason_tells_a_no_from_nothing_said(
    iot: Iot,  # noqa: F811
    call: Callable[..., Call],
    refusals: Refusals,
) -> None:
    made = await iot.create_keys_and_certificate(call(), set_as_active=True)
    statement = [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": ARN + "topic/open/*"},
        {"Effect": "Deny", "Action": "iot:*", "Resource": ARN + "topic/open/secret"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    await iot.create_policy(call(), policy_name="p", policy_document=document)
    await iot.attach_policy(call(), policy_name="p", target=made["certificateArn"])
    caller = Caller(made["certificateId"], "x", "127.0.0.1")
    for topic, why in (("open/secret", "EXPLICIT_DENY"), ("closed", "IMPLICIT_DENY")):
        refusals.note(caller, "iot:Publish", "topic", topic)
        assert refusals.counts["iot:Publish", why] == 1
    await iot.update_certificate(call(), certificate_id=made["certificateId"], new_status="INACTIVE")
    refusals.note(caller, "iot:Publish", "topic", "open/x")
    assert refusals.counts["iot:Publish", "INACTIVE"] == 1
