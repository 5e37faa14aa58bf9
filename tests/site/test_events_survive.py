"""A whole place is killed again and again while it takes and runs asynchronous events: no accepted one is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.site.conftest import ROLE, Running
from tests.site.test_sources import archive, seen_in

ROUNDS = int(os.environ.get("LITTORAL_CRASH_ROUNDS", "4"))
EVENTS = 30  # offered in a round
BEFORE_THE_KILL = 12  # accepted ones: the others are under way, wanted or refused when it comes
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/done"


def prepare(place: Running) -> None:
    place.client("kinesis").create_stream(StreamName="done", ShardCount=1)
    functions = place.client("lambda")
    functions.create_function(
        FunctionName="f",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive("def handler(event, context): return event")},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="f")
    functions.put_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnSuccess": {"Destination": STREAM}}
    )


def offer(client: Any, number: int) -> int | None:
    """The number, when the place said that it has the event."""
    try:
        answer = client.invoke(FunctionName="f", InvocationType="Event", Payload=str(number).encode())
    except (BotoCoreError, ClientError):
        return None
    return number if answer["StatusCode"] == 202 else None


def test_no_accepted_event_is_lost(start: Callable[..., Running]) -> None:
    accepted: set[int] = set()
    place = start()
    prepare(place)
    for round_ in range(ROUNDS):
        client = place.client("lambda")
        with ThreadPoolExecutor(4) as pool:
            wanted = [pool.submit(offer, client, round_ * EVENTS + number) for number in range(EVENTS)]
            for each in wanted[:BEFORE_THE_KILL]:
                each.result()
            place.process._process.kill()
            accepted |= {number for each in wanted if (number := each.result()) is not None}
        place.process._process.wait()
        place = start()  # the same folder
    assert len(accepted) >= ROUNDS * BEFORE_THE_KILL
    found: set[int] = set()
    at = None
    while not accepted <= found:
        records, at = seen_in(place, "done", at)
        found |= {payload_of(record) for record in records}


def payload_of(record: str) -> int:
    told = json.loads(record)
    assert told["requestContext"]["condition"] == "Success"
    return int(told["responsePayload"])
