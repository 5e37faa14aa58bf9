"""AWS IoT's custom authentication on the wire: what a client presents, the function's event, the function's answer.

Owns: names, places and limits of the values. Refuses to know: keys, functions, connections.
https://docs.aws.amazon.com/iot/latest/developerguide/custom-auth.html and …/config-custom-auth.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from littoral.protocols.iotpolicy import Policy, PolicyError

NAME: Final = "x-amz-customauthorizer-name"
SIGNATURE: Final = "x-amz-customauthorizer-signature"
MAX_TOKEN: Final = 6144  # characters
MAX_QUERY: Final = 4096
MAX_POLICIES: Final = 10
MAX_POLICY: Final = 2048  # characters
SECONDS: Final = range(300, 86_401)  # of both intervals
_PRINCIPAL = re.compile(r"[a-zA-Z0-9]{1,128}")


class BadAnswer(ValueError):
    """What the function gave back is no answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Http:
    """The request that brought the credentials. Names of headers are in lower case; the query is without its "?"."""

    headers: Mapping[str, str]
    query: str = ""

    def value(self, key: str) -> str | None:
        return self.headers.get(key.lower()) or _in_query(self.query, key)


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Of the CONNECT. ``client_id`` is None where the client sent none."""

    username: str | None = None
    password: bytes | None = None
    client_id: str | None = None

    def value(self, key: str) -> str | None:
        """Of the query that may stand behind the user name: ``user?x-amz-customauthorizer-name=NAME&token=…``."""
        return _in_query((self.username or "").partition("?")[2], key)


@dataclass(frozen=True, slots=True)
class Presented:
    """All that a client has shown. ``connection`` names its connection in logs."""

    connection: str
    tls: bool = False
    server_name: str | None = None  # SNI
    http: Http | None = None
    mqtt: Mqtt | None = None

    def value(self, key: str) -> str | None:
        """What stands under that name: in the headers or query of the request, else behind the MQTT user name."""
        found = self.http.value(key) if self.http is not None else None
        return found or (self.mqtt.value(key) if self.mqtt is not None else None)

    def event(self, token: str | None, *, verified: bool) -> dict[str, Any]:
        """What the function gets. Fields that this connection does not have are left out."""
        data: dict[str, Any] = {}
        if self.tls:
            data["tls"] = {"serverName": self.server_name} if self.server_name else {}
        if self.http is not None:
            data["http"] = {"headers": dict(self.http.headers), "queryString": f"?{self.http.query}"}
        if self.mqtt is not None:
            data["mqtt"] = _mqtt(self.mqtt)
        return {
            **({"token": token} if token is not None else {}),
            "signatureVerified": verified,
            "protocols": list(data),
            "protocolData": data,
            "connectionMetadata": {"id": self.connection},
        }


def _mqtt(shown: Mqtt) -> dict[str, str]:
    password = None if shown.password is None else base64.b64encode(shown.password).decode()
    found = {"username": shown.username, "password": password, "clientId": shown.client_id}
    return {name: value for name, value in found.items() if value is not None}


def _in_query(query: str, key: str) -> str | None:
    """A "+" stays one: signatures are base64, and not every client encodes them."""
    for pair in query[:MAX_QUERY].split("&"):
        name, equals, value = pair.partition("=")
        if equals and unquote(name) == key:
            return unquote(value)
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """Intervals are seconds. Where ``authenticated`` is False the rest has no meaning."""

    authenticated: bool
    principal: str = ""
    policies: tuple[str, ...] = ()  # documents, JSON
    disconnect_after: int = 0
    refresh_after: int = 0

    @classmethod
    def read(cls, payload: bytes) -> Answer:
        """Members that are not documented are ignored. Raises BadAnswer."""
        try:
            found = json.loads(payload)
        except (ValueError, RecursionError):
            raise BadAnswer("the answer is no JSON") from None
        if not isinstance(found, dict) or not isinstance(found.get("isAuthenticated"), bool):
            raise BadAnswer("isAuthenticated must be true or false")
        if not found["isAuthenticated"]:
            return cls(False)
        principal = found.get("principalId")
        if not isinstance(principal, str) or not _PRINCIPAL.fullmatch(principal):
            raise BadAnswer("principalId must be 1 to 128 letters and digits")
        disconnect, refresh = (_interval(found, f"{what}AfterInSeconds") for what in ("disconnect", "refresh"))
        return cls(True, principal, _policies(found.get("policyDocuments")), disconnect, refresh)


def _interval(found: Mapping[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value not in SECONDS:
        raise BadAnswer(f"{name} must be a number from {SECONDS.start} to {SECONDS.stop - 1}")
    return value


def _policies(found: Any) -> tuple[str, ...]:
    """Each is an object, or the text of one."""
    if not isinstance(found, list) or len(found) > MAX_POLICIES:
        raise BadAnswer(f"policyDocuments must be a list of at most {MAX_POLICIES}")
    texts = tuple(one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in found)
    for text in texts:
        if len(text) > MAX_POLICY:
            raise BadAnswer(f"a policy document has at most {MAX_POLICY} characters")
        try:
            Policy.parse(text)
        except PolicyError as problem:
            raise BadAnswer(f"policyDocuments: {problem}") from None
    return texts
