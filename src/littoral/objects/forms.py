"""Forms by which browsers upload: the policy that a page's owner signed, held against what the browser sent. Pure.
("Browser-based uploads using POST", "POST policy")

A policy is JSON in base64: when it expires, and conditions on the form's fields. Every field that the browser sends
must be allowed by a condition, but for those of the signature and ``x-ignore-…``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from littoral.aws.service import ServiceError
from littoral.objects.errors import error, invalid_argument

MOST_FIELDS_BYTES = 20 * 1024  # of all fields before the file, as S3 takes them
_FREE = frozenset("awsaccesskeyid signature x-amz-signature file policy".split())
_MOST_SIZE = 2**63


@dataclass(frozen=True, slots=True)
class Condition:
    """``kind`` is eq or starts-with."""

    kind: str
    field: str  # lower case
    value: str

    def holds(self, found: str) -> bool:
        return found == self.value if self.kind == "eq" else found.startswith(self.value)


@dataclass(frozen=True, slots=True)
class Policy:
    expires: float  # Unix seconds
    conditions: tuple[Condition, ...]
    least: int = 0
    most: int = _MOST_SIZE

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Raises InvalidPolicyDocument."""
        try:
            document = json.loads(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError, RecursionError):
            raise _invalid("Invalid JSON.") from None
        if not isinstance(document, dict) or not isinstance(document.get("expiration"), str):
            raise _invalid("Policy missing expiration.")
        if not isinstance(document.get("conditions"), list):
            raise _invalid("Policy missing conditions.")
        least, most, conditions = 0, _MOST_SIZE, []
        for each in document["conditions"]:
            if isinstance(each, list) and each and str(each[0]).lower() == "content-length-range":
                least, most = _range(each)
            else:
                conditions += _conditions(each)
        return cls(_moment(document["expiration"]), tuple(conditions), least, most)

    def check(self, fields: Mapping[str, str], bucket: str, now: float) -> None:
        """``fields`` by lower-case name, their variables replaced. Raises AccessDenied."""
        if now > self.expires:
            raise _denied("Policy expired.")
        found = {**fields, "bucket": bucket}
        for condition in self.conditions:
            if not condition.holds(found.get(condition.field, "")):
                shown = json.dumps([condition.kind, f"${condition.field}", condition.value])
                raise _denied(f"Policy Condition failed: {shown[:300]}")
        named = {condition.field for condition in self.conditions}
        for name in fields:
            if name not in named and name not in _FREE and not name.startswith("x-ignore-"):
                raise _denied(f"Extra input fields: {name[:100]}")

    def check_size(self, size: int, *, whole: bool) -> None:
        """Of the file, as far as it has come. Raises EntityTooLarge, EntityTooSmall."""
        if size > self.most:
            message = "Your proposed upload exceeds the maximum allowed size"
            raise error("EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=self.most)
        if whole and size < self.least:
            message = "Your proposed upload is smaller than the minimum allowed size"
            raise error("EntityTooSmall", message, ProposedSize=size, MinSizeAllowed=self.least)


def _conditions(given: Any) -> list[Condition]:
    if isinstance(given, dict) and given:
        return [Condition("eq", str(name).lower(), _text(value)) for name, value in given.items()]
    if not isinstance(given, list) or len(given) != 3 or str(given[0]).lower() not in ("eq", "starts-with"):
        raise _invalid("Invalid Condition.")
    kind, name, value = given
    if not isinstance(name, str) or not name.startswith("$"):
        raise _invalid("Invalid Condition: a field is written $name.")
    return [Condition(str(kind).lower(), name[1:].lower(), _text(value))]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return value


def _range(given: list[Any]) -> tuple[int, int]:
    try:
        least, most = int(given[1]), int(given[2])
    except (IndexError, TypeError, ValueError):
        raise _invalid("Invalid content-length-range.") from None
    if not 0 <= least <= most < _MOST_SIZE or len(given) != 3:
        raise _invalid("Invalid content-length-range.")
    return least, most


def _moment(text: str) -> float:
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise _invalid(f"Invalid 'expiration' value: '{text[:40]}'")


def _invalid(message: str) -> ServiceError:
    return error("InvalidPolicyDocument", f"Invalid Policy: {message}")


def _denied(message: str) -> ServiceError:
    return error("AccessDenied", f"Invalid according to Policy: {message}")


def key_of(fields: Mapping[str, str], filename: str) -> str:
    """The object's key, in which ${filename} is the file's name on the viewer's machine. Raises InvalidArgument."""
    if not fields.get("key"):
        message = (
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
        )
        raise invalid_argument(message, "key", "")
    return fields["key"].replace("${filename}", filename.replace("\\", "/").rpartition("/")[2])
