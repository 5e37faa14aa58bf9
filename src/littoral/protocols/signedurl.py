"""CloudFront's signed URLs and signed cookies: what a request says of its signature, and what a policy allows.

Owns: the parameters, the two kinds of policy, wildcards, conditions. Knows no key: whether the signature over
``Claim.statement`` is good is asked elsewhere (``edge.signing``). Time is an argument.

    claim = claim_of(query, cookies)                # Refused: what is missing or unreadable
    for statement in claim.statements(urls): …      # the bytes that were signed, the first that verifies counts
    policy.covers(urls) and policy.holds(viewer, now)

Source: developer guide, "Serve private content with signed URLs and signed cookies". A *canned* policy is not sent: it
is written anew from the URL and ``Expires``. A *custom* one is sent and may name many URLs with ``*`` and ``?``.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from littoral.protocols.iam.wildcards import wildcard

NAMES = ("Policy", "Expires", "Signature", "Key-Pair-Id", "Hash-Algorithm")
PARAMETERS = frozenset(NAMES)
COOKIES = frozenset(f"CloudFront-{name}" for name in NAMES)
HASHES = ("SHA1", "SHA256")  # the first unless said otherwise
MAX_POLICY = 8192  # characters of a policy as sent
_TO_BASE64 = str.maketrans("-_~", "+=/")


class Refused(Exception):
    """The viewer gets 403 with this code and message, in CloudFront's XML."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


DENIED = ("AccessDenied", "Access denied")


@dataclass(frozen=True, slots=True)
class Policy:
    """One statement. Times are Unix seconds; ``resource`` None means every URL."""

    resource: str | None
    before: int
    after: int | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    def covers(self, urls: Iterable[str]) -> bool:
        """``urls`` are the ways to write the one URL that was asked for."""
        return self.resource is None or any(_matcher(self.resource).fullmatch(url) for url in urls)

    def holds(self, viewer: str, now: float) -> bool:
        """Whether it is time, and the viewer's address is meant."""
        if now >= self.before or (self.after is not None and now <= self.after):
            return False
        return self.network is None or _within(viewer, self.network)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of itself. ``policy`` is a custom policy as sent (base64), else ``expires`` counts."""

    key_id: str
    signature: bytes
    hash: str
    policy: str | None
    expires: int

    def statements(self, urls: Iterable[str]) -> Iterator[tuple[bytes, Policy]]:
        """What may have been signed, and what it says. Raises Refused for a custom policy that cannot be read."""
        if self.policy is not None:
            text = _decoded(self.policy, "MalformedPolicy", "Malformed Policy")
            yield text, custom(text)
            return
        for url in urls:
            yield canned(url, self.expires), Policy(url, self.expires)


def claim_of(query: Mapping[str, str], cookies: Mapping[str, str]) -> Claim:
    """From the query parameters, or from the cookies (without their ``CloudFront-``) where the query has none.

    Raises Refused."""
    said = query if not PARAMETERS.isdisjoint(query) else cookies
    for name in ("Key-Pair-Id", "Signature"):
        if not said.get(name):
            raise Refused("MissingKey" if name == "Key-Pair-Id" else "MissingSignature", _missing(name))
    algorithm = said.get("Hash-Algorithm") or HASHES[0]
    if algorithm not in HASHES:
        raise Refused(*DENIED)
    policy, expires = said.get("Policy"), said.get("Expires") or ""
    if not policy and not re.fullmatch("[0-9]{1,10}", expires):
        raise Refused("MissingPolicy", _missing("Policy" if not expires else "Expires"))
    signature = _decoded(said["Signature"], "MalformedSignature", "Could not unencode Signature")
    return Claim(said["Key-Pair-Id"], signature, algorithm, policy or None, int(expires or 0))


def canned(url: str, expires: int) -> bytes:
    """The canned policy, to the byte."""
    condition = f'"Condition":{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}'
    return f'{{"Statement":[{{"Resource":"{url}",{condition}}}]}}'.encode()


def custom(text: bytes) -> Policy:
    """A custom policy. Raises Refused: MalformedPolicy."""
    try:
        (statement,) = json.loads(text)["Statement"]
        condition: dict[str, Any] = statement["Condition"]
        if not set(condition) <= {"DateLessThan", "DateGreaterThan", "IpAddress"}:
            raise ValueError("an unknown condition")
        after, address = condition.get("DateGreaterThan"), condition.get("IpAddress")
        resource = statement.get("Resource")
        if resource is not None and (not isinstance(resource, str) or len(resource) > 8192):
            raise ValueError("a resource that is no URL")
        return Policy(
            resource,
            _time(condition["DateLessThan"]),
            None if after is None else _time(after),
            None if address is None else ipaddress.ip_network(address["AWS:SourceIp"], strict=False),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise Refused("MalformedPolicy", "Malformed Policy") from problem


def stripped(query: str) -> tuple[str, dict[str, str]]:
    """The query without the signature's parameters, and these."""
    if "Key-Pair-Id=" not in query and "Signature=" not in query and "Expires=" not in query:
        return query, {}
    kept, found = [], {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in PARAMETERS:
            found[name] = value
        else:
            kept.append(part)
    return "&".join(kept), found


def cookies_of(lines: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Cookie headers without the signature's cookies, and these without their prefix."""
    kept, found = [], {}
    for line in lines:
        others = []
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            if name in COOKIES:
                found[name.removeprefix("CloudFront-")] = value
            elif part.strip():
                others.append(part.strip())
        if others:
            kept.append("; ".join(others))
    return kept, found


def encoded(data: bytes) -> str:
    """Base64 in the letters that stand in URLs and cookies."""
    return base64.b64encode(data).decode().translate(str.maketrans("+=/", "-_~"))


def _missing(name: str) -> str:
    return f"Missing {name} query parameter or cookie value"


def _time(document: Mapping[str, Any]) -> int:
    moment = document["AWS:EpochTime"]
    if not isinstance(moment, int) or isinstance(moment, bool):
        raise TypeError("a time that is no number")
    return moment


def _decoded(text: str, code: str, message: str) -> bytes:
    try:
        if len(text) > MAX_POLICY:
            raise ValueError("too long")
        plain = text.translate(_TO_BASE64)
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Refused(code, message) from problem


def _within(viewer: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(viewer) in network
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def _matcher(resource: str) -> re.Pattern[str]:
    """``*`` is any characters or none, ``?`` is one. Its time is linear: viewers choose the URL."""
    return re.compile(wildcard(resource))
