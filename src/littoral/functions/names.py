"""Names, qualifiers and ARNs of functions. Pure.

A caller may write a function as ``name``, ``name:qualifier``, ``123456789012:function:name`` or a whole ARN, with or
without a qualifier; the API takes a ``Qualifier`` beside it, which must then agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from littoral.aws.requestid import new_request_id
from littoral.aws.service import ServiceError, modelled

__all__ = [
    "LATEST",
    "Home",
    "Reference",
    "conflict",
    "invalid",
    "is_alias",
    "is_number",
    "new_request_id",
    "not_found",
]

LATEST = "$LATEST"
_REFERENCE = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]{1,128}))?"
)

_TOO_LONG = re.compile(_REFERENCE.pattern.replace("{1,64}", "{65,}"))
_ALIAS = re.compile(r"(?!^[0-9]+$)([a-zA-Z0-9-_]{1,128})")  # what an alias may be called


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    qualifier: str | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """Whose functions these are: what ARNs are made of."""

    region: str
    account: str

    def arn(self, name: str, qualifier: str | None = None) -> str:
        base = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{base}:{qualifier}" if qualifier else base

    def mapping_arn(self, uuid: str) -> str:
        """Of an event source mapping."""
        return f"arn:aws:lambda:{self.region}:{self.account}:event-source-mapping:{uuid}"

    def mapping_of(self, arn: str) -> str | None:
        """The UUID of an event source mapping's ARN, None for ARNs of other things."""
        prefix = self.mapping_arn("")
        return arn.removeprefix(prefix) if arn.startswith(prefix) else None

    def parse(self, text: str, qualifier: str | None = None) -> Reference:
        """Raises ServiceError: ValidationException, InvalidParameterValueException, ResourceNotFoundException,
        AccessDeniedException."""
        return _parsed(self, text, qualifier)

    def _parse(self, text: str, qualifier: str | None) -> Reference:
        match = _REFERENCE.fullmatch(text)
        if match is None:
            if too_long := _TOO_LONG.fullmatch(text):
                raise _length_error(text, too_long["name"])
            raise ServiceError(
                "ValidationException",
                f"1 validation error detected: Value '{text[:200]}' at 'functionName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: "
                "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?"
                "([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
                status=400,
            )
        region, account = match["region"], match["account"]
        if region is not None and region != self.region:
            raise not_found(f"Functions from '{region}' are not reachable in this region ('{self.region}')")
        if account is not None and account != self.account:
            raise ServiceError(
                "AccessDeniedException",
                f"Not authorized to use {text}: this place has no functions of other accounts",
                status=403,
            )
        named = match["qualifier"]
        if named and qualifier and named != qualifier:
            raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
        return Reference(match["name"], named or qualifier or None)


@lru_cache(maxsize=4096)
def _parsed(home: Home, text: str, qualifier: str | None) -> Reference:
    """Callers write the same few names again and again."""
    return home._parse(text, qualifier)


invalid = modelled("InvalidParameterValueException", Type="User")
not_found = modelled("ResourceNotFoundException", 404, Type="User")
conflict = modelled("ResourceConflictException", 409, Type="User")


def _length_error(text: str, name: str) -> ServiceError:
    """For a name that is too long; an ARN is refused by its own length first."""
    start = "1 validation error detected: Value"
    rule = "failed to satisfy constraint: Member must have length less than or equal to"
    if len(text) > 140:
        return ServiceError("ValidationException", f"{start} '{text[:200]}' at 'functionName' {rule} 140", status=400)
    return invalid(f"{start} '{name}' at 'functionName' {rule} 64")


def is_alias(qualifier: str) -> bool:
    """Whether an alias may have that name."""
    return _ALIAS.fullmatch(qualifier) is not None


def is_number(qualifier: str) -> bool:
    return qualifier.isascii() and qualifier.isdigit()
