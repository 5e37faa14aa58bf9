"""A bucket as a website: its configuration checked, and where a visitor is sent. Pure. ("Hosting a static website using
Amazon S3", "(Optional) Configuring a webpage redirect")"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.objects.errors import error, invalid_argument, malformed

MOST_RULES = 50
CODES = ("301", "302", "303", "304", "305", "307", "308")


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where to; ``None`` for what stays as it is."""

    host: str | None = None
    protocol: str | None = None
    code: int = 301
    key: str | None = None
    prefix: str | None = None

    def location(self, base: str, path: str, matched: str = "") -> str:
        """``path`` is the key that was asked for; ``matched`` the prefix of it that a rule is for."""
        scheme, _, here = base.partition("://")
        target = path
        if self.key is not None:
            target = self.key
        elif self.prefix is not None:
            target = self.prefix + path.removeprefix(matched)
        return f"{self.protocol or scheme}://{self.host or here}/{target}"


@dataclass(frozen=True, slots=True)
class Rule:
    redirect: Redirect
    prefix: str = ""
    error: int | None = None

    def fits(self, key: str, status: int | None) -> bool:
        return key.startswith(self.prefix) and self.error == status


@dataclass(frozen=True, slots=True)
class Website:
    index: str = ""
    error: str | None = None
    everything: Redirect | None = None
    rules: tuple[Rule, ...] = ()

    @classmethod
    def load(cls, kept: str) -> Website:
        raw = json.loads(kept)
        everything = raw.get("RedirectAllRequestsTo")
        return cls(
            (raw.get("IndexDocument") or {}).get("Suffix", ""),
            (raw.get("ErrorDocument") or {}).get("Key"),
            None if everything is None else Redirect(everything["HostName"], everything.get("Protocol")),
            tuple(_rule(rule) for rule in raw.get("RoutingRules") or ()),
        )

    def key_of(self, path: str) -> str:
        """The object that a path (decoded, without its first slash) is."""
        return path + self.index if not path or path.endswith("/") else path

    def redirect(self, key: str, status: int | None = None) -> tuple[Redirect, str] | None:
        """The first rule that fits, and its prefix; ``status`` is the error that the visitor would get."""
        found = next((rule for rule in self.rules if rule.fits(key, status)), None)
        return None if found is None else (found.redirect, found.prefix)


def checked(configuration: Mapping[str, Any]) -> str:
    """A WebsiteConfiguration as it is kept. Raises InvalidArgument, InvalidRequest, MalformedXML."""
    everything, index = configuration.get("RedirectAllRequestsTo"), configuration.get("IndexDocument")
    if everything is not None:
        if len(configuration) > 1:
            message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            raise error("InvalidRequest", message)
        return json.dumps(configuration)
    suffix = (index or {}).get("Suffix")
    if not suffix or "/" in suffix:
        raise invalid_argument("The IndexDocument Suffix is not well formed", "IndexDocument", suffix or "null")
    rules = configuration.get("RoutingRules") or []
    if len(rules) > MOST_RULES:
        raise error(
            "InvalidRequest", f"{len(rules)} routing rules provided, the number of routing rules is limited to 50."
        )
    for rule in rules:
        _check_rule(rule)
    return json.dumps(configuration)


def _check_rule(rule: Mapping[str, Any]) -> None:
    redirect, condition = rule.get("Redirect") or {}, rule.get("Condition")
    if not redirect or (condition is not None and not condition):
        raise malformed()
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise error("InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    if redirect.get("HttpRedirectCode", "301") not in CODES:
        message = f"The provided HTTP redirect code ({redirect['HttpRedirectCode'][:20]}) is not valid."
        raise error("InvalidRequest", f"{message} Valid codes are 3XX except 300.")
    returned = (condition or {}).get("HttpErrorCodeReturnedEquals", "404")
    if not (returned.isascii() and returned.isdigit() and returned[0] in "45" and len(returned) == 3):
        message = f"The provided HTTP error code ({returned[:20]}) is not valid."
        raise error("InvalidRequest", f"{message} Valid codes are 4XX or 5XX.")


def _rule(raw: Mapping[str, Any]) -> Rule:
    redirect, condition = raw["Redirect"], raw.get("Condition") or {}
    returned = condition.get("HttpErrorCodeReturnedEquals")
    return Rule(
        Redirect(
            redirect.get("HostName"),
            redirect.get("Protocol"),
            int(redirect.get("HttpRedirectCode", 301)),
            redirect.get("ReplaceKeyWith"),
            redirect.get("ReplaceKeyPrefixWith"),
        ),
        condition.get("KeyPrefixEquals", ""),
        None if returned is None else int(returned),
    )
