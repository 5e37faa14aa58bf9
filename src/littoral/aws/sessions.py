"""Temporary credentials: an access key, a secret and a token that hold for a while.

Theory: nothing is stored. The token says whose session it is and until when, signed with the place's root secret; the
session's own secret is made of the same. So a place that restarts knows the sessions it gave out, and one with another
root key knows none of them.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "ASIA"  # AWS's for temporary keys; permanent ones begin with AKIA
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Expired(Exception):
    """The session is over."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says."""

    access_key: str
    arn: str  # of the assumed role
    expires: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key: str
    secret: str
    token: str
    expires: int  # Unix seconds

    def __repr__(self) -> str:
        return f"Credentials({self.access_key})"  # neither secret nor token reaches a log

    @property
    def expiration(self) -> str:
        """As AWS writes it: 2026-11-28T12:00:00Z."""
        return datetime.datetime.fromtimestamp(self.expires, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Sessions:
    def __init__(self, root_secret: str) -> None:
        self._root = root_secret.encode()

    def issue(self, arn: str, seconds: int, now: float) -> Credentials:
        access_key = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(16))
        expires = int(now) + seconds
        claims = json.dumps([access_key, arn, expires], separators=(",", ":")).encode()
        token = _text(claims) + "." + _text(self._keyed(b"token", claims))
        return Credentials(access_key, self._secret(claims), token, expires)

    def session(self, access_key: str, token: str, now: float) -> tuple[Session, str] | None:
        """The session and its secret; None where this token is not of this place and key. Raises Expired."""
        head, _, signature = token.partition(".")
        try:
            claims, given = _bytes(head), _bytes(signature)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(given, self._keyed(b"token", claims)):
            return None
        session = Session(*json.loads(claims))
        if session.access_key != access_key:
            return None
        if session.expires <= now:
            raise Expired(access_key)
        return session, self._secret(claims)

    def _secret(self, claims: bytes) -> str:
        return _text(self._keyed(b"secret", claims))[:40]

    def _keyed(self, purpose: bytes, claims: bytes) -> bytes:
        return hmac.new(self._root, purpose + b"\n" + claims, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode(), altchars=b"-_", validate=True)
