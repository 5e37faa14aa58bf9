"""Lambda's Runtime API, version 2018-06-01, as decisions: what a runtime may ask when, and what it is answered. Pure.

Source: Lambda developer guide, "Using the Lambda runtime API for custom runtimes". A runtime is in one of these states:

===========  ==============================================  ============================
state        it may                                          and is then
===========  ==============================================  ============================
``init``     ask for the next event; report an init error    ``waiting``; ``ended``
``waiting``  (its question is held until an event comes);    ``running``
             ask again, when the first question broke off
``running``  answer the event, or report its error           ``done``
             begin an answer in pieces                       ``streams``
``streams``  end it                                          ``done``
``done``     ask for the next event                          ``waiting``
===========  ==============================================  ============================

Everything else is 403, an answer to another event 400, and neither changes the state.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Literal

from littoral.functions.payload import MAX_RESPONSE

BASE = "/2018-06-01/runtime/"
MODE = "lambda-runtime-function-response-mode"  # header: "streaming" for an answer in pieces
ERROR_TYPE = "lambda-runtime-function-error-type"  # header of an error; trailer of an answer that failed half way
ERROR_BODY = "lambda-runtime-function-error-body"  # trailer: the error object, base64
INVOCATION = re.compile(re.escape(BASE) + r"invocation/([^/]{1,100})/(response|error)")

State = Literal["init", "waiting", "running", "streams", "done", "ended"]
Action = Literal["next", "response", "error", "init-error"]


@dataclass(frozen=True, slots=True)
class Event:
    """One invocation as the runtime is told of it."""

    request_id: str
    deadline_ms: int  # Unix milliseconds
    arn: str
    context: bytes  # the client context, JSON, empty for none
    trace_id: str
    payload: bytes

    def headers(self) -> list[tuple[str, str]]:
        shown = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", self.request_id),
            ("lambda-runtime-deadline-ms", str(self.deadline_ms)),
            ("lambda-runtime-invoked-function-arn", self.arn),
            ("lambda-runtime-trace-id", self.trace_id),
        ]
        if self.context:
            shown.append(("lambda-runtime-client-context", self.context.decode()))
        return shown


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request to the API is for."""

    action: Action
    request_id: str = ""


ACCEPTED = Reply(202, b'{"status":"OK"}\n', [("content-type", "application/json")])


def refusal(status: int, kind: str, message: str) -> Reply:
    body = json.dumps({"errorMessage": message, "errorType": kind}).encode()
    return Reply(status, body, [("content-type", "application/json")])


TOO_LARGE = refusal(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({MAX_RESPONSE} bytes).")


def recognise(method: str, path: str) -> Wanted | Reply:
    """Which of the four operations this is; 404 or 405 for others."""
    if path == BASE + "invocation/next":
        return Wanted("next") if method == "GET" else _wrong_method(method)
    if path == BASE + "init/error":
        return Wanted("init-error") if method == "POST" else _wrong_method(method)
    match = INVOCATION.fullmatch(path)
    if match is None:
        return refusal(404, "NotFound", f"No such path: {path[:200]}")
    if method != "POST":
        return _wrong_method(method)
    return Wanted("response" if match[2] == "response" else "error", match[1])


def _wrong_method(method: str) -> Reply:
    return refusal(405, "MethodNotAllowed", f"The method {method[:20]} is not allowed here.")


class RuntimeApi:
    """The state of one runtime. Every method returns a refusal, or None when the step is taken."""

    def __init__(self) -> None:
        self.state: State = "init"
        self._offered: Event | None = None
        self._request_id = ""

    def offer(self, event: Event) -> None:
        """An event that the runtime gets at its next question, or at the one that it waits with."""
        self._offered = event

    def ask(self) -> Reply | None:
        """GET next. One that waits may ask anew: its connection may have gone, and nobody told us."""
        if self.state not in ("init", "done", "waiting"):
            return self._not_now("next")
        self.state = "waiting"
        return None

    def hand_out(self) -> Event | None:
        """The event for a runtime that waits, once there is one."""
        event = self._offered
        if self.state != "waiting" or event is None:
            return None
        self._offered, self._request_id, self.state = None, event.request_id, "running"
        return event

    def check(self, wanted: Wanted) -> Reply | None:
        """Whether an answer or an error may be given now, for that event."""
        if wanted.action == "init-error":
            return None if self.state == "init" else self._not_now("init/error")
        if self.state != "running":
            return self._not_now(wanted.action)
        if wanted.request_id != self._request_id:
            return refusal(400, "InvalidRequestID", "Invalid request ID")
        return None

    def settle(self, wanted: Wanted) -> Reply | None:
        """An answer or an error has come whole."""
        problem = self.check(wanted)
        if problem is None:
            self.state = "ended" if wanted.action == "init-error" else "done"
        return problem

    def stream(self, wanted: Wanted) -> Reply | None:
        """An answer begins that will come in pieces: until its end there is no other."""
        problem = self.check(wanted)
        if problem is None:
            self.state = "streams"
        return problem

    def end_stream(self) -> None:
        self.state = "done"

    def _not_now(self, asked: str) -> Reply:
        message = f"State transition from {self.state} failed for runtime. Error: {asked} is not allowed now"
        return refusal(403, "InvalidStateTransition", message)


def error_of_trailers(kind: str | None, encoded: str | None) -> bytes | None:
    """The error object of an answer that failed half way; None where the trailers name no error."""
    if kind is None:
        return None
    try:
        body = base64.b64decode(encoded or "", validate=True)
    except ValueError:  # binascii.Error, and what is not ASCII
        body = b""
    return error_object(body, kind)


def error_object(body: bytes, kind: str | None) -> bytes:
    """What the caller gets for an error that a runtime reported: its object as it is; where it sent none, one made of
    the header Lambda-Runtime-Function-Error-Type."""
    try:
        if isinstance(json.loads(body), dict):
            return body
    except (ValueError, RecursionError):
        pass
    text = body.decode("utf-8", "replace")[:1000]
    return json.dumps(
        {"errorType": kind or "Unhandled", "errorMessage": text or "the runtime gave no message"}
    ).encode()
