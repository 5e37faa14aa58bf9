"""Which pages of other origins may reach a bucket: its CORS rules, and what they make of a request. Pure. ("Using
cross-origin resource sharing" of the S3 user guide; Fetch standard, section 3.3)"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from littoral.objects.errors import error, malformed
from littoral.protocols.iam.wildcards import like

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
MOST_RULES = 100
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@dataclass(frozen=True, slots=True)
class Rule:
    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    id: str | None = None

    def allows(self, origin: str, method: str, headers: Sequence[str]) -> bool:
        fits = method in self.methods and any(like(origin, each) for each in self.origins)
        patterns = [pattern.lower() for pattern in self.headers]
        return fits and all(any(like(name, pattern) for pattern in patterns) for name in headers)

    def answer(self, origin: str, headers: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The header fields that a browser goes by."""
        anyone = "*" in self.origins
        yield "access-control-allow-origin", "*" if anyone else origin
        if not anyone:
            yield "access-control-allow-credentials", "true"
        yield "access-control-allow-methods", ", ".join(self.methods)
        if headers:
            yield "access-control-allow-headers", ", ".join(headers)
        if self.exposed:
            yield "access-control-expose-headers", ", ".join(self.exposed)
        if self.max_age is not None:
            yield "access-control-max-age", str(self.max_age)
        yield "vary", VARY

    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"AllowedOrigins": list(self.origins), "AllowedMethods": list(self.methods)}
        if self.headers:
            shown["AllowedHeaders"] = list(self.headers)
        if self.exposed:
            shown["ExposeHeaders"] = list(self.exposed)
        if self.max_age is not None:
            shown["MaxAgeSeconds"] = self.max_age
        return shown | ({} if self.id is None else {"ID": self.id})


def checked(configuration: Mapping[str, Any]) -> str:
    """A CORSConfiguration as it is kept. Raises MalformedXML, InvalidRequest."""
    given = configuration.get("CORSRules") or []
    if not 1 <= len(given) <= MOST_RULES:
        raise malformed()
    return json.dumps([asdict(_rule(each)) for each in given])


@lru_cache(maxsize=256)
def loaded(kept: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            tuple(rule["origins"]),
            tuple(rule["methods"]),
            tuple(rule["headers"]),
            tuple(rule["exposed"]),
            rule["max_age"],
            rule["id"],
        )
        for rule in json.loads(kept)
    )


def rule_for(rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str]) -> Rule | None:
    """The first that fits."""
    return next((rule for rule in rules if rule.allows(origin, method, headers)), None)


def asked_headers(value: str | None) -> list[str]:
    """Of Access-Control-Request-Headers."""
    return [name.strip().lower() for name in (value or "").split(",") if name.strip()]


def _rule(given: Mapping[str, Any]) -> Rule:
    made = Rule(
        tuple(given.get("AllowedOrigins") or ()),
        tuple(given.get("AllowedMethods") or ()),
        tuple(given.get("AllowedHeaders") or ()),
        tuple(given.get("ExposeHeaders") or ()),
        given.get("MaxAgeSeconds"),
        given.get("ID"),
    )
    if not made.origins or not made.methods:
        raise malformed()
    for method in made.methods:
        if method not in METHODS:
            message = f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:40]}"
            raise error("InvalidRequest", message)
    for name, values in (("AllowedOrigin", made.origins), ("AllowedHeader", made.headers)):
        for value in values:
            if value.count("*") > 1:
                raise error("InvalidRequest", f'{name} "{value[:200]}" can not have more than one wildcard.')
    return made
