"""The jobs API over MQTT: ``$aws/things/{thing}/jobs/…`` in, an answer on ``…/accepted`` or ``…/rejected`` out.

====================  ===========================================================================
``get``               the pending executions
``start-next``        begin the next one
``{job}/get``         describe one; ``$next`` is the next one
``{job}/update``      say how far it is
====================  ===========================================================================

``{job}/namespace-N/get`` and ``…/update`` are the same for jobs of a namespace; ``$next`` is then the next one of it.
Whoever may publish to the topic may ask: the policies have decided before this. The answer goes to whom it is for by
``reply``. Source: https://docs.aws.amazon.com/iot/latest/developerguide/jobs-mqtt-api.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from littoral.protocols.jobs.execution import JobsError, Update
from littoral.things.jobs.service import NEXT, Jobs
from littoral.things.names import THING_NAME

Json = dict[str, Any]
Reply = Callable[[str, bytes], Awaitable[None]]

JOB_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
MAX_TOKEN: Final = 64
_TOPIC: Final = re.compile(rf"\$aws/things/(?P<thing>{THING_NAME.pattern})/jobs/(?P<rest>.+)")
_OF_JOB: Final = re.compile(
    rf"(?P<job>\$next|{JOB_ID.pattern})/(?:namespace-(?P<namespace>{JOB_ID.pattern})/)?(?P<operation>get|update)"
)


class JobRequests:
    """``take`` gives what is to be awaited before PUBACK, or None where the topic is not one of jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def take(self, topic: str, payload: bytes, reply: Reply) -> Awaitable[None] | None:
        match = _TOPIC.fullmatch(topic)
        return None if match is None else self._answer(topic, match["thing"], match["rest"], payload, reply)

    async def _answer(self, topic: str, thing: str, rest: str, payload: bytes, reply: Reply) -> None:
        token: str | None = None
        try:
            given = _parse(payload)
            token = _token(given)
            outcome, answer = "accepted", await self._do(thing, rest, given)
        except JobsError as error:
            outcome, answer = "rejected", _error(error)
        answer["timestamp"] = int(self._jobs.clock())
        if token is not None:
            answer["clientToken"] = token
        await reply(f"{topic}/{outcome}", json.dumps(answer, separators=(",", ":")).encode())

    async def _do(self, thing: str, rest: str, given: Json) -> Json:
        if rest == "get":
            return self._jobs.pending(thing)
        if rest == "start-next":
            details, step = _details(given), _whole(given, "stepTimeoutInMinutes")
            return _execution(await self._jobs.start_next(thing, details, step))
        match = _OF_JOB.fullmatch(rest)
        if match is None:
            raise JobsError("InvalidTopic", f"Nothing of jobs answers on …/jobs/{rest}")
        if match["operation"] == "get":
            document = _flag(given, "includeJobDocument", default=True)
            number = _whole(given, "executionNumber")
            found = self._jobs.describe(
                thing, match["job"], document=document, number=number, namespace=match["namespace"] or ""
            )
            return _execution(found)
        return await self._update(thing, match["job"], given)

    async def _update(self, thing: str, job: str, given: Json) -> Json:
        if job == NEXT:
            raise JobsError("InvalidTopic", "An update names its job")
        status = given.get("status")
        if not isinstance(status, str):
            raise JobsError("InvalidRequest", "status is needed")
        asked = Update(
            status,
            _details(given),
            _whole(given, "expectedVersion"),
            _whole(given, "stepTimeoutInMinutes"),
            _whole(given, "executionNumber"),
        )
        with_state = _flag(given, "includeJobExecutionState", default=False)
        with_document = _flag(given, "includeJobDocument", default=False)
        execution = await self._jobs.update(thing, job, asked)
        answer: Json = {"executionState": execution.state()} if with_state else {}
        if with_document:
            answer["jobDocument"] = json.loads(self._jobs.document(job))
        return answer


def _execution(found: Json | None) -> Json:
    return {} if found is None else {"execution": found}


def _error(error: JobsError) -> Json:
    answer: Json = {"code": error.code, "message": error.message}
    if error.execution is not None:
        answer["executionState"] = error.execution.state()
    return answer


def _parse(payload: bytes) -> Json:
    """Raises JobsError InvalidJson. An empty payload asks nothing special."""
    if not payload.strip():
        return {}
    try:
        found = json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise JobsError("InvalidJson", "The payload is not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise JobsError("InvalidJson", "The payload is not a JSON object")
    return found


def _token(given: Json) -> str | None:
    token = given.get("clientToken")
    if token is not None and (not isinstance(token, str) or len(token) > MAX_TOKEN):
        raise JobsError("InvalidRequest", f"clientToken is a text of at most {MAX_TOKEN} characters")
    return token


def _details(given: Json) -> Mapping[str, str] | None:
    details = given.get("statusDetails")
    if details is not None and not isinstance(details, dict):
        raise JobsError("InvalidRequest", "statusDetails is an object")
    return details


def _whole(given: Json, name: str) -> int | None:
    value = given.get(name)
    if value is not None and type(value) is not int:
        raise JobsError("InvalidRequest", f"{name} is a whole number")
    return value


def _flag(given: Json, name: str, *, default: bool) -> bool:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise JobsError("InvalidRequest", f"{name} is true or false")
    return value
