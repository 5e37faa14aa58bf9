"""Lambda's Extensions API, version 2020-01-01, as decisions: who is registered, who waits, who gets which event. Pure.

Source: Lambda developer guide, "Using the Lambda Extensions API to create extensions". External extensions are programs
in /opt/extensions, started with the runtime; internal ones are threads of the runtime that register under another name.
An instance is **settled** when every external extension has registered and every registered one waits for its next
event: then the init phase is over, or an instance may take the next invocation.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from littoral.functions.runtimeapi import ACCEPTED, Reply, refusal

BASE = "/2020-01-01/extension/"
TELEMETRY = ("/2022-07-01/telemetry", "/2020-08-15/logs")
EVENTS = frozenset(("INVOKE", "SHUTDOWN"))
MOST = 10  # extensions of a function
MAX_BODY = 64 * 1024  # bytes of a registration

Verb = Literal["register", "next", "init-error", "exit-error", "telemetry"]
_VERBS: dict[str, tuple[Verb, str]] = {
    BASE + "register": ("register", "POST"),
    BASE + "event/next": ("next", "GET"),
    BASE + "init/error": ("init-error", "POST"),
    BASE + "exit/error": ("exit-error", "POST"),
    **dict.fromkeys(TELEMETRY, ("telemetry", "PUT")),
}
# What AWS's own emulator answers: extensions know it, and go on without.
NO_TELEMETRY = refusal(202, "Telemetry.NotSupported", "Telemetry API is not supported")


def recognise(method: str, path: str) -> Verb | Reply | None:
    """Which operation this is; 405 for the wrong method, None for paths that are not of this API."""
    if path not in _VERBS:
        return None
    verb, wanted = _VERBS[path]
    return verb if method == wanted else refusal(405, "MethodNotAllowed", f"{method[:20]} is not allowed here.")


@dataclass(slots=True)
class Extension:
    name: str
    external: bool
    events: frozenset[str]
    identifier: str
    waits: bool = False  # it has asked for its next event
    pending: list[bytes] = field(default_factory=list)


class ExtensionsApi:
    """``external``: the names of the programs that are started. ``about``: what a registration is told."""

    def __init__(
        self, external: Sequence[str], about: dict[str, str], identify: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self._unregistered = set(external)
        self._external = frozenset(external)
        self._about = about
        self._identify = identify
        self._extensions: dict[str, Extension] = {}
        self._open = True  # for registrations: until the init phase is over
        self._leaving = False
        self.failure: tuple[str, str] | None = None  # error type and message, once one has failed

    # ------------------------------------------------------------------------------------ their side

    def register(self, name: str | None, body: bytes, *, with_account: bool) -> Reply:
        if not name:
            return refusal(403, "Extension.MissingHeader", "Lambda-Extension-Name is missing")
        if not self._open:
            return refusal(403, "Extension.RegistrationClosed", "Extensions register in the init phase")
        events = _events(body)
        if events is None:
            return refusal(400, "InvalidRequestFormat", "The body has to be {'events': [...]}")
        if not events <= EVENTS:
            return refusal(403, "Extension.InvalidEventType", f"No such event: {min(events - EVENTS)[:50]}")
        external = name in self._external
        if any(each.name == name for each in self._extensions.values()):
            return refusal(403, "Extension.AlreadyRegistered", f"{name[:100]} is registered already")
        if not external and "SHUTDOWN" in events:
            kind = "ShutdownEventNotSupportedForInternalExtension"
            return refusal(403, kind, "An extension inside the runtime gets no SHUTDOWN")
        if len(self._extensions) >= MOST:
            return refusal(403, "Extension.TooManyExtensions", f"There are {MOST} extensions already")
        made = Extension(name, external, events, self._identify())
        self._extensions[made.identifier] = made
        self._unregistered.discard(name)
        about = {key: value for key, value in self._about.items() if with_account or key != "accountId"}
        headers = [("content-type", "application/json"), ("lambda-extension-identifier", made.identifier)]
        return Reply(200, json.dumps(about).encode(), headers)

    def ask(self, identifier: str | None) -> Extension | Reply:
        """It is done with what it had, and waits. One that waits may ask anew: its connection may have gone."""
        known = self._known(identifier)
        if isinstance(known, Extension):
            known.waits = True
        return known

    def hand_out(self, extension: Extension) -> bytes | None:
        """The event for an extension that waits, once there is one."""
        if not extension.waits or not extension.pending:
            return None
        extension.waits = False
        return extension.pending.pop(0)

    def report(self, identifier: str | None, verb: Verb, kind: str | None) -> Reply:
        """An extension says that it cannot go on."""
        known = self._known(identifier)
        if isinstance(known, Reply):
            return known
        if not kind:
            return refusal(403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type is missing")
        self._fail(kind[:200], f"{known.name}: {'init' if verb == 'init-error' else 'exit'} error")
        return ACCEPTED

    def ended(self, name: str, words: str) -> None:
        """The process of an external extension ended."""
        if not self._leaving:
            self._fail("Extension.Crash", f"{name}: {words or 'exit status 0'}")

    # ------------------------------------------------------------------------------------ our side

    @property
    def settled(self) -> bool:
        return not self._unregistered and all(each.waits and not each.pending for each in self._extensions.values())

    @property
    def any(self) -> bool:
        """Whether the end of the instance is told to anybody."""
        return bool(self._extensions)

    def close_registration(self) -> None:
        self._open = False

    def invoke(self, request_id: str, deadline_ms: int, arn: str, trace: str) -> None:
        tracing = {"type": "X-Amzn-Trace-Id", "value": trace}
        about = {"deadlineMs": deadline_ms, "requestId": request_id, "invokedFunctionArn": arn, "tracing": tracing}
        self._offer("INVOKE", about)

    def shut_down(self, reason: str, deadline_ms: int) -> None:
        """``reason``: spindown, timeout or failure. What ends from now on ends well."""
        self._leaving = True
        for each in self._extensions.values():
            each.pending.clear()
        self._offer("SHUTDOWN", {"shutdownReason": reason, "deadlineMs": deadline_ms})

    def _offer(self, kind: str, about: dict[str, Any]) -> None:
        body = json.dumps({"eventType": kind, **about}).encode()
        for each in self._extensions.values():
            if kind in each.events:
                each.pending.append(body)

    def _fail(self, kind: str, message: str) -> None:
        if self.failure is None:
            self.failure = kind, message

    def _known(self, identifier: str | None) -> Extension | Reply:
        if not identifier:
            return refusal(403, "Extension.MissingExtensionIdentifier", "Lambda-Extension-Identifier is missing")
        found = self._extensions.get(identifier)
        return found or refusal(403, "Extension.UnknownExtensionIdentifier", "There is no extension of this id")


def _events(body: bytes) -> frozenset[str] | None:
    try:
        events = json.loads(body or b"{}").get("events", [])
        return frozenset(events) if all(isinstance(each, str) for each in events) else None
    except (ValueError, AttributeError, TypeError, RecursionError):
        return None
